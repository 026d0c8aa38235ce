"""What holds of every task that can be named: shapes, balance, fixed bits, its own test set."""

import importlib.util
import sys
from dataclasses import replace

import pytest
import torch
from task_data import data_for

import netdistance
from netdistance.errors import UsageError
from netdistance.training.models import build_network, network_names
from netdistance.training.tasks import TASKS, data_fingerprint, load_task, task_names
from netdistance.training.tasks.digits import digits

PLANE = ("checkerboard", "circle", "xor", "gauss", "spiral")
DATA = ("train_inputs", "train_targets", "test_inputs", "test_targets")


@pytest.fixture(scope="module", params=TASKS, ids=lambda choice: choice.name)
def task(request, tmp_path_factory):
    name = request.param.name
    if name == "digits" and importlib.util.find_spec("sklearn") is None:
        pytest.skip("needs scikit-learn")
    return load_task(name, data_for(name, tmp_path_factory.mktemp(name)))


def test_the_names():
    assert task_names()[:6] == (*PLANE, "digits")
    assert len(set(task_names())) == len(TASKS)
    assert all(choice.note and len(choice.note) < 60 for choice in TASKS)
    assert [c.name for c in TASKS if c.needs_data] == ["mnist", "fashion", "text"]
    assert netdistance.Task is type(load_task("xor"))


def test_its_parts_fit_together(task):
    assert task.name in task_names()
    assert task.network in network_names()
    for part in ("train", "test"):
        inputs, targets = (getattr(task, f"{part}_{kind}") for kind in ("inputs", "targets"))
        assert len(inputs) == len(targets) > 0
        assert inputs.dtype == (torch.int64 if task.network == "transformer" else torch.float32)
        assert bool(inputs.isfinite().all())
        assert bool(targets.isfinite().all())
    assert task.train_inputs.shape[1:] == task.test_inputs.shape[1:]


def test_its_bits_are_fixed_and_its_fingerprint_says_so(task, tmp_path):
    again = load_task(task.name, data_for(task.name, tmp_path))
    for name in DATA:
        assert torch.equal(getattr(task, name), getattr(again, name))
    assert data_fingerprint(again) == data_fingerprint(task)
    assert len(data_fingerprint(task)) == 16
    for name in DATA:
        changed = getattr(task, name).clone()
        changed.flatten()[-1] += 1
        assert data_fingerprint(replace(task, **{name: changed})) != data_fingerprint(task)
    assert data_fingerprint(replace(task, name="other")) != data_fingerprint(task)
    flat = task.train_inputs.reshape(1, -1)
    assert data_fingerprint(replace(task, train_inputs=flat)) != data_fingerprint(task)


def test_train_and_test_are_not_the_same_examples(task):
    if task.name in ("text", "mnist", "fashion"):
        pytest.skip("data of the test's own")
    train = {tuple(row.flatten().tolist()) for row in task.train_inputs}
    test = {tuple(row.flatten().tolist()) for row in task.test_inputs}
    assert not train & test


def test_its_classes_are_balanced(task):
    if task.accuracy is None or task.name == "text":
        pytest.skip("no classes to balance")
    for targets in (task.train_targets, task.test_targets):
        _, counts = targets.unique(return_counts=True)
        # the fewest are 36 of each digit in 360, give or take 6
        assert counts.min() > 0.5 * counts.max()
        assert len(counts) == max(task.outputs, 2)


def test_its_network_runs_and_is_judged(task):
    network = build_network(task.network, task, depth=2, width=8, init="he", seed=0)
    outputs = network(task.test_inputs).detach()
    assert outputs.shape == (*task.test_targets.shape, task.outputs)
    assert float(task.loss(outputs, task.test_targets)) > 0.0
    if task.accuracy is not None:
        assert 0.0 <= task.accuracy(outputs, task.test_targets) <= 1.0


