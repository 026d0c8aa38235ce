"""What each layer type does to a deviation: one file per type.

`RULES` is every rule there is, in the order in which they are tried. `register` puts rules of the
user's own before them.
"""

from netdistance.networks.rules.activation import ActivationRule
from netdistance.networks.rules.add import AddRule, ConcatenationRule
from netdistance.networks.rules.base import ConstantFactor, Rule
from netdistance.networks.rules.batch_norm import BatchNormRule
from netdistance.networks.rules.convolution import ConvolutionRule, TransposedConvolutionRule
from netdistance.networks.rules.linear import LinearRule, MatrixRule
from netdistance.networks.rules.maximum import ExtremeRule, MaxPoolRule
from netdistance.networks.rules.multiply import ProductRule, ScaleRule
from netdistance.networks.rules.nonnegative import NonnegativeRule, PieceRule
from netdistance.networks.rules.prelu import PReLURule
from netdistance.networks.rules.registry import register, registered, unregister, whole_modules
from netdistance.networks.rules.shape import ReshapeRule, SizeRule

RULES: tuple[Rule, ...] = (
    LinearRule(),
    MatrixRule(),
    ConvolutionRule(),
    TransposedConvolutionRule(),
    BatchNormRule(),
    ActivationRule(),
    PReLURule(),
    ReshapeRule(),
    SizeRule(),
    PieceRule(),
    NonnegativeRule(),
    MaxPoolRule(),
    ExtremeRule(),
    AddRule(),
    ScaleRule(),
    ProductRule(),
    ConcatenationRule(),
)

__all__ = [
    "RULES",
    "ConstantFactor",
    "Rule",
    "register",
    "registered",
    "unregister",
    "whole_modules",
]
