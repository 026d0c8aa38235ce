"""`netdistance train` on odd tasks of a user's own: each a result or one line, never a mix-up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file

from tests.cli.contract import kind, strict
from tests.cli.invoke import Outcome, error_problem, invoke

TASK = """
import torch
from torch import nn
from netdistance import Task

r = torch.Generator().manual_seed(0)
x = torch.randn(64, 3, generator=r)
y = (x[:, 0] > 0).long()

def task(loss=nn.functional.cross_entropy, accuracy=None, build=None):
    right = lambda o, t: float((o.argmax(1) == t).double().mean())
    build = build or (lambda depth, width, seed: nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 2)))
    return Task("own", x, y, x, y, 2, loss, accuracy or right, "mlp", build)

class Const(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(2, 2))
    def forward(self, x):
        return torch.zeros(len(x), 2)

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)
        self.b.weight = self.a.weight
        self.register_buffer("mask", torch.zeros(2, 2))
        self.register_buffer("far", torch.full((2, 2), -float("inf")))
    def forward(self, x):
        return self.c(self.b(self.a(x)))

def plain(): return task()
def const(): return task(build=lambda **_: Const())
def tied(): return task(build=lambda **_: Tied())
def flat(): return task(build=lambda **_: Flat())
def dropout():
    layers = lambda: (nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    return task(build=lambda **_: nn.Sequential(*layers()))
def complex_weights(): return task(build=lambda **_: Complex())
def below_zero(): return task(loss=lambda o, t: nn.functional.cross_entropy(o, t) - 100.0)
def nan_accuracy(): return task(accuracy=lambda o, t: float("nan"))
def loss_raises():
    calls = []
    def loss(o, t):
        calls.append(1)
        if len(calls) > 20:
            raise KeyError("kaput")
        return nn.functional.cross_entropy(o, t)
    return task(loss=loss)

class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))
    def forward(self, x):
        return x[:, :2] * self.scale

class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(3, 2, dtype=torch.complex64))
    def forward(self, x):
        return (x.to(torch.complex64) @ self.w).abs()
"""


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds of drawing in each comparison, which other tests look at."""
    monkeypatch.setattr("netdistance.report.figures.render_parts", lambda report, kind: {})


def train(folder: Path, name: str, *options: str, source: str = TASK) -> Outcome:
    (folder / "own.py").write_text(source)
    steps = ("--steps", "20", "--optimizer", "sgd")
    task = f"{folder}/own.py:{name}"
    return invoke("train", "--task", task, "--out", folder / "runs", *steps, *options)


def one_run(folder: Path, name: str, *options: str, source: str = TASK) -> dict[str, Any]:
    outcome = train(folder, name, "--json", "-", *options, source=source)
    assert outcome.code == 0, outcome.err
    (run,) = strict(outcome.out)["runs"]
    found: dict[str, Any] = run
    return found


def test_changed_code_is_trained_anew(tmp_path: Path) -> None:
    first = one_run(tmp_path, "plain")
    assert one_run(tmp_path, "plain") == first
    wider = TASK.replace("nn.Linear(3, 8), nn.Linear(8, 2)", "nn.Linear(3, 9), nn.Linear(9, 2)")
    assert one_run(tmp_path, "plain", source=wider)["curve"] != first["curve"]
    (final,) = (tmp_path / "runs").glob("*/final.safetensors")
    assert load_file(final)["0.weight"].shape == (9, 3)


def test_labels_of_one_task_never_stand_beside_inputs_of_another(tmp_path: Path) -> None:
    train(tmp_path, "plain")
    invoke("train", "--out", tmp_path / "runs", "--steps", "1", "--optimizer", "sgd")
    names = sorted(path.name for path in (tmp_path / "runs").glob("*.npy"))
    assert names == ["checkerboard-inputs.npy", "own-inputs.npy", "own-targets.npy"]
    regression = TASK.replace(".long()", ".float()").replace(
        "nn.functional.cross_entropy", "lambda o, t: (o[:, 0] - t).square().mean()"
    )
    train(tmp_path, "plain", source=regression)
    assert not (tmp_path / "runs" / "own-targets.npy").exists()


