"""Tasks that a user's function returns, in every form, and what is said of those that are not."""

import numpy as np
import pytest
import torch

from netdistance.errors import InputError
from netdistance.training.models import build_network
from netdistance.training.tasks import data_fingerprint, load_task

HEAD = """
import numpy as np, torch
from torch import nn
from netdistance import Task

x, y = torch.rand(12, 3), torch.arange(12) % 3
tx, ty = torch.rand(6, 3), torch.arange(6) % 3

def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets)

def task(**changes):
    parts = dict(name="mine", train_inputs=x, train_targets=y, test_inputs=tx, test_targets=ty,
                 outputs=3, loss=loss, accuracy=None)
    return Task(**parts | changes)

def net(depth, width, seed):
    return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 3))
"""


def load(tmp_path, returned, *, head=HEAD):
    path = tmp_path / "own.py"
    path.write_text(f"{head}\ndef make():\n    return {returned}\n")
    return load_task(f"{path}:make")


@pytest.mark.parametrize(
    "returned",
    [
        "(x, y, tx, ty)",
        "(x.numpy(), y.numpy(), tx.numpy(), ty.numpy())",
        "(x.double(), y.int(), tx.double(), ty.int())",
        "(x.tolist(), y.tolist(), tx.tolist(), ty.tolist())",
        "dict(train_inputs=x, train_targets=y, test_inputs=tx, test_targets=ty)",
    ],
)
def test_classes_in_every_form(tmp_path, returned):
    task = load(tmp_path, returned)
    assert (task.name, task.outputs, task.network) == ("make", 3, "mlp")
    assert (task.train_inputs.dtype, task.train_targets.dtype) == (torch.float32, torch.int64)
    network = build_network(task.network, task, depth=1, width=4, init="he", seed=0)
    outputs = network(task.train_inputs).detach()
    expected = torch.nn.functional.cross_entropy(outputs, task.train_targets)
    assert float(task.loss(outputs, task.train_targets)) == float(expected)
    assert task.accuracy is not None


@pytest.mark.parametrize(("shape", "outputs"), [("", 1), (", 1", 1), (", 2", 2)])
def test_floats_are_regression(tmp_path, shape, outputs):
    task = load(tmp_path, f"(x, 5 * torch.rand(12{shape}), tx, torch.rand(6{shape}))")
    assert (task.outputs, task.accuracy) == (outputs, None)
    network = build_network(task.network, task, depth=1, width=4, init="he", seed=0)
    outputs = network(task.train_inputs).detach().reshape(task.train_targets.shape)
    targets = task.train_targets.numpy().astype(float)
    expected = np.mean((outputs.numpy() - targets) ** 2) / np.mean(targets.var(axis=0))
    assert float(task.loss(outputs, task.train_targets)) == pytest.approx(expected, rel=1e-5)


def test_images_of_bytes_and_truth_values_as_classes(tmp_path):
    images = "torch.randint(0, 256, ({}, 8, 8), dtype=torch.uint8)"
    task = load(tmp_path, f"({images.format(12)}, y > 0, {images.format(6)}, ty > 0)")
    assert task.train_inputs.shape == (12, 1, 8, 8)
    assert 0.9 < float(task.train_inputs.max()) <= 1.0
    assert task.outputs == 2
    build_network("cnn", task, depth=2, width=4, init="torch", seed=0)


@pytest.mark.parametrize("targets", ["{0}.roll(-1, 1)", "{0}[:, 0] % 3"])
def test_tokens_go_to_a_transformer(tmp_path, targets):
    tokens = "torch.arange({0}).reshape(-1, 10) % 7"
    train, test = tokens.format(120), tokens.format(60)
    task = load(
        tmp_path,
        f"({train}, {targets.format(f'({train})')}, {test}, {targets.format(f'({test})')})",
    )
    assert task.network == "transformer"
    network = build_network(task.network, task, depth=1, width=16, init="he", seed=0)
    assert network(task.test_inputs).shape == (*task.test_targets.shape, task.outputs)


def test_a_task_of_their_own_keeps_what_it_says(tmp_path):
    task = load(tmp_path, "task(name='my task', train_inputs=x.double(), note='from a shelf')")
    assert (task.name, task.note, task.outputs) == ("my task", "from a shelf", 3)
    assert task.train_inputs.dtype == torch.float32
    assert len(data_fingerprint(task)) == 16


