"""The part of simulate that runs a network: its outputs as it is, and the first-order effects."""

from __future__ import annotations

from netdistance.bounds.estimates import first_order
from netdistance.checkpoints import Checkpoint
from netdistance.compression.layers import Layer
from netdistance.compression.simulated import Predict, Simulated
from netdistance.probes.compressed_outputs import CompressedOutputs
from netdistance.quantities import Estimate, Quantity, Skipped
from netdistance.studies.run_options import Run
from netdistance.studies.simulate_options import SimulateOptions

# a first-order estimate by 16 random directions hardly gains from more inputs
ESTIMATE_INPUTS = 64


def prepared(
    checkpoint: Checkpoint,
    layers: tuple[Layer, ...],
    opened: Run,
    options: SimulateOptions,
    runs: int,
) -> tuple[CompressedOutputs, Predict]:
    """The network as it is, and what predicts the effect of a layer to first order."""
    network, batch_size = opened.network, options.batch_size
    state = network.state_from(checkpoint)
    outputs = CompressedOutputs.of(network, state, opened.inputs, runs=runs, batch_size=batch_size)
    ties, parameters = network.ties, set(network.parameters)
    first = {
        w.spec.name: ties[w.spec.name]
        for layer in layers
        for w in layer.weights
        if ties.get(w.spec.name) in parameters
    }
    few = opened.inputs[: min(ESTIMATE_INPUTS, outputs.few)]
    names = tuple(dict.fromkeys(first.values()))
    order = first_order(network, state, few, names, batch_size=batch_size, seed=options.seed)

    def predict(found: Simulated) -> Quantity:
        effects = []
        for name, relative in found.relative.items():
            if name not in first:
                return Skipped("one of its weights is no parameter")
            effects.append((order.rms([first[name]]), relative))
        if len(effects) < len(found.layer.weights):
            return Skipped("one of its weights has no distance")
        return _together(effects)

    return outputs, predict


def _together(effects: list[tuple[Quantity, float]]) -> Quantity:
    """The root of the sum of squares of unit effects, each times its relative distance."""
    total = error = 0.0
    for unit, relative in effects:
        if not isinstance(unit, Estimate):
            return unit
        total += (unit.value * relative) ** 2
        error += (unit.value * unit.stderr * relative**2) ** 2
    root = total**0.5
    return Estimate(root, error**0.5 / root if root > 0.0 else 0.0)
