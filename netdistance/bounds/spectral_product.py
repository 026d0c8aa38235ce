"""The product of spectral norms: a model of input-output sensitivity where there is no graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from netdistance.linalg.interval_arithmetic import log10_product
from netdistance.quantities import Interval, Quantity, Skipped
from netdistance.report.document import BoundRow, LayerNorm
from netdistance.report.wording import count

MODEL = (
    "a model, not a bound: without the graph, the product is read as if the weights formed one "
    "chain with steps of Lipschitz constant 1 between them"
)

# what was measured is no deviation either
MEASURED_ELSEWHERE = "a ratio of distances and no deviation: see sensitivity.input_output"


def spectral_product(
    layers: Sequence[LayerNorm],
    tied: Mapping[str, str] = MappingProxyType({}),
    *,
    ran: bool = False,
) -> BoundRow:
    """The row of prod_l |W_l|_2 over the weights that have a norm; the others are named.

    A name in `tied` has elements that another has, and does not count. `ran` says whether the
    network was run: then what was measured stands in the report's `input_output`.

    Each norm is proved, and so is the interval of the product, `log10`. What is modelled is to read
    it as |f(x) - f(y)| / |x - y|: that holds for f = W_L s(... s(W_1 x)) with s of Lipschitz
    constant 1, and not where branches add, where a layer is used again or where a normalisation
    scales. `value` is skipped, as it would have to be a deviation of outputs.
    """
    layers = [layer for layer in layers if layer.name not in tied]
    missing = [layer.name for layer in layers if isinstance(layer.spectral_norm, Skipped)]
    assumptions = [MODEL, f"product over {count(len(layers) - len(missing), 'weight')}"]
    if tied:
        assumptions.append(f"{count(len(tied), 'tied tensor')} counted once")
    if missing:
        assumptions.append(f"partial, without: {', '.join(missing)}")
    return BoundRow(
        name="spectral_product",
        standing="modelled",
        over="known",
        inputs=None,
        value=Skipped("a ratio of distances and no deviation: see log10"),
        measured=Skipped(MEASURED_ELSEWHERE if ran else "needs --model and --inputs"),
        assumptions=tuple(assumptions),
        log10=_log10(layers),
    )


def _log10(layers: Sequence[LayerNorm]) -> Quantity:
    norms = [(y.name, y.spectral_norm) for y in layers if isinstance(y.spectral_norm, Interval)]
    vanished = [name for name, norm in norms if norm.lower <= 0.0]
    if vanished:
        return Skipped(f"the norm of {vanished[0]} is 0 or below float64: no logarithm")
    if not norms:
        return Skipped("no weight has a norm")
    return log10_product([norm for _, norm in norms])
