"""Modules and mappings as checkpoints: the caller's numbers, without torch where it can be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from netdistance.checkpoints import open_checkpoint
from netdistance.checkpoints.ties import Ties
from netdistance.errors import CheckpointError
from tests.formats.test_safetensors_file import same_values


def holders(ties: Ties) -> dict[str, object]:
    """The names that are held by others."""
    return {name: place.holder for name, place in ties.items() if place.holder != name}


def network() -> nn.Sequential:
    """Two layers that share a weight, and a buffer."""
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    return nn.Sequential(first, nn.BatchNorm1d(4), second)


def test_a_module_gives_its_state() -> None:
    module = network()
    with open_checkpoint(module) as checkpoint:
        assert list(checkpoint.specs) == list(module.state_dict())
        for name, value in module.state_dict().items():
            assert same_values(checkpoint.read(name), value.numpy()), name
        assert str(checkpoint.path) == "<Sequential>"
        assert checkpoint.format == "state dict"
        checkpoint.verify_unchanged()


@pytest.mark.parametrize("where", ["module", "zip", "legacy"])
def test_tied_tensors_are_named(tmp_path: Path, where: str) -> None:
    module = network()
    source: nn.Module | Path = module
    if where != "module":
        source = tmp_path / "f"
        torch.save(module.state_dict(), source, _use_new_zipfile_serialization=where == "zip")
    with open_checkpoint(source) as checkpoint:
        assert holders(checkpoint.ties) == {"2.weight": "0.weight"}


def test_views_of_the_same_elements_are_ties(tmp_path: Path) -> None:
    base = torch.arange(16.0).reshape(4, 4)
    state = {
        "base": base, "same": base.view(4, 4), "transposed": base.T, "row": base[0],
        "other_shape": base.reshape(16), "copy": base.clone(), "empty": base[:0], "none": base[:0],
        "complex": (z := torch.ones(2, dtype=torch.complex64)), "conjugate": z.conj(),
    }  # fmt: skip
    torch.save(state, tmp_path / "f")
    for source in (state, tmp_path / "f"):
        with open_checkpoint(source) as checkpoint:
            turned = {"same": "base", "transposed": "base"}
            assert holders(checkpoint.ties) == {**turned, "row": "other_shape"}


def test_safetensors_never_ties(tmp_path: Path) -> None:
    base = torch.ones(2, 2)
    save_file({"a": base, "b": base.clone()}, tmp_path / "f")
    with open_checkpoint(tmp_path / "f") as checkpoint:
        assert holders(checkpoint.ties) == {}


def test_arrays_of_numpy() -> None:
    x = np.arange(24.0).reshape(4, 6)
    source = {
        "x": x, "columns": np.asfortranarray(x), "big": x.astype(">f4"), "every": x[:, ::2],
        "scalar": np.float32(2.5), "text": np.array(["a"]), "tied": x, "steps": 3,
        "half": torch.ones(3, dtype=torch.bfloat16),
    }  # fmt: skip
    with open_checkpoint(source) as checkpoint:
        for name in ("x", "columns", "big", "every", "scalar", "tied"):
            assert same_values(checkpoint.read(name), np.asarray(source[name])), name
            joined = [b.copy() for b in checkpoint.blocks(name, start=1, stop=9, size=4)]
            assert same_values(
                np.concatenate([*joined, np.empty(0)]), np.asarray(source[name]).reshape(-1)[1:9]
            )
        assert checkpoint.specs["text"].unreadable is not None
        with pytest.raises(CheckpointError, match="tensor 'text'"):
            checkpoint.read("text")
        assert checkpoint.specs["half"].encoding == "BF16"
        assert checkpoint.read("half").tolist() == [1.0, 1.0, 1.0]
        assert holders(checkpoint.ties) == {"every": "x", "tied": "x"}
        assert checkpoint.notes == ("entries that are not tensors were left out: steps",)


def test_wrappers_are_opened_and_named() -> None:
    with open_checkpoint({"model": {"w": torch.ones(2)}, "optimizer": {}}) as checkpoint:
        assert list(checkpoint.specs) == ["w"]
        assert checkpoint.notes == ("weights found under ['model'], leaving out optimizer",)


def test_a_tensor_that_changes_is_an_error() -> None:
    state = {"w": torch.ones(2), "v": torch.ones(2)}
    with open_checkpoint(state) as checkpoint:
        checkpoint.verify_unchanged()
        state["v"].add_(1)
        with pytest.raises(CheckpointError, match="tensor 'v': changed while being read"):
            checkpoint.verify_unchanged()


@pytest.mark.parametrize("source", [7, b"file", [("w", 1)], None, nn.Linear])
def test_anything_else_is_a_type_error(source: object) -> None:
    with pytest.raises(TypeError, match="a checkpoint is a path"):
        open_checkpoint(source)  # type: ignore[arg-type]


def test_arrays_npz_and_shards_need_no_torch(tmp_path: Path) -> None:
    script = """
import json, sys
from pathlib import Path
import numpy as np
from safetensors.numpy import save_file
from netdistance.checkpoints import open_checkpoint
arrays = {"w": np.ones((2, 2)), "v": np.ones(2)}
np.savez_compressed("x.npz", **arrays)
save_file(arrays, "shard")
Path("x.index.json").write_text(json.dumps({"weight_map": dict.fromkeys(arrays, "shard")}))
for source in (arrays, "x.npz", "x.index.json", "."):
    if source == ".":
        Path("x.npz").unlink()
    with open_checkpoint(source) as checkpoint:
        assert checkpoint.read("w").sum() == 4
        checkpoint.verify_unchanged()
sys.exit("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("where", ["file", "memory"])
def test_overlapping_tensors_are_noted_and_parts_of_one_buffer_are_not(
    tmp_path: Path, where: str
) -> None:
    buffer = torch.arange(24.0)
    apart = {
        "x": buffer[:12].view(3, 4),
        "y": buffer[12:].view(3, 4),
        "again": buffer[:12].view(3, 4),
    }
    for state, noted in ((apart, False), ({**apart, "across": buffer[6:18].view(3, 4)}, True)):
        torch.save(state, tmp_path / "a.pt")
        with open_checkpoint(tmp_path / "a.pt" if where == "file" else state) as checkpoint:
            assert any("overlap" in note for note in checkpoint.notes) == noted
            assert holders(checkpoint.ties) == {"again": "x"}
