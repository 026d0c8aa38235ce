"""Which layers of b to keep as they are in a: mixed networks, each measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State
from netdistance.probes.attribution import tensors_by_layer
from netdistance.probes.deviation import Reference, mean_over_inputs, run
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Quantity, Skipped, point

# an entry that lowers the deviation by less than this share of b's is not worth its bits
LEAST_GAIN = 0.01

# layers in a row without a gain, after which those with still less expected are not tried
_MISSES = 3

Kept = tuple[str, Quantity, Quantity]  # layer, gain, deviation of the mixed network


def keep_layers(
    network: Network,
    a: State,
    b: State,
    inputs: Batch,
    reference: Reference,
    gains: Mapping[str, Quantity],
    deviation: Tensor,
    most: int,
    *,
    batch_size: int,
    progress: Progress = SILENT,
) -> tuple[Kept, ...]:
    """Layers to keep from a, the most useful first: their gain when added, and what is left then.

    `gains` are the expected ones: they give the order, and every entry is measured: b with this
    layer and those before it from a, against `reference`, the outputs of a. `deviation` (N,) is
    b's.
    A layer that lowers the mean by less than 1% of b's is left out, and three such in a row end the
    list. At most 3 (most + 1) forwards over the inputs, mostly 3 + the length of the list.
    """
    total = point(mean_over_inputs(deviation))
    if not total or most < 1:
        return ()
    layers = tensors_by_layer(network, b)
    kept: list[Kept] = []
    mixed, missed = dict(b), 0
    with progress.task("measuring which layers to keep", most) as advance:
        for layer in _order(gains):
            if len(kept) == most or missed == _MISSES:
                break
            trial = {**mixed, **{name: a[name] for name in layers[layer]}}
            after = reference.deviation(run(network, trial, inputs, batch_size=batch_size))
            gain, left = mean_over_inputs(deviation - after), mean_over_inputs(after)
            if (point(gain) or 0.0) < LEAST_GAIN * total or isinstance(left, Skipped):
                missed += 1
                continue
            kept.append((layer, gain, left))
            mixed, deviation, missed = trial, after, 0
            advance(1)
    return tuple(kept)


def _order(gains: Mapping[str, Quantity]) -> Sequence[str]:
    known = {layer: value for layer, q in gains.items() if (value := point(q)) is not None}
    useful = (layer for layer, gain in known.items() if gain > 0.0)
    return sorted(useful, key=known.__getitem__, reverse=True)
