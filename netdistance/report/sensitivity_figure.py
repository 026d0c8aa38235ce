"""The spectral norm of every weight, in name order, on a logarithmic axis."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netdistance.quantities import Interval
from netdistance.report.document import LayerNorm, Report
from netdistance.report.escape import shortened
from netdistance.report.input_output_figure import draw_input_output

_MOST_LABELS = 40
# matrices and convolutions differ in marker and colour (Okabe and Ito's, safe for colour blindness)
_MATRIX, _KERNEL = ("o", "#0072B2"), ("s", "#D55E00")


def sensitivity_figure(report: Report) -> Figure:
    """An interval for each weight: its proved ends, and a line at norm 1 that stretches nothing."""
    assert report.sensitivity is not None
    layers, product = report.sensitivity.layers, report.sensitivity.log10_product
    shapes = {row.name: row.shape for row in report.tensors}
    width = max(5.0, min(14.0, 0.28 * len(layers) + 2.0))
    figure, axes = _places(report, width)
    for label, (marker, color), kernels in (
        ("matrix", _MATRIX, False),
        ("convolution, stride 1, any size", _KERNEL, True),
    ):
        chosen = [
            (place, layer)
            for place, layer in enumerate(layers)
            if (math.prod(shapes[layer.name][2:]) > 1) is kernels
        ]
        _draw(axes, chosen, label, marker, color)
    missing = [at for at, layer in enumerate(layers) if _ends(layer) is None]
    if missing:
        axes.plot(missing, [0.0] * len(missing), "x", color="#666666", label="skipped, or zero")
    axes.axhline(0.0, color="#999999", linewidth=0.8)
    axes.set(ylabel="log10 of the spectral norm", xlabel="weight")
    title = "spectral norms, proved"
    if isinstance(product, Interval):
        power = f"10^{math.ceil(100.0 * product.upper) / 100.0:.2f}"
        title += f"; product at most {power}\n(read as sensitivity, the product is a model)"
    axes.set_title(title, fontsize=9, loc="left")
    axes.legend(frameon=False, fontsize=8)
    _label(axes, layers)
    return figure


def _places(report: Report, width: float) -> tuple[Figure, Axes]:
    """The figure, and where the weights go: below how far outputs move, where that is known."""
    assert report.sensitivity is not None
    part = report.sensitivity.input_output
    if part is None:
        figure = Figure(figsize=(width, 4.8), layout="constrained")
        return figure, figure.subplots()
    figure = Figure(figsize=(width, 6.4), layout="constrained")
    first, second = figure.subplots(2, 1, height_ratios=(1.0, 3.0))
    draw_input_output(first, report, part)
    return figure, second


def _draw(
    axes: Axes, chosen: list[tuple[int, LayerNorm]], label: str, marker: str, color: str
) -> None:
    drawn = [(place, ends) for place, layer in chosen if (ends := _ends(layer)) is not None]
    if not drawn:
        return
    middles = [0.5 * (low + high) for _, (low, high) in drawn]
    axes.errorbar(
        [place for place, _ in drawn],
        middles,
        yerr=[0.5 * (high - low) for _, (low, high) in drawn],
        fmt=marker,
        color=color,
        capsize=4,
        markersize=4,
        label=label,
    )


def _ends(layer: LayerNorm) -> tuple[float, float] | None:
    norm = layer.spectral_norm
    if not isinstance(norm, Interval) or norm.lower <= 0.0:
        return None
    return math.log10(norm.lower), math.log10(norm.upper)


def _label(axes: Axes, layers: tuple[LayerNorm, ...]) -> None:
    step = max(1, -(-len(layers) // _MOST_LABELS))
    axes.set_xticks(
        range(0, len(layers), step),
        [shortened(layer.name, 28).replace("$", r"\$") for layer in layers[::step]],
        rotation=90,
        fontsize=8,
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
