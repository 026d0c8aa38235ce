"""Reports of the study width, for the laws over every renderer."""

from __future__ import annotations

from collections.abc import Mapping

from netdistance.quantities import Estimate, Exact, Interval, Quantity
from netdistance.report.document import Report, TensorRow, Verdict
from netdistance.report.width_rows import Against, Curvature, WidthRatio, WidthRow


def width(
    provenance: Mapping[str, object],
    *layers: str,
    radius: Quantity | None = None,
    against: bool = False,
) -> Report:
    """Random and worst radii of all layers and of each; every one is `radius` where it is given."""
    rows: list[WidthRow] = []
    for place, layer in enumerate((None, *layers)):
        random = radius or Estimate(0.1 * (place + 1), 0.01)
        quantiles = {} if radius else {"0.0": 0.05, "0.5": 0.1 * (place + 1), "1.0": 2.0}
        around = {} if radius else {"lower_95": 0.08, "upper_95": 0.12 * (place + 1)}
        rows.append(WidthRow("random", layer, 0.1, random, "loss", quantiles, around))
        rows.append(WidthRow("worst", layer, 0.1, radius or Exact(0.004), "loss"))
    value = radius or Interval(1.9, 2.1)
    curvature = Curvature(1200, (value, value), radius or Estimate(7.0, 0.3), value)
    loss, accuracy = Estimate(0.5, 0.01), Estimate(0.9, 0.01)
    ratio = tuple(WidthRatio(r.directions, r.layer, radius or Estimate(1.5, 0.1)) for r in rows)
    settings = {"scope": "weights", "draws": 16, "layer_draws": 4}
    return Report(
        study="width",
        provenance={**provenance, "settings": settings},
        verdict=Verdict("The minimum bears 10% random noise in every layer."),
        tensors=tuple(TensorRow(name, (3, 4), "F32", None, name, {}) for name in layers),
        reference_loss=loss,
        reference_accuracy=accuracy,
        width=tuple(rows),
        curvature=curvature,
        against=Against(loss, accuracy, tuple(rows), ratio, curvature) if against else None,
    )