def test_right_outputs_are_judged_as_right(task):
    if task.accuracy is None:
        right, worst = task.test_targets[:, None], -task.test_targets[:, None]
        assert float(task.loss(right, task.test_targets)) == 0.0
        assert float(task.loss(worst, task.test_targets)) > 1.0
        mean = task.train_targets.mean().expand(len(task.train_targets), 1)
        assert float(task.loss(mean, task.train_targets)) == pytest.approx(1.0)
        return
    if task.outputs == 1:
        right = 50.0 * task.test_targets[:, None]
    else:
        right = 50.0 * torch.nn.functional.one_hot(task.test_targets, task.outputs).float()
    assert task.accuracy(right, task.test_targets) == 1.0
    assert task.accuracy(-right, task.test_targets) == 0.0
    assert float(task.loss(right, task.test_targets)) < 1e-6
    assert float(task.loss(-right, task.test_targets)) > 10.0


@pytest.mark.parametrize("name", PLANE)
def test_points_of_the_plane(name):
    task = load_task(name)
    assert task.train_inputs.shape == task.test_inputs.shape == (1000, 2)
    assert set(task.train_targets.tolist()) == {-1.0, 1.0}
    assert 0.8 < float(task.train_inputs.abs().max()) < 1.1


def test_the_checkerboard_keeps_its_bits():
    assert data_fingerprint(load_task("checkerboard")) == "42bd66cfc3bd23e7"


def test_where_the_points_lie():
    circle, xor, spiral = (load_task(name) for name in ("circle", "xor", "spiral"))
    radius = circle.train_inputs.norm(dim=1)
    assert float(radius[circle.train_targets > 0].max()) <= 0.5 + 1e-6
    assert float(radius[circle.train_targets < 0].min()) >= 0.7 - 1e-6
    assert float(xor.train_inputs.abs().min()) >= 0.06
    assert torch.equal(xor.train_inputs.prod(dim=1).sign(), xor.train_targets)
    # unwinding the arms by their radius leaves two opposite directions
    radius = spiral.train_inputs.norm(dim=1)
    angle = torch.atan2(spiral.train_inputs[:, 0], spiral.train_inputs[:, 1])
    unwound = torch.cos(angle - 3.5 * torch.pi * radius)
    assert torch.allclose(unwound[radius > 0.01], spiral.train_targets[radius > 0.01], atol=1e-5)
    gauss = load_task("gauss")
    cloud = gauss.train_inputs[gauss.train_targets > 0]
    # 500 points: the mean within 4.7, the variance within 4.7 standard errors
    assert torch.allclose(cloud.mean(dim=0), torch.tensor(0.4), atol=0.03)
    assert torch.allclose(cloud.var(dim=0), torch.tensor(0.02), atol=0.006)


def test_digits_are_split_in_two():
    pytest.importorskip("sklearn")
    task = load_task("digits")
    assert task.train_inputs.shape == (1437, 1, 8, 8)
    assert task.test_inputs.shape == (360, 1, 8, 8)
    assert (float(task.train_inputs.min()), float(task.train_inputs.max())) == (0.0, 1.0)


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UsageError, match=r"pip install 'netdistance\[digits\]'"):
        digits()


@pytest.mark.parametrize(
    ("spec", "data", "message"),
    [
        ("chess", None, r"unknown task 'chess': expected one of checkerboard, .*or file.py:fact"),
        ("mnist", None, "task mnist needs --data: the folder of MNIST's four IDX files"),
        ("text", None, "task text needs --data: a text file"),
        ("circle", "x", "task circle has its own data: leave --data out"),
        ("a.py:make", "x", "task a.py:make has its own data: leave --data out"),
        ("a.py", None, "--task a.py: expected file.py:factory"),
        ("a.py:", None, "--task a.py:: expected file.py:factory"),
    ],
)
def test_a_task_that_cannot_be_asked_for(spec, data, message):
    with pytest.raises(UsageError, match=message):
        load_task(spec, data)
