"""The one result of every study: a versioned report, the same in Python and in JSON.

The dataclasses below are the contract: a field's name is its JSON key, `Quantity` fields become
the object `Q`, and a section that a study does not have is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_args

import netdistance
from netdistance import quantities
from netdistance.quantities import Quantity
from netdistance.report.audit_rows import AdapterRow, AuditRow, FrontierRow, KeepRow
from netdistance.report.bound_row import BoundRow as BoundRow
from netdistance.report.bound_row import Over as Over
from netdistance.report.bound_row import Standing as Standing
from netdistance.report.escape import shortened
from netdistance.report.gradient_rows import Descent, GradientPoint
from netdistance.report.optional import OPTIONAL
from netdistance.report.run_rows import RunRow
from netdistance.report.width_rows import Against, Curvature, WidthRow

SCHEMA_VERSION = 1

Scope = Literal["weights", "all"]
Relation = Literal["exact", "renamed", "transformed"]
Scheme = Literal["telescoping", "swap_in", "swap_out"]


@dataclass(frozen=True, slots=True)
class Reshaped:
    """A name that both sides hold with different shapes."""

    name: str
    shape_a: tuple[int, ...]
    shape_b: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SkippedTensor:
    """A pair that could not be measured, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class NonFinite:
    """How many NaN or infinite elements a tensor holds on each side."""

    name: str
    count_a: int
    count_b: int


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A name of a that several readings of b fit alike, or one whose numbers tell nothing."""

    name: str
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PairingAccount:
    """What faced what: nothing is silently intersected.

    `ambiguous` is there where conversions were asked for: what they did not decide.
    """

    compared: int
    identical: int
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    reshaped: tuple[Reshaped, ...] = ()
    skipped: tuple[SkippedTensor, ...] = ()
    non_finite: tuple[NonFinite, ...] = ()
    ambiguous: tuple[Ambiguous, ...] | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True)
class TensorRow:
    """One tensor name with its metrics; `tied_to` names the one that has its elements.

    An encoding that is no element type has a decoding: the formula of the numbers compared.
    `relation` and `transform` are there where conversions were asked for: how b's stands to a's.
    """

    name: str
    shape: tuple[int, ...]
    encoding_a: str | None
    encoding_b: str | None
    layer: str
    metrics: Mapping[str, Quantity]
    tied_to: str | None = field(default=None, metadata=OPTIONAL)
    decoding_a: str | None = field(default=None, metadata=OPTIONAL)
    decoding_b: str | None = field(default=None, metadata=OPTIONAL)
    relation: Relation | None = field(default=None, metadata=OPTIONAL)
    transform: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True)
class Threshold:
    """One `--fail-if` expression, and the tensors that failed it."""

    expression: str
    passed: bool
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer in plain words, and the thresholds that the caller set."""

    text: str
    thresholds: tuple[Threshold, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviationRow:
    """One measured difference of two networks; `worst_input` is the input with the most, from 0."""

    measure: str
    value: Quantity
    quantiles: Mapping[str, float] = field(default_factory=dict)
    worst_input: int | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True)
class LayerRow:
    """How far a layer's activations moved, and what its own change does to a's activations."""

    name: str
    relative_activation: Quantity
    injected: Quantity


@dataclass(frozen=True, slots=True)
class AttributionRow:
    """What one layer adds to the deviation of the outputs, on the first `inputs` inputs."""

    layer: str
    scheme: Scheme
    value: Quantity
    inputs: int


@dataclass(frozen=True, slots=True)
class PathPoint:
    """The network a + t(b - a): how far its outputs are from a's, and every bound there."""

    t: float
    deviation: Quantity
    bounds: tuple[BoundRow, ...]


