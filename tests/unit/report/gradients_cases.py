"""Reports of the study gradients, for the laws over every renderer."""

from __future__ import annotations

from collections.abc import Mapping

from netdistance.quantities import Estimate, Exact, Quantity, Skipped
from netdistance.report.document import BoundRow, Report, TensorRow, Verdict
from netdistance.report.gradient_rows import Descent, GradientPoint, Move, TensorGradient


def gradients(
    provenance: Mapping[str, object],
    *tensors: str,
    change: Quantity | None = None,
    sizes: tuple[float, ...] = (0.01, 0.1),
    pair: bool = False,
) -> Report:
    """Step and noise, and toward b with `pair`; every number is `change` where it is given."""
    moves: tuple[Move, ...] = ("step", "noise", "pair") if pair else ("step", "noise")
    rays: tuple[Move, ...] = ("step", "pair") if pair else ("step",)
    return Report(
        study="gradients",
        provenance={**provenance, "settings": {"scope": "weights", "draws": 8}},
        verdict=Verdict("The gradient has broken down at a step of 1%."),
        tensors=tuple(TensorRow(name, (3, 4), "F32", None, name, {}) for name in tensors),
        reference_loss=Estimate(0.5, 0.01),
        reference_accuracy=Estimate(0.9, 0.01),
        gradients=tuple(place(m, size, tensors, change) for m in moves for size in sizes),
        descent=tuple(
            Descent(
                move,
                change or Exact(1.0),
                (bound("max_relative_step", change or Exact(0.4), change or Exact(0.02)),),
            )
            for move in rays
        ),
    )


def place(
    move: Move, size: float, tensors: tuple[str, ...], change: Quantity | None = None
) -> GradientPoint:
    """A move whose gradient changes by 30 times its size, as trust says only the first time."""
    trust = Exact(0.4 if size < 0.05 else size)
    known = change or (Estimate(30.0 * size, size) if move == "noise" else Exact(30.0 * size))
    loss = change or Exact(0.5 - size)
    alone = loss if move == "step" else None
    lemma = bound("loss_change", change or Estimate(0.1, 0.0), change or Exact(-size))
    row = bound("deep_relative_trust", change or trust, known)
    return GradientPoint(
        move,
        size,
        known,
        loss,
        (row,) if move == "noise" else (row, lemma),
        tuple(
            TensorGradient(name, Exact(size), Skipped("zero") if i == 3 else known, alone)
            for i, name in enumerate(tensors)
        ),
    )


def bound(name: str, value: Quantity, measured: Quantity) -> BoundRow:
    """A row of 16 inputs."""
    standing = "estimated" if name == "loss_change" else "modelled"
    return BoundRow(name, standing, "known", 16, value, measured, ("a model, not a bound",))  # type: ignore[arg-type]
