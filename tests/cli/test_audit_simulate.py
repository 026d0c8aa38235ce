"""`netdistance audit BASE --simulate` on the demo's files: document, text, files and errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from netdistance import demo
from tests.cli.contract import kind, strict
from tests.cli.golden import wide_lines
from tests.cli.invoke import Outcome, error_problem, invoke, leftovers, run_process

SCHEMES = ("int8", "int4-g128", "nf4", "prune-0.5")


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    """Options that name the model and forty of the demo's points."""
    np.save(tmp_path / "points.npy", np.load(demo.POINTS)[::25])
    return ["--model", demo.MODEL, "--inputs", f"{tmp_path}/points.npy"]


def simulated(*options: str | os.PathLike[str], schemes: tuple[str, ...] = SCHEMES) -> Outcome:
    return invoke("audit", demo.TRAINED, "--simulate", ",".join(schemes), *options)


def document(*options: str | os.PathLike[str], **given: Any) -> dict[str, Any]:
    outcome = simulated("--json", "-", *options, **given)
    assert (outcome.code, outcome.err) == (0, "")
    return strict(outcome.out)


def test_without_a_model_there_are_sizes_and_distances() -> None:
    report = document()
    places = [(row["layer"], row["scheme"]) for row in report["audit"]]
    assert places == [(layer, scheme) for layer in ("0", "2", "4") for scheme in SCHEMES]
    for row in report["audit"]:
        assert kind(row["distance"]) == "exact" and row["distance"]["value"] > 0.0
        assert row["measured"] == row["predicted"] == {
            "kind": "skipped", "reason": "needs --model and --inputs",
        }  # fmt: skip
        assert row["verdict"] == (
            "rounding" if row["scheme"] != "prune-0.5" else "more_than_rounding"
        )
    assert [row["bits_per_weight"] for row in report["frontier"]] == sorted(
        (row["bits_per_weight"] for row in report["frontier"]), reverse=True
    )
    assert len(report["frontier"]) == len(SCHEMES)
    assert not any(row["chosen"] for row in report["frontier"])


def test_without_a_model_torch_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from netdistance.studies.simulate import *; from netdistance import demo;"
        f"simulate(demo.TRAINED, SimulateOptions(schemes=('int8',), write={str(tmp_path / 'x')!r}"
        "+'.safetensors')); assert 'torch' not in sys.modules"
    )
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "x.safetensors").exists()


def test_a_budget_is_met_by_measurement(data: list[str]) -> None:
    report = document(*data, "--budget", "5%")
    rows = report["frontier"]
    (chosen,) = [row for row in rows if row["chosen"]]
    assert chosen["meets_budget"] and 0.0 < chosen["deviation"]["value"] <= 0.05
    cheaper = [row for row in rows if row["bits_per_weight"] < chosen["bits_per_weight"]]
    assert cheaper and not any(row["meets_budget"] for row in cheaper)
    for row in rows:
        assert row["meets_budget"] == (row["deviation"]["value"] <= 0.05)
        assert set(row["assignment"]) == {"0", "2", "4"}
    uniform = {next(iter(set(r["assignment"].values()))) for r in rows
               if len(set(r["assignment"].values())) == 1}  # fmt: skip
    assert uniform >= {*SCHEMES, "as it is"}


def test_predictions_are_near_what_is_measured(data: list[str]) -> None:
    """Independent errors of layers add in squares; a layer's own effect is of first order."""
    report = document(*data, schemes=("int8",))
    for row in report["audit"]:
        assert row["predicted"]["value"] == pytest.approx(row["measured"]["value"], rel=1.0)
    whole = next(row for row in report["frontier"] if row["chosen"])
    assert set(whole["assignment"].values()) == {"int8"}
    assert whole["predicted"]["value"] == pytest.approx(whole["deviation"]["value"], rel=0.5)


def test_the_text(data: list[str]) -> None:
    outcome = simulated(*data, "--budget", "0.05")
    assert outcome.code == 0 and not wide_lines(outcome.out)
    assert "bits per weight instead of 32.0 keep the outputs within 5%" in outcome.out
    assert "<- chosen" in outcome.out
    nothing = simulated(*data, "--budget", "1e-9")
    assert nothing.out.startswith("Nothing but the network as it is keeps the outputs within")
    assert nothing.code == 0


def test_the_budget_can_fail_a_run(data: list[str]) -> None:
    gate = ("--fail-if", "bits_per_weight>9")
    assert simulated(*data, "--budget", "5%", *gate).code == 0
    outcome = simulated(*data, "--budget", "1e-9", *gate)
    assert outcome.code == 1 and "threshold bits_per_weight>9: failed" in outcome.out
    assert simulated("--fail-if", "bits_per_weight>2", schemes=("int8",)).code == 1


def test_what_was_chosen_is_written_and_does_what_was_measured(
    data: list[str], tmp_path: Path
) -> None:
    target = tmp_path / "small.safetensors"
    report = document(*data, "--write", target, schemes=("prune-0.5",))
    chosen = next(row for row in report["frontier"] if row["chosen"])
    back = strict(invoke("compare", demo.TRAINED, target, *data, "--json", "-").out)
    moved = {row["measure"]: row["value"] for row in back["deviation"]}
    assert moved["relative_output_deviation"]["value"] == pytest.approx(
        chosen["deviation"]["value"], rel=1e-12
    )
    assert report["provenance"]["written"] == str(target)


