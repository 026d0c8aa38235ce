"""What Python callers give by mistake: one line that says what was found, expected and to do."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import netdistance
from netdistance import CompareOptions, PerturbOptions
from netdistance.errors import InputError, NetDistanceError, UsageError
from netdistance.report.document import Report
from tests.cli.invoke import error_problem, invoke

X = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
NET = nn.Linear(3, 4)
with warnings.catch_warnings(action="ignore"):  # torch warns of both
    NESTED = torch.nested.nested_tensor([X[0], X[1, :2]])
    QUANTISED = torch.quantize_per_tensor(X, 0.1, 0, torch.qint8)


def run(study: str, **changes: Any) -> Report:
    given = {"model": NET, "inputs": X, "certify": 1, **changes}
    source = given["model"] if isinstance(given["model"], nn.Module) else NET
    if study == "compare":
        return netdistance.compare(source, source, CompareOptions(**given))
    return netdistance.perturb(source, PerturbOptions(**given, draws=1, noise=("0.1",)))


class Extra(nn.Linear):
    """Keeps something that is no tensor beside its weights."""

    def get_extra_state(self) -> object:
        return {"scale": 2}

    def set_extra_state(self, state: object) -> None:
        pass


def batch_statistics() -> nn.Module:
    """A network whose outputs are not those of their own inputs."""
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False))


WRONG: dict[str, tuple[dict[str, Any], type[NetDistanceError], tuple[str, ...]]] = {
    "class": ({"model": nn.Linear}, UsageError, ("the class Linear", "write Linear(...)")),
    "function": ({"model": lambda: NET}, UsageError, ("a function", "call it")),
    "dict": ({"model": {"a": 1}}, UsageError, ("of type dict", "torch.nn.Module")),
    "path": ({"model": Path("net.py")}, UsageError, ("PosixPath", "file.py:factory")),
    "number": ({"model": 3}, UsageError, ("of type int",)),
    "batch norm": ({"model": batch_statistics()}, InputError,
                   ("1 (BatchNorm1d)", "track_running_stats=False", "running statistics")),
    "extra state": ({"model": Extra(3, 4)}, InputError, ("extra state", "in buffers")),
    "sparse": ({"inputs": X.to_sparse()}, InputError, ("sparse_coo", "to_dense()")),
    "nested": ({"inputs": NESTED}, InputError,
               ("nested", "to_padded_tensor")),
    "ragged": ({"inputs": [[1.0, 2.0], [3.0]]}, InputError, ("type list", "one length")),
    "objects": ({"inputs": {"x": np.array([None, "a"])}}, InputError, ("<inputs> x", "ndarray")),
    "generator": ({"inputs": iter(X)}, InputError, ("makes no array", "expected a tensor")),
    "meta": ({"inputs": X.to("meta")}, InputError, ("without data", "on the CPU")),
    "complex": ({"inputs": X.to(torch.complex64)}, InputError, ("complex64", "numbers: floats")),
    "quantised": ({"inputs": QUANTISED}, InputError,
                  ("dequantize()",)),
    "keys": ({"inputs": {1: X, 2: X}}, InputError, ("key 1", "forward arguments")),
    "large tokens": ({"inputs": np.full((2, 3), 2**63, np.uint64)}, InputError, ("int64",)),
    "large labels": ({"targets": np.full(5, 2**63 + 5, np.uint64)}, InputError,
                     ("uint64 up to 9223372036854775813",)),
    "empty inputs": ({"inputs": ""}, UsageError, ("--inputs is empty",)),
    "empty output": ({"output": ""}, UsageError, ("--output is empty", "leave --output out")),
    "empty targets": ({"targets": ""}, UsageError, ("--targets is empty",)),
    "batch size": ({"batch_size": 0}, UsageError, ("batch_size is 0, expected 1 or more",)),
    "certify": ({"certify": -1}, UsageError, ("certify is -1",)),
    "device": ({"device": "tpu"}, UsageError, ("'tpu'", "expected auto, cpu or cuda")),
}  # fmt: skip


@pytest.mark.parametrize("study", ["compare", "perturb"])
@pytest.mark.parametrize("what", WRONG)
def test_one_line_says_what_was_found_and_what_to_do(study: str, what: str) -> None:
    changes, kind, words = WRONG[what]
    with pytest.raises(NetDistanceError) as caught:
        run(study, **changes)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert "\n" not in text and not [word for word in words if word not in text], text


def test_an_archive_of_nothing(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz")
    with pytest.raises(InputError, match=r"x.npz: .*an empty archive.*numpy.savez") as caught:
        run("compare", inputs=tmp_path / "x.npz")
    assert str(caught.value).count("x.npz") == 1


def test_a_torch_file_may_hold_one_tensor(tmp_path: Path) -> None:
    torch.save(X, tmp_path / "x.pt")
    torch.save(X, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    expected = run("perturb").sweep
    for name in ("x.pt", "old.pt"):
        assert run("perturb", inputs=tmp_path / name).sweep == expected
    # as weights it has no name
    with pytest.raises(InputError, match="holds a Tensor, expected a state dict"):
        netdistance.compare(tmp_path / "x.pt", tmp_path / "x.pt")


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e4m3fn, torch.float64])
def test_floats_of_every_width_are_inputs(kind: torch.dtype) -> None:
    narrow: Tensor = X.to(kind)
    assert run("perturb", inputs=narrow).sweep == run("perturb", inputs=narrow.float()).sweep


def test_labels_may_be_an_array() -> None:
    labels = NET(X).argmax(1)
    assert run("perturb", targets=labels).reference_accuracy == netdistance.Estimate(1.0, 0.0)


def build() -> nn.Module:
    return nn.Linear(3, 4)


@pytest.mark.parametrize(("option", "code"), [("--inputs", 3), ("--output", 2)])
def test_an_option_left_empty(tmp_path: Path, option: str, code: int) -> None:
    torch.save(NET.state_dict(), tmp_path / "a.pt")
    np.save(tmp_path / "x.npy", X.numpy())
    words = ["--model", f"{__name__}:build", "--inputs", str(tmp_path / "x.npy")]
    outcome = invoke("perturb", tmp_path / "a.pt", *words, option, "")
    assert error_problem(outcome, code, "folder" if option == "--inputs" else "is empty") == ""
