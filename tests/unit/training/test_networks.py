"""What holds of every network that can be named, on every task that it takes."""

import hashlib
import importlib.util
import itertools
import math

import pytest
import torch
from task_data import data_for
from torch import nn

from netdistance.errors import UsageError
from netdistance.training.initial import INIT_NAMES
from netdistance.training.models import NETWORKS, build_network, mlp, network_names, takes
from netdistance.training.tasks import TASKS, load_task

TASK_OF = {"numbers": "circle", "images": "mnist", "tokens": "text"}


@pytest.fixture(scope="module")
def task_named(tmp_path_factory):
    tasks = {}

    def get(name):
        if name == "digits" and importlib.util.find_spec("sklearn") is None:
            pytest.skip("needs scikit-learn")
        if name not in tasks:
            tasks[name] = load_task(name, data_for(name, tmp_path_factory.mktemp(name)))
        return tasks[name]

    return get


@pytest.fixture(params=NETWORKS, ids=lambda choice: choice.name)
def choice(request):
    return request.param


def built(name, task, *, depth=2, width=8, init="he", seed=0):
    return build_network(name, task, depth=depth, width=width, init=init, seed=seed)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_names():
    assert network_names() == ("mlp", "mlp-tanh", "mlp-residual", "cnn", "transformer")
    assert all(choice.note and len(choice.note) < 70 for choice in NETWORKS)