@dataclass(frozen=True, slots=True)
class SampleDeviation:
    """Relative output deviation over draws and inputs; quantiles over every (draw, input)."""

    mean: Quantity
    rms: Quantity
    quantiles: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One noise level and scope: measured, attacked and bounded.

    `noise` is a relative level or the name of a format, as the user spelled it. Of the moved
    tensors, `relative_frobenius` is the largest relative change that this noise allows one of them.
    """

    noise: str
    scope: Scope
    deviation: SampleDeviation
    accuracy: Quantity
    attack: Quantity
    bounds: tuple[BoundRow, ...]
    relative_frobenius: Quantity | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """How much one weight can stretch an input, and over how many directions."""

    name: str
    spectral_norm: Quantity
    stable_rank: Quantity


@dataclass(frozen=True, slots=True)
class InputOutput:
    """How far outputs move per unit of input, |f(x) - f(y)|_2 / |x - y|_2, known in three ways.

    `certified` bounds it for every two inputs x, y. `jacobian` is the largest spectral norm of
    df/dx over `inputs` inputs, with quantiles over them. `found` is the largest ratio that a search
    from those inputs saw.
    """

    inputs: int
    certified: Quantity
    jacobian: Quantity
    jacobian_quantiles: Mapping[str, float]
    found: Quantity


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The norm of every weight, in name order, the logarithm of their product, and the network's.

    `input_output` is there where a model and inputs were given.
    """

    log10_product: Quantity
    layers: tuple[LayerNorm, ...]
    input_output: InputOutput | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one study.

    `provenance` says what ran on what; every other field is the same for the same inputs.
    """

    study: str
    provenance: Mapping[str, Any]
    verdict: Verdict
    pairing: PairingAccount | None = None
    tensors: tuple[TensorRow, ...] = ()
    bounds: tuple[BoundRow, ...] = ()
    deviation: tuple[DeviationRow, ...] | None = field(default=None, metadata=OPTIONAL)
    layers: tuple[LayerRow, ...] | None = field(default=None, metadata=OPTIONAL)
    attribution: tuple[AttributionRow, ...] | None = field(default=None, metadata=OPTIONAL)
    path: tuple[PathPoint, ...] | None = field(default=None, metadata=OPTIONAL)
    reference_loss: Quantity | None = field(default=None, metadata=OPTIONAL)
    reference_accuracy: Quantity | None = field(default=None, metadata=OPTIONAL)
    sweep: tuple[SweepPoint, ...] | None = field(default=None, metadata=OPTIONAL)
    runs: tuple[RunRow, ...] | None = field(default=None, metadata=OPTIONAL)
    sensitivity: Sensitivity | None = field(default=None, metadata=OPTIONAL)
    width: tuple[WidthRow, ...] | None = field(default=None, metadata=OPTIONAL)
    curvature: Curvature | None = field(default=None, metadata=OPTIONAL)
    against: Against | None = field(default=None, metadata=OPTIONAL)
    gradients: tuple[GradientPoint, ...] | None = field(default=None, metadata=OPTIONAL)
    descent: tuple[Descent, ...] | None = field(default=None, metadata=OPTIONAL)
    audit: tuple[AuditRow, ...] | None = field(default=None, metadata=OPTIONAL)
    keep: tuple[KeepRow, ...] | None = field(default=None, metadata=OPTIONAL)
    frontier: tuple[FrontierRow, ...] | None = field(default=None, metadata=OPTIONAL)
    adapter: tuple[AdapterRow, ...] | None = field(default=None, metadata=OPTIONAL)
    schema_version: int = SCHEMA_VERSION

    def __repr__(self) -> str:
        """The verdict in one line: a report may hold thousands of rows."""
        return f"<{shortened(self.study, 40)} report: {shortened(self.verdict.text, 200)}>"

    def __str__(self) -> str:
        """What the command line prints, as `render_text` makes it."""
        # the renderers stand on this module, so they are reached by the package's lazy names
        return netdistance.render_text(self)

    def _repr_html_(self) -> str:
        """What a notebook shows where a cell ends with a report."""
        return netdistance.render_fragment(self)


def to_document(value: Any) -> Any:
    """The value as JSON-ready dicts, lists, strings and numbers.

    >>> to_document(Reshaped("w", (2,), (3,)))
    {'name': 'w', 'shape_a': [2], 'shape_b': [3]}
    """
    if isinstance(value, get_args(Quantity)):
        return quantities.to_json(value)
    if is_dataclass(value):
        members = ((f, getattr(value, f.name)) for f in fields(value))
        return {
            f.name: to_document(member)
            for f, member in members
            if not (member is None and f.metadata.get("optional"))
        }
    if isinstance(value, Mapping):
        return {str(key): to_document(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [to_document(member) for member in value]
    return value