def test_a_comment_and_a_page_have_the_mixtures_and_the_schemes(data: list[str]) -> None:
    comment = simulated(*data, "--budget", "5%", "--markdown", "-").out
    page = simulated(*data, "--budget", "5%", "--html", "-").out
    for text in ("layers stored as", "weights move", "first order"):
        assert text in comment and text in page
    assert "chosen |" in comment and "x rounding" not in comment and "x rounding" not in page
    assert ": as it is;" not in comment  # one word for each layer is no table


def test_a_run_names_its_torch(data: list[str]) -> None:
    import torch

    from netdistance.studies.run_options import RunOptions, open_run

    opened = open_run(RunOptions(model=data[1], inputs=data[3]))
    assert opened.provenance["torch"] == torch.__version__


def test_a_checkpoint_is_written_over_nothing_else(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"x.weight": np.ones((4, 4), np.float32)})
    shards = tmp_path / "base"
    shards.mkdir()
    save_file({"x.weight": np.ones((4, 4), np.float32)}, shards / "model.safetensors")
    both = tmp_path / "b.safetensors"
    twice = invoke("audit", tmp_path / "a.npz", "--simulate", "int8", "--write", both,
                   "--json", both)  # fmt: skip
    assert error_problem(twice, 2, "is named for two outputs") == ""
    for extra in ((), ("--json", tmp_path / "r.json")):
        own = invoke("audit", shards, "--simulate", "int8", "--write",
                     shards / "model.safetensors", *extra)  # fmt: skip
        assert error_problem(own, 2, "stands in the input's folder") == ""
    assert leftovers(tmp_path, "a.npz", "base") == []
    assert [p.name for p in shards.iterdir()] == ["model.safetensors"]


def test_a_figure_and_a_page(data: list[str], tmp_path: Path) -> None:
    outcome = simulated(*data, "--plot", tmp_path / "f.svg", "--csv", tmp_path / "t.csv", "-q")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert "bits per weight" in (tmp_path / "f.svg").read_text()
    assert "int4-g128" in (tmp_path / "t.csv").read_text()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--simulate", "int8,int9"), 2, ("'int9'", "no such scheme")),
        (("--simulate", ","), 2, ("names no scheme",)),
        ((), 2, ("--simulate int8,nf4", "give one of them")),
        (("--simulate", "int8", "--keep", "2"), 2, ("--keep is for audit BASE COMPRESSED",)),
        (("--simulate", "int8", "--budget", "5%"), 2, ("needs --model and --inputs",)),
        (("--simulate", "int8", "--budget", "much"), 2, ("'much'", "0.05 or 5%")),
        (("--simulate", "int8", "--budget", "-1"), 2, ("above 0",)),
        (("--simulate", "int8", "--write", "x.pt"), 2, (".safetensors",)),
        (("--simulate", "int8,nf4", "--write", "x.safetensors"), 2, ("--budget that chooses",)),
        (("--simulate", "int8,nf4", "--fail-if", "bits_per_weight>8"), 2, ("give --budget",)),
        (("--simulate", "int8", "--model", demo.MODEL), 2, ("--inputs",)),
    ],
)
def test_errors(options: tuple[str, ...], code: int, words: tuple[str, ...]) -> None:
    assert error_problem(invoke("audit", demo.TRAINED, *options), code, *words) == ""


def test_a_file_without_weights_has_nothing_to_compress(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", bias=np.ones(3), steps=np.arange(4).reshape(2, 2))
    outcome = invoke("audit", tmp_path / "a.npz", "--simulate", "int8")
    assert error_problem(outcome, 4, "holds no weight") == ""


def test_weights_that_are_not_finite_are_left_alone(tmp_path: Path) -> None:
    good, bad = np.ones((4, 4), np.float32), np.full((4, 4), np.nan, np.float32)
    np.savez(tmp_path / "a.npz", **{"good.weight": good, "bad.weight": bad})
    outcome = invoke(
        "audit", tmp_path / "a.npz", "--simulate", "int8", "--json", "-",
        "--write", tmp_path / "small.safetensors",
    )  # fmt: skip
    report = strict(outcome.out)
    verdicts = {row["layer"]: row["verdict"] for row in report["audit"]}
    assert verdicts["bad"] == "not_compared" and verdicts["good"] in ("lossless", "rounding")
    (row,) = report["frontier"]
    assert row["assignment"] == {"bad": "as it is", "good": "int8"}
    assert leftovers(tmp_path, "a.npz") == ["config.json", "small.safetensors"]


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    """Stopped as soon as the temporary file stands."""
    import signal
    import subprocess
    import time

    from tests.cli.invoke import command, environment

    np.savez(tmp_path / "a.npz", **{f"{i}.weight": np.ones((800, 800), "f4") for i in range(40)})
    folder = tmp_path / "out"
    folder.mkdir()
    words = command("audit", tmp_path / "a.npz", "--simulate", "mxfp4", "--write",
                    folder / "small.safetensors")  # fmt: skip
    process = subprocess.Popen(words, env=environment(), stdout=-3, stderr=-3)
    while not list(folder.iterdir()) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert list(folder.iterdir()) == []


def test_the_command_runs_in_a_process_of_its_own() -> None:
    outcome = run_process("audit", demo.TRAINED, "--simulate", "int8")
    assert outcome.code == 0 and "int8 takes" in outcome.out.replace("Int8", "int8")
