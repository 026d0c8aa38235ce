"""How far each layer moved, and its share of deep relative trust, in the order of the names."""

from __future__ import annotations

from matplotlib.figure import Figure

from netdistance.quantities import point
from netdistance.report.document import Report
from netdistance.report.escape import drawable
from netdistance.report.layers import layers_of

_MOST_LABELS = 40


def layer_figure(report: Report) -> Figure:
    """Two panels of bars, a layer each; a layer without a distance is a hatched bar of full height.

    The change is exact, the share modelled; neither says what the outputs do.
    """
    layers = layers_of(report.tensors)
    changes = [layer.change for layer in layers]
    shares = [layer.share for layer in layers]
    top = max((change for change in changes if change is not None), default=0.0) or 1.0
    figure = Figure(
        figsize=(max(5.0, min(14.0, 0.28 * len(layers) + 2.0)), 5.6), layout="constrained"
    )
    above, below = figure.subplots(2, 1, sharex=True)
    places = range(len(layers))
    above.bar(places, [change or 0.0 for change in changes], color="#0072B2")
    missing = [place for place in places if changes[place] is None]
    if missing:
        above.bar(missing, top, color="none", edgecolor="#999999", hatch="//", label="skipped")
        above.legend(frameon=False)
    above.set(ylabel="|b − a| / |a|", ylim=(0.0, 1.08 * top))
    above.set_title("relative change, the most of each layer", fontsize=9, loc="left")
    below.bar(places, shares, color="#D55E00", hatch="..", edgecolor="white")
    trust = (point(row.value) for row in report.bounds if row.name == "deep_relative_trust")
    amount = next(trust, None)
    title = "deep relative trust, a model" + ("" if amount is None else f": {amount:.3g} in all")
    below.set(ylabel="share of trust", xlabel="layer, in the order of names")
    below.set_title(title, fontsize=9, loc="left")
    step = max(1, -(-len(layers) // _MOST_LABELS))
    below.set_xticks(
        list(places)[::step],
        [drawable(layer.name, 28) for layer in layers[::step]],
        rotation=90,
        fontsize=8,
    )
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
