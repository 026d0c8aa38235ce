"""How far the outputs move with weights stored in fewer bits: one layer alone, or a mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from netdistance.checkpoints.base import Checkpoint
from netdistance.compression.base import Floats, Scheme
from netdistance.compression.frontier import AS_IT_IS, Assignment
from netdistance.compression.layers import Layer, Weight
from netdistance.compression.simulated import compressed
from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import Reference, mean_over_inputs, require_repeatable, run
from netdistance.quantities import Quantity

# a layer alone runs on at most so many inputs, over all runs, or on _FEWEST each
MOST_INPUTS, MOST_RUNS, FEWEST = 256, 8192, 16


@dataclass(frozen=True, slots=True)
class CompressedOutputs:
    """A network, and what it gives as it is; `few` are the inputs on which layers alone run."""

    network: Network
    state: State
    inputs: Batch
    few: int
    reference: Reference
    batch_size: int

    @classmethod
    def of(
        cls, network: Network, state: State, inputs: Batch, *, runs: int, batch_size: int
    ) -> CompressedOutputs:
        """The network on all inputs; `runs` is how often a layer alone will run.

        Raises:
            InputError: the network does not accept the inputs, or its forward is random.
        """
        outputs = run(network, state, inputs, batch_size=batch_size)
        require_repeatable(network, state, inputs, outputs)
        few = min(len(inputs), MOST_INPUTS, max(FEWEST, MOST_RUNS // max(1, runs)))
        return cls(network, state, inputs, few, Reference.of(outputs), batch_size)

    def alone(self, layer: Layer, stored: Mapping[str, Floats]) -> Quantity:
        """The mean relative deviation with one layer's weights replaced, on the few inputs."""
        changed = dict(self.state)
        for weight in layer.weights:
            changed |= self.placed(weight, stored[weight.spec.name])
        outputs = run(self.network, changed, self.inputs[: self.few], batch_size=self.batch_size)
        return mean_over_inputs(self.reference.first(self.few).deviation(outputs))

    def whole(self, state: State) -> Quantity:
        """The mean relative deviation of a whole state, on all inputs."""
        outputs = run(self.network, state, self.inputs, batch_size=self.batch_size)
        return mean_over_inputs(self.reference.deviation(outputs))

    def placed(self, weight: Weight, values: Floats) -> dict[str, Tensor]:
        """A weight under each of its names in the state, as the network holds it."""
        ties = self.network.ties
        mine = {ties.get(name, name) for name in weight.names}
        names = [name for name in self.state if ties.get(name, name) in mine]
        if not names:
            return {}
        tensor = torch.from_numpy(values).to(self.network.device, self.state[names[0]].dtype)
        return dict.fromkeys(names, tensor)


class Mixture:
    """A network with every layer stored as an assignment says; only what changes is stored anew."""

    def __init__(
        self,
        outputs: CompressedOutputs,
        checkpoint: Checkpoint,
        layers: tuple[Layer, ...],
        schemes: tuple[Scheme, ...],
    ) -> None:
        """The network as it is."""
        self._outputs, self._checkpoint = outputs, checkpoint
        self._layers = {layer.name: layer for layer in layers}
        self._schemes = {scheme.name: scheme for scheme in schemes}
        self._state = dict(outputs.state)
        self._now = dict.fromkeys(self._layers, AS_IT_IS)

    def deviation(self, assignment: Assignment) -> Quantity:
        """The mean relative deviation of the outputs under an assignment, on all inputs.

        Raises:
            CheckpointError: the file ended early or cannot be read.
        """
        for name, scheme in assignment.items():
            if self._now[name] != scheme:
                self._store(self._layers[name], scheme)
                self._now[name] = scheme
        return self._outputs.whole(self._state)

    def _store(self, layer: Layer, scheme: str) -> None:
        for weight in layer.weights:
            values = self._checkpoint.read(weight.spec.name)
            if scheme != AS_IT_IS:
                values = compressed(values, self._schemes[scheme])
            self._state |= self._outputs.placed(weight, values)