@pytest.mark.parametrize("returned", ["(x, y, tx, ty, net)", "task(build=net)"])
def test_a_network_of_their_own(tmp_path, returned):
    task = load(tmp_path, returned)
    torch.rand(3)
    state = torch.random.get_rng_state()
    first, again, other = (
        build_network("cnn", task, depth=1, width=5, init="he", seed=seed) for seed in (4, 4, 5)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.training
    assert first[0].weight.shape == (5, 3)
    assert torch.equal(first[0].weight, again[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)


def test_the_same_in_a_module(tmp_path, monkeypatch):
    (tmp_path / "shelf_of_tasks.py").write_text(HEAD + "def rows():\n    return x, y, tx, ty\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_task("shelf_of_tasks:rows").name == "rows"


def test_the_caller_s_generator_is_left_alone(tmp_path):
    state = torch.random.get_rng_state()
    load(tmp_path, "(torch.rand(12, 3), y, torch.rand(6, 3), ty)", head=f"{HEAD}\ntorch.seed()")
    assert torch.equal(torch.random.get_rng_state(), state)


BAD = {
    "1 / 0": "the factory failed: ZeroDivisionError: division by zero",
    "exit(3)": "the factory failed: SystemExit: 3",
    "None": "returned an object of type NoneType, expected a netdistance.Task, or a mapping or tu",
    "(x, y)": "returned a tuple of 2, expected a netdistance.Task",
    "[x, y, tx, ty]": "returned an object of type list, expected",
    "dict(train_inputs=x)": "returned no train_targets, test_inputs, test_targets",
    "dict(train_inputs=x, train_targets=y, test_inputs=tx, test_targets=ty, z=1)": "also z",
    "(x, y[:11], tx, ty)": "train_inputs has 12 examples, train_targets 11, expected as many",
    "(x, y, tx, ty[:2])": "test_inputs has 6 examples, test_targets 2",
    "(x, y, tx[:, :2], ty)": r"test_inputs float32 of shape \(6, 2\), expected examples of one",
    "(x, y, tx, ty.float())": "test_targets float32 of shape",
    "(x.where(x > .5, torch.nan), y, tx, ty)": "train_inputs: holds NaN or infinity",
    "(x, torch.rand(12) / 0, tx, torch.rand(6))": "train_targets: holds NaN or infinity",
    "(x, 1e300 * torch.rand(12).double(), tx, torch.rand(6))": "train_targets: holds NaN or infi",
    "(x, torch.ones(12), tx, torch.rand(6))": "train_targets are all the same number",
    "(x[:0], y[:0], tx, ty)": "train_inputs: is empty",
    "(x, y[:0], tx, ty)": "train_targets: is empty",
    "(x, y, tx[:0], ty[:0])": "test_inputs: is empty",
    "(x, y - 1, tx, ty)": "train_targets: holds labels from -1 to 1, expected them counted from 0",
    "(x, y * 10**9, tx, ty)": "holds labels from 0 to 2000000000, expected .* below 1,000,000",
    "(x, y * 0, tx, ty * 0)": "every label is 0, expected two classes or more",
    "(x, y[:, None], tx, ty[:, None])": r"classes of shape \(12, 1\), expected \(N,\)",
    "(x, y + 1j, tx, ty)": "holds complex64 of shape",
    "(x, 'abc', tx, ty)": "train_targets: ",
    "(x, object(), tx, ty)": "train_targets: of type object, which makes no array",
    "(x[:, 0], y, tx[:, 0], ty)": "train_inputs: has shape 12, expected inputs along the first",
    "(x > 0, y, tx > 0, ty)": "train_inputs: holds truth values",
    "((9 * x).long() - 1, y, (9 * tx).long(), ty)": "holds tokens from -1 to",
    "((9 * x).long()[..., None], y, tx, ty)": r"shape \(12, 3, 1\), expected tokens \(N, T\)",
    "(x, y, tx, ty, 3)": "build is of type int, expected a function",
    "task(outputs=0)": "a Task that lacks outputs, a whole number of 1 or more",
    "task(loss=None)": "a Task that lacks loss, a function of outputs and targets",
    "task(name='a\\nb')": "a Task that lacks name, a printable text",
    "task(name='')": "a Task that lacks name, which is not empty",
    "task(accuracy=1)": "a Task that lacks accuracy, a function or None",
    "task(build=1)": "a Task that lacks build",
    "task(network=None)": "a Task that lacks network",
    "task(train_inputs=None)": "train_inputs: of type NoneType",
    "task(test_targets=ty[:1])": "test_targets 1",
}


@pytest.mark.parametrize("returned", BAD)
def test_bad_factories(tmp_path, returned):
    with pytest.raises(InputError, match=rf"own.py:make: .*{BAD[returned]}") as caught:
        load(tmp_path, returned)
    assert "\n" not in str(caught.value)


def test_bad_places(tmp_path):
    path = tmp_path / "own.py"
    with pytest.raises(InputError, match=r"own.py: no such file"):
        load_task(f"{path}:make")
    path.write_text("make = 3\n")
    with pytest.raises(InputError, match=r"has no callable 'make'; name a function in it"):
        load_task(f"{path}:make")
    path.write_text("def make(:\n")
    with pytest.raises(InputError, match=r"importing it failed: SyntaxError"):
        load_task(f"{path}:make")
    with pytest.raises(InputError, match=r"importing it failed: ModuleNotFoundError"):
        load_task("no_such_package.anywhere:make")


BAD_NETWORKS = {
    "task(build=lambda: 1)": "its build failed: TypeError: .*called with depth=, width= and seed=",
    "task(build=lambda **_: 1)": "its build returned a int, expected a torch.nn.Module",
    "task(build=lambda **_: nn.ReLU())": "its network has no parameter to train",
    "task(build=lambda **_: nn.Linear(4, 3))": r"fail on two examples, of shape \(2, 3",
    "task(build=lambda **_: nn.Linear(3, 3).double())": "fail on two examples",
    "task(loss=lambda a, b: (a - 1).mean(1))": r"the loss has shape \(2,\), expected one number",
    "task(loss=lambda a, b: 1.0)": "fail on two examples",
    "task(accuracy=lambda a, b: a)": "fail on two examples",
    "task(outputs=2, build=lambda **_: nn.Linear(3, 2))": "fail on two examples",
    "task(outputs=2, train_targets=y % 2)": "fail on two examples",
    "task(outputs=2)": "fail on two examples",
}


@pytest.mark.parametrize("returned", BAD_NETWORKS)
def test_networks_and_losses_that_do_not_work(tmp_path, returned):
    task = load(tmp_path, returned)
    with pytest.raises(InputError, match=rf"task mine: .*{BAD_NETWORKS[returned]}") as caught:
        build_network("mlp", task, depth=1, width=4, init="he", seed=0)
    assert "\n" not in str(caught.value)
