"""The training comparison from Python: files, resuming, determinism, divergence, learning."""

import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors.numpy import load_file

from netdistance.errors import OutputError
from netdistance.quantities import Exact
from netdistance.report.json import render_json
from netdistance.report.text import render_text
from netdistance.report.train_figure import train_figure
from netdistance.studies.train import TrainOptions, train
from netdistance.training import resume as study
from netdistance.training.models import mlp
from netdistance.training.run import RunSettings
from netdistance.training.run_files import RunFiles, run_id
from netdistance.training.signature import Signature
from netdistance.training.tasks import data_fingerprint, load_task, softplus_loss

SETTINGS = RunSettings(
    task="checkerboard",
    data=data_fingerprint(load_task("checkerboard")),
    network="mlp",
    init="he",
    depth=2,
    width=8,
    optimizer="fromage",
    lr=0.01,
    lr_decay=1.0,
    batch=128,
    seed=0,
    steps=40,
)


def options(out, **changes):
    small = TrainOptions(
        out=out, optimizers=("fromage",), lrs=(0.01,), depths=(2,), width=8, seeds=1, steps=40
    )
    return replace(small, **changes)


def relative_changes(folder):
    before, after = (
        load_file(folder / "initial.safetensors"),
        load_file(folder / "final.safetensors"),
    )
    for name, weight in before.items():
        if weight.ndim >= 2:
            change = after[name].astype(float) - weight.astype(float)
            yield math.sqrt((change**2).sum()) / math.sqrt((weight.astype(float) ** 2).sum())


def test_a_run_leaves_its_files_and_a_row(tmp_path):
    report = train(options(tmp_path / "new" / "runs"))
    out = tmp_path / "new" / "runs"
    (row,) = report.runs
    assert (row.status, row.optimizer, row.depth, row.width) == ("finished", "fromage", 2, 8)
    folder = out / run_id(SETTINGS)
    names = ["checkerboard-inputs.npy", folder.name, f"{folder.name}.jsonl"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert sorted(path.name for path in folder.iterdir()) == [
        "final.safetensors",
        "initial.safetensors",
        "network.py",
        "result.json",
    ]
    weights = load_file(folder / "initial.safetensors")
    assert [weight.shape for weight in weights.values() if weight.ndim == 2] == [
        (8, 2),
        (8, 8),
        (1, 8),
    ]
    expected = math.prod(1.0 + change for change in relative_changes(folder)) - 1.0
    assert isinstance(row.trust_from_start, Exact)
    assert row.trust_from_start.value == pytest.approx(expected, rel=1e-12)


def test_evaluation_lines_reach_the_last_step(tmp_path):
    report = train(options(tmp_path, steps=45))
    evaluations = [
        json.loads(line)
        for line in (tmp_path / f"{run_id(replace(SETTINGS, steps=45))}.jsonl")
        .read_text()
        .splitlines()
    ]
    steps = [evaluation["step"] for evaluation in evaluations]
    assert steps[0] == 0
    assert steps[-1] == 45
    assert steps == sorted(set(steps))
    assert len(steps) == 21
    (row,) = report.runs
    assert dict(row.final) == {key: evaluations[-1][key] for key in row.final}


@pytest.mark.parametrize("steps", [1, 3])
def test_fewer_steps_than_evaluations(tmp_path, steps):
    (row,) = train(options(tmp_path, steps=steps)).runs
    assert row.status == "finished"


def test_finished_runs_are_not_repeated(tmp_path, monkeypatch):
    first = train(options(tmp_path, optimizers=("fromage", "sgd")))

    def refuse(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr(study, "run_training", refuse)
    again = train(options(tmp_path, optimizers=("fromage", "sgd")))
    assert again.runs == first.runs
    assert again.verdict == first.verdict
    with pytest.raises(AssertionError, match="trained again"):
        train(options(tmp_path, steps=41))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "result.json").unlink(),
        lambda folder: (folder / "result.json").write_bytes(b'{"settings": '),
        lambda folder: (folder / "result.json").write_bytes(b"[]"),
        lambda folder: (folder / "result.json").write_bytes(b"\xff"),
        lambda folder: (folder / "final.safetensors").unlink(),
        lambda folder: (folder / "result.json").write_text(
            (folder / "result.json").read_text().replace('"seed": 0', '"seed": 1')
        ),
    ],
)
def test_a_damaged_run_is_repeated(tmp_path, damage):
    first = train(options(tmp_path))
    damage(tmp_path / run_id(SETTINGS))
    assert RunFiles(tmp_path, SETTINGS, Signature((2,), 1)).finished_result() is None
    assert train(options(tmp_path)).runs == first.runs
    assert RunFiles(tmp_path, SETTINGS, Signature((2,), 1)).finished_result() is not None


def test_a_killed_run_starts_anew(tmp_path, monkeypatch):
    def die(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFiles, "save", die)
        with pytest.raises(KeyboardInterrupt):
            train(options(tmp_path))
    train(options(tmp_path))
    text = (tmp_path / f"{run_id(SETTINGS)}.jsonl").read_text()
    assert [json.loads(line)["step"] for line in text.splitlines()][-1] == 40
    assert len(text.splitlines()) == 21


