"""`netdistance train`: what it leaves behind and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.contract import kind, strict
from tests.cli.invoke import Outcome, error_problem, invoke

SMALL = ("--width", "8", "--depth", "2", "--steps", "40", "--optimizer", "fromage,adamw")
FIGURES = ["curves.png", "learning-rates.png", "norms.png", "trust.png"]

OWN_TASK = """
import numpy as np
import torch
from torch import nn

r = np.random.default_rng(0)
x = r.normal(size=(64, 3)).astype("float32")
y = (x[:, 0] > 0).astype("int64")

def good():
    return x, y, x, y

def with_network():
    print("this must not reach the report")
    def build(depth, width, seed):
        return nn.Sequential(nn.Linear(3, width), nn.Linear(width, 2))
    return x, y, x, y, build

def nan_loss():
    class Lost(nn.Linear):
        def forward(self, x):
            return super().forward(x) * float("nan")
    return x, y, x, y, lambda depth, width, seed: Lost(3, 2)

class Later(nn.Linear):
    calls = 0
    def forward(self, x):
        Later.calls += 1
        if Later.calls > 30:
            raise RuntimeError("no more")
        return super().forward(x)

def fails_later():
    return x, y, x, y, lambda depth, width, seed: Later(3, 2)

def raises():
    raise KeyError("nothing here")

def short():
    return x, y[:-1], x, y
"""


DRAWN = ("test_a_run_leaves_report_figures_and_checkpoints", "test_a_nan_loss_is_a_diverged_run")


@pytest.fixture(autouse=True)
def no_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds of drawing in each comparison, which the tests in DRAWN look at."""
    if not request.node.name.startswith(DRAWN):
        monkeypatch.setattr("netdistance.report.figures.render_parts", lambda report, kind: {})


def train(out: Path, *options: str | Path) -> Outcome:
    return invoke("train", "--out", out, *SMALL, *options)


