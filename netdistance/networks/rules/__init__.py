"""What each layer type does to a deviation: one file per type."""

from netdistance.networks.rules.activation import ReluRule
from netdistance.networks.rules.add import AddRule
from netdistance.networks.rules.base import Rule
from netdistance.networks.rules.convolution import ConvolutionRule
from netdistance.networks.rules.linear import LinearRule
from netdistance.networks.rules.shape import ReshapeRule, SizeRule

RULES: tuple[Rule, ...] = (
    LinearRule(),
    ConvolutionRule(),
    ReluRule(),
    ReshapeRule(),
    SizeRule(),
    AddRule(),
)

__all__ = ["RULES", "Rule"]
