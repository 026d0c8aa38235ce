"""Which layers of b to keep as they are in a: mixed networks, each measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State
from netdistance.pairing.layers import layer_of
from netdistance.probes.deviation import Reference, mean_over_inputs, run
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Quantity, Skipped, point

# an entry that lowers the deviation by less than this share of b's is not worth its bits
LEAST_GAIN = 0.01

Kept = tuple[str, Quantity, Quantity]  # layer, gain, deviation of the mixed network


def tensors_of(network: Network, state: State) -> dict[str, tuple[str, ...]]:
    """The tensors of each layer, by every name that they have in a state; tied ones with their first."""
    groups: dict[str, list[str]] = {}
    for name in state:
        groups.setdefault(layer_of(network.ties.get(name, name)), []).append(name)
    return {layer: tuple(names) for layer, names in groups.items()}


def keep_layers(
    network: Network,
    a: State,
    b: State,
    inputs: Batch,
    reference: Reference,
    gains: Mapping[str, Quantity],
    most: int,
    *,
    batch_size: int,
    progress: Progress = SILENT,
) -> tuple[Kept, ...]:
    """Layers to keep from a, the most useful first: their gain when added, and what is left then.

    `gains` are the expected ones: they give the order, and every entry is measured: b with this
    layer and those before it from a, against `reference`, the outputs of a. A layer that lowers the
    mean deviation by less than 1% of b's is left out, and after one such in a row of three the list
    ends. At most 1 + most + 3 forwards over the inputs.
    """
    deviation = reference.deviation(run(network, b, inputs, batch_size=batch_size))
    total = point(mean_over_inputs(deviation))
    order = _order(gains)
    if not total or most < 1:
        return ()
    layers = tensors_of(network, b)
    kept: list[Kept] = []
    mixed, missed = dict(b), 0
    with progress.task("measuring which layers to keep", most) as advance:
        for layer in order:
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


# layers in a row without a gain, after which those with still less expected are not tried
_MISSES = 3


def _order(gains: Mapping[str, Quantity]) -> Sequence[str]:
    known = {layer: value for layer, q in gains.items() if (value := point(q)) is not None}
    return sorted((n for n, gain in known.items() if gain > 0.0), key=known.__getitem__, reverse=True)