def test_two_runs_give_the_same_bits_and_leave_the_global_generator_alone(tmp_path):
    state = torch.random.get_rng_state()
    both = [train(options(tmp_path / name, optimizers=("fromage", "adamw"))) for name in "ab"]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert both[0].runs == both[1].runs
    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) == 11
    for path in files:
        twin = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == twin.read_bytes()


def test_seeds_differ_and_share_their_start_over_optimisers(tmp_path):
    train(options(tmp_path, optimizers=("fromage", "sgd"), seeds=2))
    starts = [
        (tmp_path / run_id(replace(SETTINGS, optimizer=name, seed=seed)) / "initial.safetensors")
        for name in ("fromage", "sgd")
        for seed in (0, 1)
    ]
    fromage0, fromage1, sgd0, sgd1 = (path.read_bytes() for path in starts)
    assert fromage0 == sgd0
    assert fromage1 == sgd1
    assert fromage0 != fromage1


@pytest.mark.parametrize(("optimizer", "lr"), [("sgd", 1e10), ("adamw", 1e30), ("sgd", 1e30)])
def test_a_diverged_run_is_recorded(tmp_path, optimizer, lr):
    report = train(options(tmp_path, optimizers=(optimizer, "fromage"), lrs=(lr, 0.01)))
    worst = report.runs[0]
    assert worst.status == "diverged"
    assert all(value is None for value in worst.final.values())
    render_json(report)
    assert "diverged" in render_text(report)
    train_figure(report)


def test_a_loss_over_ten_times_the_first_has_diverged(tmp_path):
    (row,) = train(options(tmp_path, optimizers=("sgd",), lrs=(30.0,), steps=3)).runs
    assert row.final["train_loss"] is not None
    assert row.final["train_loss"] > 10.0
    assert row.status == "diverged"


def test_every_run_diverged_says_so(tmp_path):
    report = train(options(tmp_path, optimizers=("sgd",), lrs=(1e10,)))
    assert report.verdict.text.startswith("Every run diverged (1 of 1)")


def test_an_out_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match=r"out: cannot be made"):
        train(options(tmp_path / "out"))


def test_progress_adds_up_to_its_total(tmp_path):
    from contextlib import contextmanager

    announced, done = [], []

    class Listener:
        @contextmanager
        def task(self, description, total):
            announced.append(total)
            yield done.append

    some = options(tmp_path, optimizers=("fromage", "sgd"), lrs=(0.01, 1e10))
    train(some, progress=Listener())
    assert sum(done) == announced[0] == 160
    train(some, progress=Listener())
    assert sum(done) == 2 * 160


def test_text_fits_and_shows_every_setting(tmp_path):
    report = train(
        options(
            tmp_path, optimizers=("fromage", "sgd", "adamw"), lrs=(0.0001, 1e10), seeds=2, steps=4
        )
    )
    text = render_text(report).splitlines()
    assert max(map(len, text)) <= 80
    assert sum(line.startswith(("fromage ", "sgd ", "adamw ")) for line in text[1:]) >= 6
    assert any("2/2 diverged" in line for line in text)
    assert "a model, not a bound" in " ".join(text)


def test_the_figure_has_a_panel_per_depth_and_a_cross_per_lost_setting(tmp_path):
    report = train(
        options(tmp_path, optimizers=("fromage", "sgd"), lrs=(0.01, 1e10), depths=(1, 2), steps=4)
    )
    figure = train_figure(report)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["1 hidden layer", "2 hidden layers"]
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert [line.get_xdata()[0] for line in crosses] == [1e10]


def test_the_network_is_he_initialised_from_its_own_generator():
    model = mlp(inputs=256, outputs=1, depth=2, width=512, seed=3)
    first, second, last = (
        layer.weight.detach() for layer in model if isinstance(layer, torch.nn.Linear)
    )
    assert float(first.std()) == pytest.approx(math.sqrt(2 / 256), rel=0.02)
    assert float(second.std()) == pytest.approx(math.sqrt(2 / 512), rel=0.02)
    assert float(last.std()) == pytest.approx(math.sqrt(1 / 512), rel=0.15)
    assert all(float(p.detach().abs().max()) > 0.0 for p in model.parameters())


def test_the_loss_is_finite_where_exp_is_not():
    outputs, targets = torch.tensor([[-1e4], [1e4]]), torch.tensor([1.0, 1.0])
    assert float(softplus_loss(outputs, targets)) == 5e3


def test_the_checkerboard_is_balanced_and_its_test_set_is_new():
    task = load_task("checkerboard")
    assert task.train_inputs.shape == task.test_inputs.shape == (1000, 2)
    assert float(task.train_inputs.abs().max()) <= 1.0
    assert abs(float(task.train_targets.mean())) < 0.1
    product = task.train_inputs.prod(dim=1)
    assert torch.equal(product.sign(), task.train_targets)
    assert not torch.equal(task.train_inputs, task.test_inputs)


def test_fromage_solves_the_checkerboard(tmp_path):
    (row,) = train(options(tmp_path, depths=(3,), width=32, steps=1500)).runs
    assert row.status == "finished"
    assert row.final["test_accuracy"] > 0.95
