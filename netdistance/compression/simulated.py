"""One layer stored under one scheme: how far it moves, in how many bits, and what that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import Checkpoint
from netdistance.compression.base import Floats, Scheme
from netdistance.compression.layers import Layer, Weight
from netdistance.distances.noise_floor import LEAST_SCALE, Rounding, rounding_multiples
from netdistance.distances.relative import relative_frobenius
from netdistance.linalg.leaves import BATCH_ELEMENTS, LEAF_ELEMENTS
from netdistance.linalg.rounding_sums import RoundingSums
from netdistance.linalg.sums import PairSums, Workspace
from netdistance.pairing.match import TensorPair
from netdistance.quantities import Quantity, Skipped, point
from netdistance.report.audit_rows import AuditVerdict

# as the verdicts of an audit of two files: beyond it, a weight is no longer the one it was
BROKEN = 0.5
# nominal rounding is within 10% of real rounding on large Gaussian weights, further on small ones
MOST_MULTIPLE = 1.2
_REMOVES = "it removes numbers, which no rounding does"
_NOT_FINITE = "the weight is not finite"


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a scheme does to a layer. `relative` is the distance of each weight, by its name."""

    scheme: Scheme
    layer: Layer
    bits: int
    distance: Quantity
    relative: Mapping[str, float]
    verdict: AuditVerdict
    rounding_of: str | None
    reason: str | None

    @property
    def bits_per_weight(self) -> float:
        """Bits that are stored over numbers that they mean."""
        return self.bits / self.layer.elements


# the first-order effect of a layer, given how far each of its weights moves
Predict = Callable[[Simulated], Quantity]


def compressed(weight: NDArray[Any], scheme: Scheme) -> Floats:
    """The numbers that the scheme would store of a finite weight, float32."""
    narrow = weight.astype(np.float32, copy=False)
    return scheme.decode(scheme.encode(narrow), weight.shape)


def bits_of(layer: Layer, scheme: Scheme) -> int:
    """How many bits the weights of a layer would take."""
    return sum(scheme.bits(weight.spec.shape, weight.held) for weight in layer.weights)


@dataclass(frozen=True, slots=True)
class LayerValues:
    """The numbers of a layer's weights, by name, and what rounding each would cost."""

    layer: Layer
    values: Mapping[str, NDArray[Any]]
    rounding: Mapping[str, Rounding | None]

    @classmethod
    def read(cls, checkpoint: Checkpoint, layer: Layer, *, floors: bool) -> LayerValues:
        """The layer from its file; `floors` says whether a scheme has the grid of a noise floor.

        Raises:
            CheckpointError: the file ended early or cannot be read.
        """
        values = {w.spec.name: checkpoint.read(w.spec.name) for w in layer.weights}
        return cls(layer, values, {n: _rounding(v) if floors else None for n, v in values.items()})

    def under(self, scheme: Scheme) -> tuple[Simulated, dict[str, Floats]]:
        """What the scheme does to the layer, and the numbers that it would store, by name.

        Memory holds the layer, its copy, and the codes between them.
        """
        stored: dict[str, Floats] = {}
        measured = []
        for weight in self.layer.weights:
            name = weight.spec.name
            values = self.values[name]
            # what is not finite is compared with itself, which says so
            changed = compressed(values, scheme) if can_store(values) else values
            stored[name] = changed
            sums = _sums(values, changed)
            measured.append(_Measured(weight, sums, self._multiple(weight, scheme, sums)))
        return _judged(self.layer, scheme, measured), stored

    def _multiple(self, weight: Weight, scheme: Scheme, sums: PairSums) -> Quantity | None:
        if scheme.floor is None or not sums.finite:
            return None
        pair = TensorPair(weight.spec.name, weight.spec, weight.spec)
        multiples = rounding_multiples(pair, sums, self.rounding[weight.spec.name])
        return multiples[f"rounding_multiple_{scheme.floor}"]


def can_store(values: NDArray[Any]) -> bool:
    """Whether every number is finite, in float32 as well."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(values.astype(np.float32, copy=False)).all())


@dataclass(frozen=True, slots=True)
class _Measured:
    weight: Weight
    sums: PairSums
    multiple: Quantity | None  # of the scheme's format in the noise floor


def _sums(a: NDArray[Any], b: NDArray[Any]) -> PairSums:
    flat_a, flat_b, work = a.reshape(-1), b.reshape(-1), Workspace()
    parts = (slice(at, at + BATCH_ELEMENTS) for at in range(0, flat_a.size, BATCH_ELEMENTS))
    return PairSums.joined([PairSums.of(flat_a[part], flat_b[part], work) for part in parts])


def _rounding(values: NDArray[Any]) -> Rounding | None:
    if not can_store(values):
        return None
    flat = values.reshape(-1)
    largest = max(float(flat.max()), -float(flat.min()))
    if not LEAST_SCALE < largest < 1.0 / LEAST_SCALE:
        return None
    row, step = values.size // values.shape[0], 64 * LEAF_ELEMENTS
    parts = [
        RoundingSums.of(flat[at : at + step], at, row, largest) for at in range(0, flat.size, step)
    ]
    return Rounding(RoundingSums.joined(parts))


def _judged(layer: Layer, scheme: Scheme, measured: list[_Measured]) -> Simulated:
    joined = PairSums.joined([found.sums for found in measured])
    finite = joined.finite
    before = sum(found.sums.non_finite_a for found in measured)
    distance: Quantity = relative_frobenius(joined) if finite else Skipped(_why_not_finite(before))
    verdict, judged_by, reason = _verdict(scheme, distance, measured)
    relative = {
        name: value
        for found in measured
        for name in (found.weight.spec.name,)
        if found.sums.finite and (value := point(relative_frobenius(found.sums))) is not None
    }
    return Simulated(
        scheme, layer, bits_of(layer, scheme), distance, relative, verdict, judged_by, reason
    )


def _why_not_finite(before: int) -> str:
    return _NOT_FINITE if before else "some of its numbers are beyond what the scheme can hold"


def _verdict(
    scheme: Scheme, distance: Quantity, measured: list[_Measured]
) -> tuple[AuditVerdict, str | None, str | None]:
    """The word, the format whose rounding it was judged by, and why."""
    if isinstance(distance, Skipped):
        return (
            ("not_compared" if distance.reason == _NOT_FINITE else "broken"),
            None,
            (distance.reason),
        )
    value = point(distance)
    if value == 0.0:
        return "lossless", None, None
    if value is None or value >= BROKEN:
        return "broken", None, f"it moves by half of its size or more ({BROKEN:g})"
    if not scheme.rounds:
        return "more_than_rounding", None, _REMOVES
    multiples = [point(found.multiple) for found in measured if found.multiple is not None]
    known = [multiple for multiple in multiples if multiple is not None]
    if scheme.floor is None or not known:
        return "rounding", scheme.name, "each number became the nearest that the scheme has"
    reason = f"{max(known):.2g} x what {scheme.floor} rounding does"
    return (
        ("rounding" if max(known) <= MOST_MULTIPLE else "more_than_rounding"),
        scheme.floor,
        (reason),
    )
