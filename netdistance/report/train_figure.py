"""Learning-rate sensitivity: the final training loss against the learning rate."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netdistance.report.document import Report
from netdistance.report.escape import drawable
from netdistance.report.run_groups import RunGroup, group_runs

# Okabe and Ito's colours, told apart by colour-blind readers; marker and dashes tell them apart in
# grey as well
_STYLES = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "D", ":"),
    ("#56B4E9", "v", (0, (5, 1, 1, 1, 1, 1))),
    ("#000000", "P", (0, (1, 3))),
)
_LOWEST_LOSS = 1e-12  # where a logarithmic axis ends: a loss of 0 is drawn here
_TOP = 0.96  # diverged runs, in the axes' own units


def train_figure(report: Report) -> Figure:
    """A panel per depth, a line per optimiser: mean over seeds, bars from lowest to highest.

    Diverged runs are crosses along the top edge, and take no part in the lines.
    """
    groups = group_runs(report.runs or (), by_depth=True)
    depths = list(dict.fromkeys(group.depth for group in groups))
    names = list(dict.fromkeys(group.optimizer for group in groups))
    figure = Figure(figsize=(1.2 + 3.6 * max(1, len(depths)), 3.8), layout="constrained")
    panels = figure.subplots(1, max(1, len(depths)), sharex=True, sharey=True, squeeze=False)[0]
    for axes, depth in zip(panels, depths, strict=False):
        for index, name in enumerate(names):
            members = [g for g in groups if g.depth == depth and g.optimizer == name]
            _draw_optimizer(axes, name, members, index=index, of=len(names))
        _label(axes, f"{depth} hidden layer{'' if depth == 1 else 's'}")
    panels[0].set_ylabel("final training loss")
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _draw_optimizer(
    axes: Axes, name: str, groups: Sequence[RunGroup], *, index: int, of: int
) -> None:
    color, marker, dashes = _STYLES[index % len(_STYLES)]
    drawn = [(g.lr, losses) for g in sorted(groups, key=lambda g: g.lr) if (losses := _losses(g))]
    means = [statistics.fmean(losses) for _, losses in drawn]
    axes.errorbar(
        [lr for lr, _ in drawn],
        means,
        yerr=[
            [mean - min(losses) for mean, (_, losses) in zip(means, drawn, strict=True)],
            [max(losses) - mean for mean, (_, losses) in zip(means, drawn, strict=True)],
        ],
        # matplotlib would leave a name with a leading underscore out of the legend
        label=drawable(name, 28) if not name.startswith("_") else f" {drawable(name, 28)}",
        color=color,
        marker=marker,
        linestyle=dashes,
        capsize=3,
        markersize=5,
    )
    # a row of their own per optimiser, so that crosses at one learning rate do not hide each other
    height = _TOP - 0.05 * index
    for group in groups:
        if group.diverged:
            axes.plot(
                [group.lr],
                [height],
                transform=axes.get_xaxis_transform(),
                color=color,
                marker="x",
                markersize=7,
                markeredgewidth=1.8,
                linestyle="none",
            )


def _losses(group: RunGroup) -> list[float]:
    return [
        max(loss, _LOWEST_LOSS)
        for run in group.runs
        if run.status == "finished" and (loss := run.final["train_loss"]) is not None
    ]


def _label(axes: Axes, title: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(f"{title} (× diverged)", fontsize="medium")
    axes.set_xlabel("learning rate")
    axes.grid(visible=True, which="major", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.08, y=0.25)