@pytest.mark.parametrize("task", [choice.name for choice in TASKS])
@pytest.mark.parametrize("init", INIT_NAMES)
def test_on_each_task_it_runs_or_says_which_do(choice, task, init, task_named):
    task = task_named(task)
    if not takes(choice, task):
        fitting = " or ".join(other.name for other in NETWORKS if takes(other, task))
        with pytest.raises(UsageError, match=f"network {choice.name} takes .*: use {fitting}$"):
            built(choice.name, task, init=init)
        return
    torch.rand(3)
    state = torch.random.get_rng_state()
    network, again, other = (built(choice.name, task, init=init, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert network.training
    outputs = network(task.test_inputs[:7])
    assert outputs.shape == (*task.test_targets[:7].shape, task.outputs)
    task.loss(outputs, task.test_targets[:7]).backward()
    bits, same, new = (list(n.state_dict().values()) for n in (network, again, other))
    assert all(torch.equal(one, two) for one, two in zip(bits, same, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(bits, new, strict=True))
    assert {value.dtype for value in bits} == {torch.float32}
    assert all(parameter.grad is not None for parameter in network.parameters())


LAYER = {
    "mlp": lambda width: width**2 + width,
    "mlp-tanh": lambda width: width**2 + width,
    "mlp-residual": lambda width: width**2 + width,
    "cnn": lambda width: 9 * width**2 + width,
    # two norms, query-key-value and out, and the MLP of four times the width
    "transformer": lambda width: (
        4 * width + (4 * width**2 + 4 * width) + (8 * width**2 + 5 * width)
    ),
}


@pytest.mark.parametrize("width", [8, 40])
def test_depth_counts_layers_of_that_width(choice, width, task_named):
    task = task_named(TASK_OF[choice.takes])
    counts = [count(built(choice.name, task, depth=depth, width=width)) for depth in (1, 2, 5)]
    layer = LAYER[choice.name](width)
    assert [b - a for a, b in itertools.pairwise(counts)] == [layer, 3 * layer]
    ends = {
        "numbers": 3 * width + width + 1,
        "images": 10 * width + 10 * width + 10,
        "tokens": task.outputs * width + 64 * width + 2 * width + (width + 1) * task.outputs,
    }[choice.takes]
    assert counts[0] == ends + (layer if choice.name == "transformer" else 0)


def matrices(network):
    """Every weight of a linear or convolution layer, with its name."""
    kinds = (nn.Linear, nn.Conv2d)
    return {name: m for name, m in network.named_modules() if isinstance(m, kinds)}


def gain(choice, name, last):
    """What He's rule, or LeCun's, gives the layer of that name in a network of depth 4."""
    if name == last or choice.name == "mlp-tanh":
        return 1.0
    if choice.name == "transformer":
        return 2.0 if name.endswith("mlp.0") else 1.0
    return 2.0 / 3.0 if name.endswith(".linear") else 2.0


def test_initial_weights_have_the_variance_that_is_said(choice, task_named):
    task = task_named(TASK_OF[choice.takes])
    layers = matrices(built(choice.name, task, depth=4, width=128))
    last = list(layers)[-1]
    assert len(layers) == (17 if choice.name == "transformer" else 5)
    for name, layer in layers.items():
        weight = layer.weight.detach()
        expected = gain(choice, name, last) / weight[0].numel()
        # the standard error of a variance of n normal numbers is sqrt(2/n) of it; at 5 of them
        assert float(weight.var()) == pytest.approx(expected, rel=5 * math.sqrt(2 / weight.numel()))


@pytest.mark.parametrize("init", INIT_NAMES)
def test_biases_and_torch_s_weights_are_uniform_within_their_bound(choice, init, task_named):
    task = task_named(TASK_OF[choice.takes])
    for layer in matrices(built(choice.name, task, depth=3, width=128, init=init)).values():
        bound = 1.0 / math.sqrt(layer.weight[0].numel())
        tensors = (layer.weight, layer.bias) if init == "torch" else (layer.bias,)
        for tensor in tensors:
            assert float(tensor.detach().abs().max()) <= bound
            if tensor.numel() >= 64:
                assert float(tensor.detach().abs().max()) > 0.9 * bound


def test_the_mlp_keeps_its_bits_and_names():
    for network in (
        mlp(inputs=2, outputs=1, depth=3, width=32, seed=0),
        built("mlp", load_task("checkerboard"), depth=3, width=32),
    ):
        digest = hashlib.sha256()
        for name, value in network.state_dict().items():
            digest.update(name.encode() + value.numpy().tobytes())
        assert digest.hexdigest()[:16] == "e6ec0bffb4244d64"


def test_layers_are_numbered_alike_for_images(task_named):
    flat = built("mlp", task_named("circle")).state_dict()
    assert list(built("mlp", task_named("mnist")).state_dict()) == list(flat)


def test_residual_layers_add_to_their_input(task_named):
    task = task_named("circle")
    network = built("mlp-residual", task, depth=3)
    x = torch.relu(network[0](task.train_inputs))
    for layer in (network[2].linear, network[3].linear):
        x = x + torch.relu(layer(x))
    assert torch.equal(network[4](x), network(task.train_inputs))


@pytest.mark.parametrize(("depth", "side"), [(1, 28), (2, 14), (3, 7), (6, 7)])
def test_convolutions_shrink_twice(depth, side, task_named):
    task = task_named("mnist")
    network = built("cnn", task, depth=depth)
    assert network[: 2 * depth](task.test_inputs[:2]).shape == (2, 8, side, side)


def test_a_transformer_does_not_look_ahead(task_named):
    task = task_named("text")
    network = built("transformer", task, depth=2, width=32)
    tokens = task.test_inputs[:2]
    changed = tokens.clone()
    changed[:, 40] = (changed[:, 40] + 1) % task.outputs
    before, after = network(tokens).detach(), network(changed).detach()
    assert torch.allclose(before[:, :40], after[:, :40], atol=1e-6)
    moved = (before - after).abs().amax(dim=(0, 2))[40:]
    assert float(moved.min()) > 1e-6


def test_what_cannot_be_built(task_named):
    task = task_named("circle")
    with pytest.raises(UsageError, match=r"unknown network 'rnn': expected one of mlp, mlp-tanh"):
        built("rnn", task)
    with pytest.raises(UsageError, match=r"unknown init 'zeros': expected one of he, torch"):
        built("mlp", task, init="zeros")
    with pytest.raises(
        UsageError,
        match=r"network cnn takes images .*those of task circle are float32 of shape \(1000, 2\): "
        r"use mlp or mlp-tanh or mlp-residual",
    ):
        built("cnn", task)
