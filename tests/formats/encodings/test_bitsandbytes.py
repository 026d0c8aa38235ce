"""What stands beside codes of bitsandbytes is hostile, and it decodes to bfloat16 mostly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from netdistance.checkpoints import open_checkpoint
from netdistance.checkpoints.encodings import bitsandbytes_4bit
from tests.formats.encodings.bitsandbytes_cases import NAME, change_state, drop, write_4bit


def test_rounded_to_bfloat16_it_is_the_librarys(tmp_path: Path) -> None:
    path, expected = write_4bit(tmp_path, (70, 66), nested=True, dtype=torch.bfloat16)
    with open_checkpoint(path) as checkpoint:
        found = torch.from_numpy(checkpoint.read(NAME))
    assert torch.equal(found.to(torch.bfloat16).float(), torch.from_numpy(expected[NAME]))
    assert not torch.equal(found, torch.from_numpy(expected[NAME]))  # ours is not rounded


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"shape": [256, 129]}, "bytes of two codes"),
        ({"shape": [-256, -128]}, "list of sizes"),
        ({"shape": [2**70, 0]}, "list of sizes"),
        ({"shape": [1] * 70}, "bytes of two codes"),
        ({"shape": None}, "list of sizes"),
        ({"shape": [True, 32768]}, "list of sizes"),
        ({"blocksize": 0}, "blocksize"),
        ({"blocksize": -64}, "blocksize"),
        ({"blocksize": 64.0}, "blocksize"),
        ({"blocksize": 128}, "absmax"),
        ({"dtype": "int8"}, "dtype"),
        ({"dtype": ["float32"]}, "dtype"),
        ({"nested_blocksize": 0}, "nested_blocksize"),
        ({"nested_blocksize": 10**30}, "nested_blocksize"),
        ({"nested_blocksize": 16}, "nested_absmax"),
        ({"nested_offset": math.nan}, "nested_offset"),
        ({"nested_offset": math.inf}, "nested_offset"),
        ({"nested_offset": 10**400}, "nested_offset"),
        ({"nested_offset": "0"}, "nested_offset"),
        ({"nested_dtype": "float16"}, "nested_dtype"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(
    changes: Mapping[str, Any], word: str, tmp_path: Path
) -> None:
    path, _ = write_4bit(tmp_path, (256, 128), nested=True)
    change_state(path, **changes)
    assert word in _reason(path)


@pytest.mark.parametrize("part", ["absmax", "quant_map", "nested_quant_map"])
def test_a_missing_part_is_named(part: str, tmp_path: Path) -> None:
    path, _ = write_4bit(tmp_path, (256, 128), nested=True)
    drop(path, part)
    assert f"there is no '{NAME}.{part}'" in _reason(path)


@pytest.mark.parametrize("state", [b"[1]", b"{", b"\xff\xfe", b'{"shape": [1], "shape": [2]}'])
def test_a_state_that_is_no_json_object_is_refused(state: bytes, tmp_path: Path) -> None:
    path, _ = write_4bit(tmp_path, (32, 64))
    tensors = load_file(path)
    tensors[f"{NAME}.quant_state.bitsandbytes__nf4"] = torch.tensor(list(state), dtype=torch.uint8)
    save_file(tensors, path)
    assert "quant_state" in _reason(path)


def _reason(path: Path) -> str:
    """Why the weight is unreadable; the bias beside it still is."""
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.specs["l.bias"].unreadable is None
        return str(checkpoint.specs[NAME].unreadable)


@pytest.mark.parametrize("part", ["absmax", "quant_map", "nested_absmax", "nested_quant_map"])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_table_may_have_a_second_axis_of_one(part: str, axis: int, tmp_path: Path) -> None:
    path, expected = write_4bit(tmp_path, (256, 128), nested=True)
    tensors = load_file(path)
    tensors[f"{NAME}.{part}"] = tensors[f"{NAME}.{part}"].unsqueeze(axis)
    save_file(tensors, path)
    with open_checkpoint(path) as checkpoint:
        assert (checkpoint.read(NAME) == expected[NAME]).all()


def test_a_single_row_is_not_decoded_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = write_4bit(tmp_path, (1, 1 << 21), nested=False)
    decode, sizes = bitsandbytes_4bit.nibble_pairs, []
    spy = lambda codes, table: sizes.append(codes.size) or decode(codes, table)  # noqa: E731
    monkeypatch.setattr(bitsandbytes_4bit, "nibble_pairs", spy)
    with open_checkpoint(path) as checkpoint:
        assert sum(block.size for block in checkpoint.blocks(NAME)) == 1 << 21
    assert sum(sizes) == 1 << 20 and max(sizes) <= 1 << 18
