"""`netdistance audit`: verdicts, gates, exit codes, and what a person reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from netdistance import AuditOptions, audit, demo
from netdistance.errors import UsageError
from tests.cli.golden import golden_problem, wide_lines
from tests.cli.invoke import Outcome, error_problem, invoke

Arrays = dict[str, np.ndarray]
RUN = ("--model", demo.MODEL, "--inputs", str(demo.POINTS), "--targets", str(demo.LABELS))


def weights() -> Arrays:
    draw = np.random.default_rng(0)
    return {
        "first.weight": draw.standard_normal((48, 256)).astype(np.float32),
        "first.bias": draw.standard_normal(48).astype(np.float32),
        "second.weight": draw.standard_normal((16, 48)).astype(np.float32),
    }


def to_int8(weight: np.ndarray) -> np.ndarray:
    step = np.abs(weight).max(axis=1, keepdims=True) / np.float32(127)
    return np.rint(weight / step) * step


def rounded() -> Arrays:
    return {name: to_int8(w) if w.ndim > 1 else w for name, w in weights().items()}


def audited(folder: Path, b: Arrays, *options: str, a: Arrays | None = None) -> Outcome:
    save_file(weights() if a is None else a, folder / "a.safetensors")
    save_file(b, folder / "b.safetensors")
    return invoke("audit", folder / "a.safetensors", folder / "b.safetensors", *options)


def rows(outcome: Outcome) -> dict[str, dict[str, Any]]:
    return {row["layer"]: row for row in json.loads(outcome.out)["audit"]}


def test_a_person_reads(tmp_path: Path) -> None:
    b = rounded()
    b["first.weight"][40:42] *= 1.5
    b["second.bias"] = np.zeros(16, np.float32)
    outcome = audited(tmp_path, b, "--fail-on", "more_than_rounding")
    assert (outcome.code, outcome.err) == (1, "")
    assert golden_problem("audit.txt", outcome.out) == ""
    assert wide_lines(outcome.out) == []


def test_what_the_copy_lacks_runs_as_in_the_base(tmp_path: Path) -> None:
    whole = load_file(demo.ROUNDED)
    lacking = sorted(name for name in whole if name.endswith("bias"))[:1]
    save_file({n: w for n, w in whole.items() if n not in lacking}, tmp_path / "part")
    base = load_file(demo.TRAINED)
    save_file(whole | {name: base[name] for name in lacking}, tmp_path / "whole")
    part, same = (
        json.loads(invoke("audit", demo.TRAINED, tmp_path / name, *RUN, "--json", "-").out)
        for name in ("part", "whole")
    )
    assert part["deviation"] == same["deviation"] and part["keep"] == same["keep"]
    (note,) = (n for n in part["provenance"]["files"][1]["notes"] if "run with" in n)
    assert note == f"run with 1 tensors of a, which it lacks: {lacking[0]!r}"
    assert not any("run with" in note for note in same["provenance"]["files"][1]["notes"])


def test_a_person_reads_effects() -> None:
    outcome = invoke("audit", demo.TRAINED, demo.ROUNDED, *RUN)
    assert (outcome.code, outcome.err) == (0, "")
    assert golden_problem("audit_model.txt", outcome.out) == ""
    assert wide_lines(outcome.out) == []


def test_rounding_passes_the_gate_and_damage_does_not(tmp_path: Path) -> None:
    gate = ("--fail-on", "more_than_rounding", "--require-all")
    assert audited(tmp_path, rounded(), *gate).code == 0
    b = rounded()
    b["second.weight"][3] *= 1.2
    outcome = audited(tmp_path, b, *gate, "--json", "-")
    assert outcome.code == 1
    found = rows(outcome)
    assert found["first"]["verdict"] == "rounding"
    assert found["second"]["verdict"] == "more_than_rounding"
    assert found["second"]["rounding_of"] == "int8"
    assert found["first"]["bits_per_weight"] == 32.0
    assert found["first"]["floor"]["value"] == pytest.approx(found["first"]["distance"]["value"])


def test_base_and_copy_exchanged_are_noticed(tmp_path: Path) -> None:
    codes = np.arange(64, dtype=np.int8).reshape(8, 8)
    packed = {"l.weight": codes, "l.weight_scale": np.ones((8, 1), np.float32)}
    plain = {"l.weight": codes.astype(np.float32)}
    words = "a takes 12 bits per weight and b 32: if the first is the copy, exchange them"
    assert words in " ".join(audited(tmp_path, plain, a=packed).out.split())
    for a, b in ((plain, packed), (packed, packed), (plain, plain)):
        assert "exchange" not in audited(tmp_path, b, a=a).out


def test_a_bias_that_moved_is_not_ignored(tmp_path: Path) -> None:
    b = rounded()
    b["first.bias"] = b["first.bias"] * np.float32(9.5)
    outcome = audited(tmp_path, b, "--json", "-")
    assert rows(outcome)["first"]["verdict"] == "broken"


def test_extra_keys_are_never_no_damage(tmp_path: Path) -> None:
    b = weights() | {
        "first.weight_codes": np.zeros((48, 128), np.uint8),
        "second.quant.scale": np.ones(4, np.float32),
    }
    outcome = audited(tmp_path, b, "--json", "-", "--fail-on", "more_than_rounding")
    assert outcome.code == 1
    found = rows(outcome)
    assert {found[name]["verdict"] for name in ("first", "second", "second.quant")} == {
        "not_compared"
    }
    text = json.loads(outcome.out)["verdict"]["text"]
    assert "could not be judged" in text and "holds exactly" not in text
    assert "Not judged: 3 layers" in text


def test_positions_that_are_left_out_are_no_damage(tmp_path: Path) -> None:
    a = weights() | {"first.position_ids": np.arange(8)[None]}
    outcome = audited(tmp_path, weights(), "--fail-on", "rounding", a=a)
    assert outcome.code == 0
    assert outcome.out.startswith("b holds exactly the weights of a: every value of 2 layers is")
    assert "Not covered: 1 tensor without a partner." in " ".join(outcome.out.split())
    assert audited(tmp_path, weights(), "--require-all", a=a).code == 1
    packed = weights() | {"first.codes": np.zeros((48, 32), np.int32)}
    assert audited(tmp_path, weights(), "--fail-on", "broken", a=packed).code == 1


def test_what_moved_and_has_no_floor_is_not_said_to_hold_the_values() -> None:
    from netdistance.quantities import Exact, Skipped
    from netdistance.report.audit_rows import AuditRow
    from netdistance.report.audit_verdict import audit_verdict
    from netdistance.report.document import PairingAccount, Report, Verdict

    none = Skipped("needs --model and --inputs")
    rows = [
        AuditRow("x", "IQ4_XS", None, 4.25, Exact(0.08), none, "not_compared"),
        AuditRow("y", "F32", None, 32.0, Exact(0.0), none, "lossless"),
    ]
    account = PairingAccount(compared=2, identical=1)
    report = Report(
        study="audit", provenance={}, verdict=Verdict(""), pairing=account, tensors=(),
        audit=tuple(rows),
    )  # fmt: skip
    text = audit_verdict(report, "a.safetensors", "b.gguf")
    assert text.startswith("b could not be judged: 1 layer moved, by up to 8%.")


def test_identical_weights_in_another_type_are_said_to_be_identical(tmp_path: Path) -> None:
    half = {name: w.astype(np.float16) for name, w in weights().items()}
    wide = {name: w.astype(np.float32) for name, w in half.items()}
    outcome = audited(tmp_path, wide, a=half)
    assert outcome.code == 0
    assert outcome.out.startswith("b holds exactly the weights of a, stored as float32 instead of")
    path = tmp_path / "a.safetensors"
    assert "the same file: every layer is lossless" in " ".join(
        invoke("audit", path, path).out.split()
    )


@pytest.mark.parametrize("command", ["audit", "compare"])
def test_a_broken_file_beside_itself_is_not_called_identical(tmp_path: Path, command: str) -> None:
    save_file(weights() | {"second.weight": np.full((2, 2), np.nan)}, tmp_path / "a.safetensors")
    verdict = " ".join(invoke(command, *[tmp_path / "a.safetensors"] * 2).out.split())
    assert "the same file. " in verdict and "1 tensor with NaN or infinity" in verdict
    assert "every" not in verdict


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("distance>0.5", 0),
        ("distance>0.001", 1),
        ("bits_per_weight>31", 1),
        ("bits_per_weight>32", 0),
        ("relative_frobenius>0.001", 1),
    ],
)
def test_thresholds_on_weights(tmp_path: Path, expression: str, code: int) -> None:
    assert audited(tmp_path, rounded(), "--fail-if", expression).code == code


@pytest.mark.parametrize(
    ("expression", "code"),
    [("measured>0.5", 0), ("measured>0.1", 1), ("gain>0.05", 1), ("deviation<0.001", 0)],
)
def test_thresholds_on_effects(expression: str, code: int) -> None:
    run = (*RUN, "--quiet", "--fail-if", expression)
    assert invoke("audit", demo.TRAINED, demo.ROUNDED, *run).code == code


@pytest.mark.parametrize("expression", ["floor>0.1", "gain>0.01", "deviation>0.1"])
def test_a_threshold_on_what_nothing_has_passes(expression: str) -> None:
    run = (*RUN, "--quiet", "--fail-if", expression)
    assert invoke("audit", demo.TRAINED, demo.TRAINED, *run).code == 0


def test_the_keep_list_is_measured_and_adds_up() -> None:
    report = audit(
        demo.TRAINED,
        demo.ROUNDED,
        AuditOptions(model=demo.MODEL, inputs=demo.POINTS, keep=2),
    )
    assert report.keep is not None and report.deviation is not None and report.audit is not None
    total = report.deviation[0].value.value  # type: ignore[union-attr]
    gains = [row.gain.value for row in report.keep]  # type: ignore[union-attr]
    left = [row.deviation.value for row in report.keep]  # type: ignore[union-attr]
    assert len(report.keep) == 2
    assert left == pytest.approx([total - gains[0], total - gains[0] - gains[1]])
    assert report.keep[0].layer == "4"
    alone = {row.layer: row.measured for row in report.audit}
    swapped = {r.layer: r.value for r in report.attribution or () if r.scheme == "swap_in"}
    assert alone == swapped
    none = AuditOptions(model=demo.MODEL, inputs=demo.POINTS, keep=0)
    assert audit(demo.TRAINED, demo.ROUNDED, none).keep == ()


def test_a_mixed_network_is_the_one_that_was_measured() -> None:
    """The deviation after keeping a layer is that of the checkpoint with this layer from a."""
    from netdistance import open_checkpoint

    with open_checkpoint(demo.TRAINED) as a, open_checkpoint(demo.ROUNDED) as b:
        mixed = {n: (a if n.startswith("4.") else b).read(n) for n in a.specs}
    options = AuditOptions(model=demo.MODEL, inputs=demo.POINTS, keep=1)
    kept = audit(demo.TRAINED, demo.ROUNDED, options).keep
    again = audit(demo.TRAINED, mixed, options).deviation
    assert kept is not None and again is not None
    assert kept[0].deviation == again[0].value


def test_every_output_is_written(tmp_path: Path) -> None:
    names = {f"--{o}": tmp_path / f"r.{o}" for o in ("json", "csv", "markdown", "html")}
    options = [str(word) for pair in names.items() for word in pair]
    outcome = audited(tmp_path, rounded(), *options, "--plot", str(tmp_path / "r.png"))
    assert outcome.code == 0
    assert all(path.stat().st_size for path in names.values())
    assert "| rounding |" in (tmp_path / "r.markdown").read_text()
    assert invoke("render", tmp_path / "r.json").out.startswith("b is a within 8-bit rounding")


def test_usage(tmp_path: Path) -> None:
    problem = error_problem(invoke("audit", demo.TRAINED), 2, "COMPRESSED")
    assert problem == ""
    pair = (demo.TRAINED, demo.ROUNDED)
    assert error_problem(invoke("audit", *pair, "--fail-on", "worse"), 2, "worse") == ""
    needs = invoke("audit", *pair, "--fail-if", "measured>1")
    assert error_problem(needs, 2, "--model") == ""
    unknown = invoke("audit", *pair, "--fail-if", "nonsense>1")
    assert error_problem(unknown, 2, "nonsense", "distance") == ""
    with pytest.raises(UsageError, match="no verdict is called 'bad'"):
        AuditOptions(fail_on=("bad",))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="several strings"):
        AuditOptions(fail_on="broken")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="keep is -1"):
        AuditOptions(keep=-1)