def test_a_run_leaves_report_figures_and_checkpoints(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    outcome = train(out, "--seeds", "2", "--lr", "0.01,0.1")
    assert (outcome.code, outcome.err) == (0, "")
    assert str(out) in outcome.out and "trust a step" in outcome.out
    assert max(map(len, outcome.out.splitlines()[:-1])) <= 80
    assert sorted(path.name for path in (out / "figures").iterdir()) == FIGURES
    document = strict((out / "report.json").read_text())
    assert len(document["runs"]) == 8
    folder = out / "checkerboard-mlp-fromage-lr0.01-depth2-width8-steps40-seed0"
    compared = invoke(
        "compare", folder / "initial.safetensors", folder / "final.safetensors", "--json", "-"
    )
    (trust,) = [
        row for row in strict(compared.out)["bounds"] if row["name"] == "deep_relative_trust"
    ]
    assert trust["value"]["value"] == pytest.approx(
        document["runs"][0]["trust_from_start"]["value"], rel=1e-12
    )


def test_the_document_of_a_run(tmp_path: Path) -> None:
    document = strict(train(tmp_path / "runs", "--json", "-").out)
    for run in document["runs"]:
        assert run["network"] == "mlp"
        curve = run["curve"]
        assert [point["step"] for point in curve] == list(range(0, 41, 2))
        assert run["final"] == {key: curve[-1][key] for key in run["final"]}
        assert run["trust_from_start"] == curve[-1]["trust_from_start"]
        assert kind(curve[0]["step_trust"]) == "skipped"
        assert kind(curve[1]["step_trust"]) == "estimate"
        assert curve[1]["step_trust"]["value"] <= curve[1]["largest_step_trust"]["value"]
        for name in ("frobenius_norm", "largest_singular_value", "median_singular_value"):
            least, mean, most = (curve[-1][name][end]["value"] for end in ("least", "mean", "most"))
            assert least <= mean <= most
            assert curve[0][name]["mean"]["value"] == pytest.approx(1.0, rel=1e-12)


def test_a_step_of_fromage_is_as_long_as_its_learning_rate_says(tmp_path: Path) -> None:
    fromage = strict(train(tmp_path / "runs", "--json", "-", "--lr", "0.02").out)["runs"][0]
    for point in fromage["curve"][1:]:
        # three weights that each move by lr, a little less after the division by sqrt(1 + lr^2)
        assert point["step_trust"]["value"] == pytest.approx(1.02**3 - 1.0, rel=0.03)


def test_kept_checkpoints_are_one_for_each_evaluation(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    train(out, "--optimizer", "sgd")
    folder = next(path for path in out.iterdir() if path.is_dir() and path.name != "figures")
    before = (folder / "final.safetensors").read_bytes()
    assert train(out, "--optimizer", "sgd", "--keep-checkpoints").code == 0
    kept = sorted(path.name for path in folder.glob("step-*.safetensors"))
    assert kept == [f"step-{step:07d}.safetensors" for step in range(0, 41, 2)]
    assert (folder / kept[-1]).read_bytes() == (folder / "final.safetensors").read_bytes() == before
    assert (folder / kept[0]).read_bytes() == (folder / "initial.safetensors").read_bytes()


@pytest.mark.parametrize("network", ["mlp", "mlp-residual", "cnn", "transformer"])
def test_other_commands_run_what_was_trained(tmp_path: Path, network: str) -> None:
    out, text = tmp_path / "runs", tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question " * 200)
    task = ("text", "--data", text) if network == "transformer" else ("digits",)
    train(out, "--task", *task, "--network", network, "--optimizer", "adamw", "--steps", "5")
    (folder,) = (path.parent for path in out.glob("*/network.py"))
    data = ("--inputs", out / f"{task[0]}-inputs.npy", "--targets", out / f"{task[0]}-targets.npy")
    ends = (folder / "initial.safetensors", folder / "final.safetensors")
    model = f"{folder / 'network.py'}:build"
    compared = invoke("compare", *ends, "--model", model, *data, "--quiet", "--json", "-")
    assert (compared.code, compared.err) == (0, "")
    deviation = {row["measure"]: row for row in strict(compared.out)["deviation"]}
    assert deviation["relative_output_deviation"]["value"]["value"] > 0.0


def test_a_decaying_learning_rate_shows_in_the_steps(tmp_path: Path) -> None:
    # 1,000 points in batches of 500: two steps an epoch, twenty epochs
    options = ("--optimizer", "fromage", "--batch", "500", "--lr-decay", "0.9", "--json", "-")
    (run,) = strict(train(tmp_path / "runs", *options).out)["runs"]
    steps = [point["step_trust"]["value"] for point in run["curve"][1:]]
    assert steps[-1] / steps[0] == pytest.approx(0.9**19, rel=0.03)
    names = [path.name for path in (tmp_path / "runs").glob("*.jsonl")]
    assert names == [
        "checkerboard-mlp-fromage-lr0.01-depth2-width8-steps40-batch500-decay0.9-seed0.jsonl"
    ]


def test_new_data_of_the_same_name_are_trained_on_anew(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN_TASK)
    first = strict(train(tmp_path / "runs", "--task", f"{file}:good", "--json", "-").out)
    again = strict(train(tmp_path / "runs", "--task", f"{file}:good", "--json", "-").out)
    file.write_text(OWN_TASK.replace("default_rng(0)", "default_rng(1)"))
    other = strict(train(tmp_path / "runs", "--task", f"{file}:good", "--json", "-").out)
    assert first["runs"] == again["runs"]
    assert first["runs"][0]["final"] != other["runs"][0]["final"]


def test_a_network_of_the_task_and_what_it_prints(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_TASK)
    outcome = train(tmp_path / "runs", "--task", f"{tmp_path}/own.py:with_network", "--json", "-")
    assert outcome.code == 0
    assert {run["network"] for run in strict(outcome.out)["runs"]} == {"own"}
    assert "this must not reach the report" in outcome.err


def test_a_nan_loss_is_a_diverged_run_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_TASK)
    outcome = train(tmp_path / "runs", "--task", f"{tmp_path}/own.py:nan_loss")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("Every run diverged (2 of 2)")
    mixed = train(tmp_path / "mixed", "--lr", "0.01,1e20", "--optimizer", "sgd", "--json", "-")
    runs = strict(mixed.out)["runs"]
    assert [run["status"] for run in runs] == ["finished", "diverged"]
    lines = next((tmp_path / "mixed").glob("*1e+20*.jsonl")).read_text().splitlines()
    assert strict(lines[-1])["train_loss"] is None


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--task", "chess"], 2, ["unknown task 'chess'"]),
        (["--network", "mamba"], 2, ["unknown network 'mamba'"]),
        (["--network", "cnn"], 2, ["network cnn takes images"]),
        (["--init", "zero"], 2, ["unknown init 'zero'"]),
        (["--optimizer", "lion"], 2, ["unknown optimizer 'lion'"]),
        (["--lr-decay", "0"], 2, ["--lr-decay 0"]),
        (["--lr-decay", "nan"], 2, ["--lr-decay nan"]),
        (["--task", "mnist"], 2, ["needs --data"]),
        (["--task", "mnist", "--data", "nowhere"], 3, ["nowhere: no such folder"]),
        (["--task", "text", "--data", "nowhere.txt"], 3, ["nowhere.txt"]),
        (["--data", "nowhere"], 2, ["leave --data out"]),
        (["--task", "nowhere.py:make"], 3, ["nowhere.py"]),
        (["--task", "OWN:nothing"], 3, ["nothing"]),
        (["--task", "OWN:raises"], 3, ["KeyError"]),
        (["--task", "OWN:short"], 3, ["63"]),
        (["--task", "OWN:fails_later"], 3, ["its network cannot run on", "no more"]),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, options: list[str], code: int, words: list[str]
) -> None:
    (tmp_path / "own.py").write_text(OWN_TASK)
    given = [option.replace("OWN", f"{tmp_path}/own.py") for option in options]
    outcome = train(tmp_path / "runs", *given)
    assert error_problem(outcome, code, *words) == ""
    if "fails_later" not in options[-1]:
        assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_saved_report_draws_the_same(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    train(out, "--plot", tmp_path / "first.png")
    rendered = invoke("render", out / "report.json", "--plot", tmp_path / "again.png")
    assert rendered.code == 0
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "again.png").read_bytes()


