"""What compressed-tensors files say of themselves is checked; what does not fit has a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import netdistance
from netdistance.bounds.trust import is_weight
from netdistance.checkpoints import open_checkpoint
from netdistance.checkpoints.base import TensorSpec
from netdistance.quantities import Skipped
from tests.formats.encodings.compressed_tensors_cases import (
    write_nvfp4,
    write_packed,
    write_scaled,
)

F8 = torch.float8_e4m3fn


def spec_of(path: Path, name: str = "l.weight") -> TensorSpec:
    with open_checkpoint(path) as checkpoint:
        return checkpoint.specs[name]


def put(folder: Path, **tensors: torch.Tensor | None) -> None:
    """Put tensors of the layer in place, or take out those that are None."""
    path = folder / "model.safetensors"
    own = load_file(path) | {f"l.{name}": tensor for name, tensor in tensors.items()}
    save_file({n: t for n, t in own.items() if t is not None}, path)


def configure(folder: Path, **weights: Any) -> None:
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    config = {"quantization_config": {"config_groups": groups}}
    (folder / "config.json").write_text(json.dumps(config))


def test_rounded_to_bfloat16_it_is_what_the_library_computes_in_bfloat16(tmp_path: Path) -> None:
    from compressed_tensors.compressors import PackedQuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    write_packed(tmp_path, bits=8, symmetric=False)
    args = QuantizationArgs(num_bits=8, group_size=32, symmetric=False, strategy="group")
    own = load_file(tmp_path / "model.safetensors")
    local = {name.removeprefix("l."): tensor for name, tensor in own.items()}
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    expected = PackedQuantizationCompressor.decompress(local, scheme)["weight"]
    with open_checkpoint(tmp_path) as checkpoint:
        found = torch.from_numpy(checkpoint.read("l.weight")).bfloat16()
    assert expected.dtype == torch.bfloat16 and torch.equal(found, expected)


def test_what_is_no_part_of_the_weight_stays_a_tensor(tmp_path: Path) -> None:
    write_packed(tmp_path)
    with open_checkpoint(tmp_path) as checkpoint:
        assert set(checkpoint.specs) == {"l.weight", "l.input_scale"}
        assert checkpoint.specs["l.weight"].encoding == "pack-quantized int4, groups of 32"


def test_a_packed_weight_counts_in_deep_relative_trust(tmp_path: Path) -> None:
    path, expected = write_packed(tmp_path)
    report = netdistance.compare(path, {"l.weight": 2 * expected["l.weight"]})
    row = next(row for row in report.tensors if row.name == "l.weight")
    assert row.decoding_a and is_weight(row)


HUGE = 1 << 62
REFUSED = [
    ({"weight_shape": torch.tensor([16, HUGE])}, "says (16, 4611686018427387904)"),
    ({"weight_shape": torch.tensor([HUGE, 64])}, "says (4611686018427387904, 64)"),
    ({"weight_shape": torch.tensor([16, -64])}, "says (16, -64)"),
    ({"weight_shape": torch.tensor([16, 0])}, "says (16, 0)"),
    ({"weight_shape": torch.tensor([16, 40])}, "40 inputs in 8 words fit [] bits"),
    ({"weight_shape": torch.tensor([16, 2, 32])}, "expected two integers"),
    ({"weight_shape": torch.tensor([16.0, 64.0])}, "expected two integers"),
    ({"weight_shape": None}, "'l.weight_shape' is not in the file"),
    ({"weight_scale": None}, "'l.weight_scale' is not in the file"),
    ({"weight_scale": torch.ones(16, 3)}, "says groups of 32, and 64 inputs have 3 scales"),
    ({"weight_scale": torch.ones(16, 0)}, "which no way of sharing gives"),
    ({"weight_scale": torch.ones(16, 2, 1)}, "which no way of sharing gives"),
    ({"weight_scale": torch.ones(16, 2, dtype=torch.int32)}, "expected floating point"),
    ({"weight_zero_point": torch.ones(16, 2, dtype=torch.int32)}, "expected (2, 2)"),
    ({"weight_zero_point": torch.ones(16, 1, dtype=torch.int8)}, "expected (16, 2)"),
    ({"weight_zero_point": torch.ones(16, 2)}, "expected packed I32"),
    ({"weight_g_idx": torch.full((64,), 2, dtype=torch.int32)}, "holds 2, of 2 groups"),
    ({"weight_g_idx": torch.full((63,), 1, dtype=torch.int32)}, "expected (64,)"),
    ({"weight_g_idx": torch.ones(64)}, "expected integers"),
    ({"weight_packed": torch.ones(16, 8, 1, dtype=torch.int32)}, "expected a matrix"),
    ({"meta": torch.ones(3)}, "the layout marlin-24 is not decoded"),
]


@pytest.mark.parametrize(("tensors", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_parts_that_do_not_fit_are_refused(
    tensors: dict[str, torch.Tensor | None], words: str, tmp_path: Path
) -> None:
    write_packed(tmp_path)
    put(tmp_path, **tensors)
    assert words in str(spec_of(tmp_path).unreadable)
    report = netdistance.compare(tmp_path, tmp_path)
    row = next(row for row in report.tensors if row.name == "l.weight")
    assert row.metrics and all(isinstance(v, Skipped) for v in row.metrics.values())


def test_a_weight_beside_the_packed_one_is_not_hidden(tmp_path: Path) -> None:
    write_packed(tmp_path)
    put(tmp_path, weight=torch.ones(2, 2))
    assert spec_of(tmp_path).shape == (2, 2)
    assert "stands in the file beside" in str(spec_of(tmp_path, "l.weight_packed").unreadable)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"num_bits": 8}, "64 inputs in 8 words fit [4] bits, and the configuration says [8]"),
        ({"num_bits": 4, "group_size": 16}, "says groups of 16, and 64 inputs have 2 scales"),
        ({"num_bits": 4, "symmetric": False}, "'l.weight_zero_point' is not in the file"),
    ],
)
def test_a_configuration_that_disagrees_is_said(
    weights: dict[str, Any], words: str, tmp_path: Path
) -> None:
    write_packed(tmp_path)
    configure(tmp_path, **weights)
    assert words in str(spec_of(tmp_path).unreadable)


@pytest.mark.parametrize("groups", [3, {"a": 3}, {"a": {"weights": 3}}, {"a": {"weights": {}}}])
def test_odd_configurations_are_as_good_as_none(groups: Any, tmp_path: Path) -> None:
    _, expected = write_packed(tmp_path)
    config = {"quantization_config": {"config_groups": groups}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with open_checkpoint(tmp_path) as checkpoint:
        np.testing.assert_array_equal(checkpoint.read("l.weight"), expected["l.weight"])


def test_a_g_idx_that_was_never_filled_in_says_nothing(tmp_path: Path) -> None:
    _, expected = write_packed(tmp_path)
    put(tmp_path, weight_g_idx=torch.full((64,), -1, dtype=torch.int32))
    with open_checkpoint(tmp_path) as checkpoint:
        np.testing.assert_array_equal(checkpoint.read("l.weight"), expected["l.weight"])


def test_scaled_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_scaled(tmp_path, shape=(6, 10), kind=F8, scales=(6, 1), strategy="channel")
    put(tmp_path, weight_scale=torch.ones(4, 3))
    assert "which no way of sharing gives" in str(spec_of(tmp_path).unreadable)
    put(tmp_path, weight_scale=torch.ones(6, 1, dtype=torch.uint8))
    assert "is U8, expected floating point" in str(spec_of(tmp_path).unreadable)
    put(tmp_path, weight_scale=torch.ones(6, 1), weight_zero_point=torch.ones(6, 1))
    assert "is F32, expected I8" in str(spec_of(tmp_path).unreadable)


def test_nvfp4_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    write_nvfp4(tmp_path, shape=(4, 32))
    put(tmp_path, weight_global_scale=None)
    assert "is not in the file" in str(spec_of(tmp_path).unreadable)
    put(tmp_path, weight_scale=torch.ones(4, 2, dtype=torch.uint8))
    assert "MXFP4 is not decoded" in str(spec_of(tmp_path).unreadable)


def test_sparse_bitmasks_are_refused(tmp_path: Path) -> None:
    write_packed(tmp_path)
    put(tmp_path, **{"s.compressed": torch.ones(3), "s.bitmask": torch.ones(1, 1).byte()})
    assert "sparse bitmask is not decoded" in str(spec_of(tmp_path, "l.s.weight").unreadable)