@pytest.mark.parametrize(
    ("name", "options", "code", "words"),
    [
        ("const", (), 3, ["does not require grad"]),
        ("loss_raises", (), 3, ["kaput"]),
        ("complex_weights", ("--optimizer", "sgd,muon"), 3, ["Muon does not support complex"]),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    tmp_path: Path, name: str, options: tuple[str, ...], code: int, words: list[str]
) -> None:
    assert error_problem(train(tmp_path, name, *options), code, *words) == ""
    if name == "const":
        assert not (tmp_path / "runs").exists()


def test_an_accuracy_that_is_nan_is_none(tmp_path: Path) -> None:
    assert one_run(tmp_path, "nan_accuracy")["final"]["test_accuracy"] is None


def test_a_loss_below_zero_has_not_diverged(tmp_path: Path) -> None:
    run = one_run(tmp_path, "below_zero")
    assert run["final"]["train_loss"] < -99.0
    assert run["status"] == "finished"


def test_tied_weights_count_once_and_buffers_not(tmp_path: Path) -> None:
    run = one_run(tmp_path, "tied", "--keep-checkpoints", "--lr", "0.1")
    (folder,) = (path.parent for path in (tmp_path / "runs").glob("*/result.json"))
    start, end, before = (
        {k: torch.from_numpy(v).double() for k, v in load_file(folder / name).items()}
        for name in (
            "initial.safetensors", "final.safetensors", "step-0000019.safetensors"
        )
    )  # fmt: skip

    def trust(old: dict[str, torch.Tensor], new: dict[str, torch.Tensor]) -> float:
        product = 1.0
        for name in ("a.weight", "c.weight"):
            product *= 1.0 + float((new[name] - old[name]).norm() / old[name].norm())
        return product - 1.0

    assert run["trust_from_start"]["value"] == pytest.approx(trust(start, end), rel=1e-9)
    last = run["curve"][-1]
    assert last["largest_step_trust"]["value"] == pytest.approx(trust(before, end), rel=1e-3)
    assert kind(last["frobenius_norm"]["mean"]) == "exact"


def test_a_network_without_a_matrix_has_no_trust(tmp_path: Path) -> None:
    run = one_run(tmp_path, "flat")
    assert kind(run["trust_from_start"]) == kind(run["curve"][-1]["step_trust"]) == "skipped"
    assert "two or more axes" in run["trust_from_start"]["reason"]
    assert "without deep relative trust" in " ".join(train(tmp_path, "flat").out.split())


def test_complex_weights_are_measured_whole(tmp_path: Path) -> None:
    run = one_run(tmp_path, "complex_weights")
    assert run["trust_from_start"]["value"] > 0.0


def test_dropout_gives_the_same_bits(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    state = torch.random.get_rng_state()
    first = one_run(tmp_path, "dropout")
    torch.rand(3)
    assert one_run(tmp_path / "b", "dropout") == first
    torch.random.set_rng_state(state)


@pytest.mark.parametrize("damage", ["empty curve", "cut checkpoint"])
def test_a_damaged_run_is_made_again(tmp_path: Path, damage: str) -> None:
    first = one_run(tmp_path, "plain")
    (result,) = (tmp_path / "runs").glob("*/result.json")
    final = result.with_name("final.safetensors")
    whole = final.read_bytes()
    if damage == "empty curve":
        document = strict(result.read_text())
        document["result"]["curve"] = []
        result.write_text(str(document).replace("'", '"').replace("None", "null"))
    else:
        final.write_bytes(whole[:-4])
    assert one_run(tmp_path, "plain") == first
    assert final.read_bytes() == whole