def test_a_report_without_curves_still_renders(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    train(out)
    document: dict[str, Any] = json.loads((out / "report.json").read_text())
    for run in document["runs"]:
        del run["curve"], run["network"], run["final"]["test_loss"]
    (tmp_path / "old.json").write_text(json.dumps(document))
    rendered = invoke("render", tmp_path / "old.json")
    assert (rendered.code, rendered.err) == (0, "")
    assert invoke("render", tmp_path / "old.json", "--plot", tmp_path / "old.png").code == 0
    assert "does best" in rendered.out and "trust a step" not in rendered.out


def test_a_regression_is_told_by_its_losses(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_TASK.replace('.astype("int64")', '.astype("float32")'))
    outcome = train(tmp_path / "runs", "--task", f"{tmp_path}/own.py:good", "--lr", "0.01,1e12")
    assert outcome.code == 0
    assert "does best: test loss 0." in outcome.out
    assert "test %" not in outcome.out


def test_real_digits(tmp_path: Path, real_data: Path) -> None:
    options = ("--task", "mnist", "--data", real_data / "inputs", "--optimizer", "adamw")
    outcome = invoke(
        "train", "--out", tmp_path / "runs", *options, "--steps", "150", "--width", "32"
    )
    assert outcome.code == 0
    assert "does best: 9" in outcome.out
    assert "8,000 of the t10k images" in " ".join(outcome.out.split())


def test_the_suite_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    train(tmp_path / "runs", "--task", "spiral", "--network", "mlp-residual")
    assert torch.equal(torch.random.get_rng_state(), before)
