"""Networks to train, initialised from a generator of their own."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from netdistance.errors import InputError, UsageError, first_line
from netdistance.training.initial import INIT_NAMES, RELU_GAIN, InitName, LayerMaker
from netdistance.training.signature import Signature
from netdistance.training.tasks.own_code import own_code
from netdistance.training.tasks.task import Task
from netdistance.training.transformer import Transformer

InputKind = Literal["numbers", "images", "tokens"]
_SHAPES: dict[InputKind, str] = {
    "numbers": "floats (N, ...)",
    "images": "images (N, channels, height, width)",
    "tokens": "tokens, int64 (N, T)",
}
_STRIDED = (1, 2)  # the second and the third convolution: 28 x 28 becomes 7 x 7, 8 x 8 2 x 2


@dataclass(frozen=True, slots=True)
class NetworkChoice:
    """A name, what it is, what inputs it takes, and how to make it."""

    name: str
    note: str
    takes: InputKind
    build: Callable[[Signature, int, int, LayerMaker], nn.Module]  # of a depth and a width


def mlp(
    *, inputs: int, outputs: int, depth: int, width: int, seed: int, init: InitName = "he"
) -> nn.Sequential:
    """A ReLU network of `depth` hidden layers of `width` neurons, with biases, in float32.

    It is initialised as `LayerMaker` says, from a generator of its own.

    >>> [tuple(p.shape) for p in mlp(inputs=2, outputs=1, depth=2, width=4, seed=0).parameters()]
    [(4, 2), (4,), (4, 4), (4,), (1, 4), (1,)]
    """
    make = LayerMaker.of(init, seed)
    return nn.Sequential(*_dense(make, [inputs, *[width] * depth], outputs, nn.ReLU))


def _dense(
    make: LayerMaker, sizes: list[int], outputs: int, activation: type[nn.ReLU | nn.Tanh]
) -> list[nn.Module]:
    gain = RELU_GAIN if activation is nn.ReLU else 1.0
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [make.linear(fan_in, fan_out, gain=gain), activation()]
    return [*layers, make.linear(sizes[-1], outputs)]


def _relu_mlp(of: Signature, depth: int, width: int, make: LayerMaker) -> nn.Module:
    return _flat(of, _dense(make, [of.features, *[width] * depth], of.outputs, nn.ReLU))


def _tanh_mlp(of: Signature, depth: int, width: int, make: LayerMaker) -> nn.Module:
    return _flat(of, _dense(make, [of.features, *[width] * depth], of.outputs, nn.Tanh))


def _residual_mlp(of: Signature, depth: int, width: int, make: LayerMaker) -> nn.Module:
    first = [make.linear(of.features, width, gain=RELU_GAIN), nn.ReLU()]
    blocks = [ResidualLayer(make, width, gain=RELU_GAIN / (depth - 1)) for _ in range(depth - 1)]
    return _flat(of, [*first, *blocks, make.linear(width, of.outputs)])


class ResidualLayer(nn.Module):
    """x + relu(W x + b), of as many outputs as inputs.

    In a stack of L its gain is RELU_GAIN / L (Hayou et al. 2021, arXiv 2010.12859). With
    RELU_GAIN an untrained network's outputs grow 7,000-fold from 2 hidden layers to 20, with this
    2-fold (width 64, task gauss).
    """

    def __init__(self, make: LayerMaker, width: int, *, gain: float) -> None:
        super().__init__()
        self.linear = make.linear(width, width, gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        """The input and what the layer adds to it."""
        return x + torch.relu(self.linear(x))


def _flat(of: Signature, layers: list[nn.Module]) -> nn.Module:
    """The layers over flattened inputs; they are numbered alike whether inputs are flat or not."""
    flatten = {"flatten": nn.Flatten()} if len(of.inputs) > 1 else {}
    numbered = {str(number): layer for number, layer in enumerate(layers)}
    return nn.Sequential(OrderedDict[str, nn.Module](**flatten, **numbered))


def _cnn(of: Signature, depth: int, width: int, make: LayerMaker) -> nn.Module:
    sizes = [of.inputs[0], *[width] * depth]
    layers: list[nn.Module] = []
    for place, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        stride = 2 if place in _STRIDED else 1
        layers += [make.conv3x3(inputs, outputs, stride=stride), nn.ReLU()]
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), make.linear(width, of.outputs)]
    return nn.Sequential(*layers, *pooled)


def _transformer(of: Signature, depth: int, width: int, make: LayerMaker) -> nn.Module:
    return Transformer(
        make,
        vocabulary=of.vocabulary or 1,
        context=of.inputs[0],
        depth=depth,
        width=width,
        outputs=of.outputs,
        per_token=of.per_token,
    )


NETWORKS: tuple[NetworkChoice, ...] = (
    NetworkChoice("mlp", "ReLU; depth counts hidden layers", "numbers", _relu_mlp),
    NetworkChoice("mlp-tanh", "the same with tanh", "numbers", _tanh_mlp),
    NetworkChoice(
        "mlp-residual", "hidden layers x + relu(W x + b) after the first", "numbers", _residual_mlp
    ),
    NetworkChoice(
        "cnn", "depth 3 x 3 convolutions of width channels, then their mean", "images", _cnn
    ),
    NetworkChoice(
        "transformer", "depth causal blocks, width numbers a token", "tokens", _transformer
    ),
)


def network_names() -> tuple[str, ...]:
    """The names that `build_network` knows."""
    return tuple(choice.name for choice in NETWORKS)


def build_network(
    name: str, task: Task, *, depth: int, width: int, init: str, seed: int
) -> nn.Module:
    """The network of that name for a task, or the task's own where it brings one.

    The same arguments give the same bits. `init` is "he" or "torch", as `LayerMaker` says; a
    task's own network is made with torch's generator set to `seed`, and put back after. The
    network has been tried on two examples of each set.

    Raises:
        UsageError: no network or init has that name, or it does not take the task's inputs.
        InputError: the task's own network, loss or accuracy does not work.
    """
    if task.build is not None:
        network = _own_network(task, depth=depth, width=width, seed=seed)
    else:
        _require_kind(_find_network(name), task)
        network = untrained(
            name, Signature.of(task), depth=depth, width=width, init=init, seed=seed
        )
    _try(network, task)
    return network


def untrained(
    name: str, of: Signature, *, depth: int, width: int, init: str = INIT_NAMES[0], seed: int = 0
) -> nn.Module:
    """The network of that name for inputs and outputs of a signature, with initial weights.

    Raises:
        UsageError: no network or init has that name.
    """
    return _find_network(name).build(of, depth, width, LayerMaker.of(init, seed))


def _find_network(name: str) -> NetworkChoice:
    for choice in NETWORKS:
        if choice.name == name:
            return choice
    raise UsageError(f"unknown network {name!r}: expected one of {', '.join(network_names())}")


def takes(choice: NetworkChoice, task: Task) -> bool:
    """Whether a network takes the inputs of a task."""
    of = Signature.of(task)
    match choice.takes:
        case "tokens":
            return of.vocabulary is not None and len(of.inputs) == 1
        case "images":
            return of.vocabulary is None and len(of.inputs) == 3
        case "numbers":
            return of.vocabulary is None


def _require_kind(choice: NetworkChoice, task: Task) -> None:
    if takes(choice, task):
        return
    kind = str(task.train_inputs.dtype).removeprefix("torch.")
    found = f"{kind} of shape {tuple(task.train_inputs.shape)}"
    fitting = [other.name for other in NETWORKS if takes(other, task)]
    raise UsageError(
        f"network {choice.name} takes {_SHAPES[choice.takes]}; those of task {task.name} are "
        f"{found}: use {' or '.join(fitting) or 'a network of its own'}"
    )


def _own_network(task: Task, *, depth: int, width: int, seed: int) -> nn.Module:
    assert task.build is not None
    try:
        # torch.nn draws initial weights from the global generator, which is put back after
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            network = task.build(depth=depth, width=width, seed=seed)
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        what = f"{type(error).__name__}: {first_line(error)}"
        called = "it is called with depth=, width= and seed="
        raise InputError(f"task {task.name}: its build failed: {what}; {called}") from error
    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise InputError(
            f"task {task.name}: its build returned a {kind}, expected a torch.nn.Module"
        )
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise InputError(f"task {task.name}: its network has no parameter to train")
    return network


def _try(network: nn.Module, task: Task) -> None:
    """Run and judge two examples of each set, so that what does not fit is said before a run."""
    network.eval()
    for inputs, targets in (
        (task.train_inputs, task.train_targets),
        (task.test_inputs, task.test_targets),
    ):
        # the largest target is the class that a network has no output for, if there is one
        rows = torch.stack([torch.tensor(0), targets.reshape(len(targets), -1).amax(1).argmax()])
        _judge(network, task, inputs[rows], targets[rows])
    network.train()


def _judge(network: nn.Module, task: Task, inputs: Tensor, targets: Tensor) -> None:
    what = f"its network and loss fail on two examples, of shape {tuple(inputs.shape)}"
    with own_code(task, what), torch.random.fork_rng(devices=[]):
        outputs = network(inputs)
        loss = task.loss(outputs, targets)
        if loss.shape != ():
            raise ValueError(f"the loss has shape {tuple(loss.shape)}, expected one number")
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        network.zero_grad()
        if task.accuracy is not None:
            float(task.accuracy(outputs, targets))
