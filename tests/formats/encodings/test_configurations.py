"""What a configuration claims is held against the tensors before anything is made of its size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from netdistance.checkpoints import open_checkpoint
from tests.formats.encodings.test_encodings import CASES
from tests.formats.written import safetensors

HUGE = (10**9, 10**18, 10**30)


def case_named(encoding: str, name: str) -> Any:
    return next(case for case in CASES if (case.encoding, case.name) == (encoding, name))


def put(folder: Path, key: str, value: object) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) if path.exists() else {}
    config.setdefault("quantization_config", {})[key] = value
    path.write_text(json.dumps(config))


@pytest.mark.parametrize("size", HUGE)
def test_blocks_wider_than_the_matrix_cost_no_more_than_it(tmp_path: Path, size: int) -> None:
    path, expected = case_named("fp8 block", "whole blocks").write(tmp_path)
    put(tmp_path, "weight_block_size", [128, size])
    with open_checkpoint(path) as checkpoint:
        assert np.array_equal(checkpoint.read("l.weight"), expected["l.weight"])


@pytest.mark.parametrize("size", HUGE)
def test_groups_longer_than_the_inputs_are_one_group(tmp_path: Path, size: int) -> None:
    path, expected = case_named("gptq", "one group").write(tmp_path)
    put(tmp_path, "group_size", size)
    with open_checkpoint(path) as checkpoint:
        for name, reference in expected.items():
            found = checkpoint.read(name).astype(reference.dtype)
            assert np.array_equal(found, reference)


@pytest.mark.parametrize("size", HUGE)
def test_blocks_of_any_claimed_height_end_with_the_matrix(tmp_path: Path, size: int) -> None:
    codes, scales = np.arange(32, dtype=np.int8).reshape(4, 8), np.array([[0.5, 2.0]], np.float32)
    arrays = {"l.weight": codes, "l.weight_scale": scales}
    (tmp_path / "model.safetensors").write_bytes(safetensors(arrays))
    put(tmp_path, "config_groups", {"all": {"weights": {"block_structure": [size, 4]}}})
    with open_checkpoint(tmp_path) as checkpoint:
        expected = codes * np.repeat(scales, 4, axis=1)
        assert np.array_equal(checkpoint.read("l.weight"), expected)


def test_codes_whose_scales_are_gone_are_no_weights(tmp_path: Path) -> None:
    codes = torch.ones(4, 4).to(torch.float8_e4m3fn)
    save_file({"l.weight": codes, "n.bias": torch.ones(3)}, tmp_path / "model.safetensors")
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.specs["l.weight"].unreadable is None  # plain floats of 8 bits
    put(tmp_path, "quant_method", "fp8")
    with open_checkpoint(tmp_path) as checkpoint:
        assert "'l.weight_scale_inv' is not in the file" in str(
            checkpoint.specs["l.weight"].unreadable
        )


def test_a_configuration_is_not_read_for_plain_weights(tmp_path: Path) -> None:
    save_file({"l.weight": torch.ones(2, 2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{")
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.specs["l.weight"].encoding == "F32"
