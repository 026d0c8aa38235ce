"""Laws of every member of ENCODINGS: bit for bit as the reference library decodes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import netdistance
from netdistance.checkpoints import open_checkpoint
from netdistance.checkpoints.encodings import ENCODINGS
from tests.formats.encodings import (
    awq_cases,
    bitsandbytes_cases,
    compressed_tensors_cases,
    fp8_block_cases,
    gguf_cases,
    gptq_cases,
    mxfp4_cases,
)
from tests.formats.encodings.case import Case

CASES: tuple[Case, ...] = (
    *fp8_block_cases.CASES,
    *gguf_cases.CASES,
    *gptq_cases.CASES,
    *awq_cases.CASES,
    *compressed_tensors_cases.CASES,
    *mxfp4_cases.CASES,
    *bitsandbytes_cases.CASES,
)
DAMAGED = tuple(case for case in CASES if case.damage is not None)


def test_every_encoding_has_cases_and_a_ragged_one() -> None:
    names = {encoding.name for encoding in ENCODINGS}
    assert {case.encoding for case in CASES} == names
    assert {case.encoding for case in CASES if "ragged" in case.name} == names
    assert {case.encoding for case in DAMAGED} == names


@pytest.mark.parametrize("case", CASES, ids=str)
def test_decodes_bit_for_bit_as_the_reference(case: Case, tmp_path: Path) -> None:
    path, expected = case.write(tmp_path)
    with open_checkpoint(path) as checkpoint:
        for name, reference in expected.items():
            spec, found = checkpoint.specs[name], checkpoint.read(name)
            assert spec.unreadable is None and spec.shape == found.shape == reference.shape
            assert spec.decoding and spec.encoding and found.dtype == np.float32
            assert found.astype(reference.dtype).tobytes() == reference.tobytes(), name


@pytest.mark.parametrize("case", CASES, ids=str)
def test_blocks_of_any_span_are_those_of_the_whole(case: Case, tmp_path: Path) -> None:
    path, expected = case.write(tmp_path)
    with open_checkpoint(path) as checkpoint:
        for name in expected:
            flat = checkpoint.read(name).reshape(-1)
            for start, size in ((0, 7), (5, 1000), (flat.size // 2, 64), (flat.size - 1, 2)):
                blocks = [b.copy() for b in checkpoint.blocks(name, start=start, size=size)]
                assert all(block.size == size for block in blocks[:-1])
                np.testing.assert_array_equal(np.concatenate(blocks), flat[start:])
            some = list(checkpoint.blocks(name, start=3, stop=9, size=100))
            np.testing.assert_array_equal(np.concatenate(some), flat[3:9])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_packed_file_is_compared_as_weights(case: Case, tmp_path: Path) -> None:
    path, expected = case.write(tmp_path)
    plain = {name: reference.astype(np.float32) for name, reference in expected.items()}
    report = netdistance.compare(plain, path)
    rows = {row.name: row for row in report.tensors}
    assert not report.pairing.only_a and rows.keys() >= expected.keys()
    for name in expected:
        assert rows[name].decoding_b and rows[name].encoding_a == "F32"
        assert rows[name].metrics["max_abs"].value == 0.0 or expected[name].itemsize < 4


@pytest.mark.parametrize("case", DAMAGED, ids=str)
def test_damaged_parts_are_refused_with_a_reason(case: Case, tmp_path: Path) -> None:
    path, _ = case.write(tmp_path)
    assert case.damage is not None
    case.damage(path)
    with open_checkpoint(path) as checkpoint:
        reasons = [spec.unreadable for spec in checkpoint.specs.values() if spec.unreadable]
    assert reasons


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_part_without_data_is_a_row_with_its_reason(case: Case, tmp_path: Path) -> None:
    path, _ = case.write(tmp_path)
    written = path if path.is_file() else path / "model.safetensors"
    if written.suffix != ".safetensors":
        pytest.skip("this format has no tensors without data")
    tensors = load_file(written)
    for name in tensors.keys() - {"l.bias"}:
        torch.save({**tensors, name: tensors[name].to("meta")}, tmp_path / "odd.bin")
        with open_checkpoint(tmp_path / "odd.bin") as checkpoint:
            reasons = [spec.unreadable or "" for spec in checkpoint.specs.values()]
        assert sum("has no data" in reason for reason in reasons) == 1, name
