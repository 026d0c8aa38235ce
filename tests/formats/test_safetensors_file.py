"""Our safetensors reader against the library, against bytes typed by hand, and against noise."""

from __future__ import annotations

import json
import struct
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import numpy as numpy_library
from safetensors import torch as torch_library

from netdistance.checkpoints import open_checkpoint
from netdistance.checkpoints.dtypes import BY_NAME, DTYPES
from netdistance.errors import CheckpointError
from tests.formats.hostile import GOOD, GOOD_BYTES, HEADER_BYTES
from tests.formats.written import framed, raw_tensors, safetensors

NUMPY = (
    *(np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.int8),
    *(np.uint64, np.uint32, np.uint16, np.uint8, np.bool_, np.complex64),
)
TORCH_FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
}
FP4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # OCP microscaling specification 1.0, table 4
NOT_WRITTEN = {"F4", "F6_E2M3", "F6_E3M2", "C128"}  # no library here writes them


def same_values(found: np.ndarray, expected: np.ndarray) -> bool:
    """Equal shapes and equal values, a NaN where a NaN is, and the same sign of zero."""
    if found.shape != expected.shape or not np.array_equal(found, expected, equal_nan=True):
        return False
    if found.dtype.kind != "f":
        return True
    number = ~np.isnan(expected)
    return bool(np.array_equal(np.signbit(found[number]), np.signbit(expected[number])))


def test_planted_faults_of_the_comparer_are_found() -> None:
    x = np.array([1.0, np.nan, 0.0])
    assert same_values(x, x.copy())
    for wrong in ([1.0, np.nan, -0.0], [1.0, 2.0, 0.0], [1.0 + 1e-15, np.nan, 0.0]):
        assert not same_values(x, np.array(wrong))
    assert not same_values(x, x[:2])
    assert not same_values(x, x.reshape(1, 3))


@pytest.mark.parametrize("dtype", NUMPY, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (7,), (4, 5), (2, 1, 3, 2)], ids=str)
def test_what_the_library_writes_from_numpy(
    tmp_path: Path, dtype: type[np.generic], shape: tuple[int, ...]
) -> None:
    count = int(np.prod(shape))
    raw = np.random.default_rng(count).integers(0, 256, count * np.dtype(dtype).itemsize)
    if dtype is np.bool_:
        raw %= 2
    values = raw.astype(np.uint8).view(dtype).reshape(shape)
    numpy_library.save_file({"x": values, "other": np.ones(3)}, tmp_path / "f")
    with open_checkpoint(tmp_path / "f") as checkpoint:
        spec = checkpoint.specs["x"]
        assert same_values(checkpoint.read("x"), values)
        assert checkpoint.read("x").dtype == dtype
        assert (spec.shape, spec.nbytes, spec.elements) == (shape, values.nbytes, count)


@pytest.mark.parametrize("encoding", TORCH_FLOATS)
def test_every_code_of_a_float_type_is_what_torch_says(tmp_path: Path, encoding: str) -> None:
    bits = BY_NAME[encoding].bits
    codes = (
        np.arange(1 << bits) if bits <= 16 else np.random.default_rng(1).integers(0, 1 << 32, 99)
    )
    raw = torch.from_numpy(codes.astype(f"<u{bits // 8}").view(np.uint8))
    values = raw.view(TORCH_FLOATS[encoding])
    torch_library.save_file({"x": values}, tmp_path / "f")
    with open_checkpoint(tmp_path / "f") as checkpoint:
        assert checkpoint.specs["x"].encoding == encoding
        with np.errstate(invalid="ignore"):  # signalling NaNs
            found = checkpoint.read("x").astype(np.float64)
    wide = values.double() if encoding != "F8_E8M0" else values.float().double()
    if encoding == "F8_E8M0":
        wide[0] = 2.0**-127  # torch's float32 gives this subnormal too; typed from the format
    assert same_values(found, wide.numpy())


def test_four_bit_floats(tmp_path: Path) -> None:
    packed = bytes(range(256))
    (tmp_path / "f").write_bytes(raw_tensors(x=("F4", [16, 32], packed)))
    values = [*FP4, *(-value for value in FP4)]
    expected = [values[nibble] for byte in packed for nibble in (byte & 15, byte >> 4)]
    with open_checkpoint(tmp_path / "f") as checkpoint:
        assert same_values(checkpoint.read("x"), np.array(expected, np.float32).reshape(16, 32))


def test_every_type_is_held_against_something() -> None:
    from_numpy = {"I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL", "C64"}
    assert {dtype.name for dtype in DTYPES} == from_numpy | TORCH_FLOATS.keys() | NOT_WRITTEN


def test_any_byte_but_zero_is_true(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(raw_tensors(x=("BOOL", [4], b"\x00\x01\x02\xff")))
    with open_checkpoint(tmp_path / "f") as checkpoint:
        assert checkpoint.read("x").tolist() == [False, True, True, True]


def test_bytes_typed_by_hand(tmp_path: Path) -> None:
    header = (
        b'{"__metadata__":{"format":"np"},'
        b'"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]},'
        b'"a":{"shape":[1,2],"data_offsets":[0,8],"dtype":"F32"}}  '
    )
    data = b"\x00\x00\x80\x3f\x00\x00\x20\xc0" + b"\x80\x3f\xc0\x7f"
    (tmp_path / "f").write_bytes(struct.pack("<Q", len(header)) + header + data)
    with open_checkpoint(tmp_path / "f") as checkpoint:
        assert list(checkpoint.specs) == ["b", "a"]
        assert checkpoint.read("a").tolist() == [[1.0, -2.5]]
        assert same_values(checkpoint.read("b"), np.array([1.0, np.nan], np.float32))
        assert [spec.is_weight for spec in checkpoint.specs.values()] == [False, True]
        assert checkpoint.notes == ()


@pytest.mark.parametrize("encoding", ["F32", "BF16", "F8_E4M3", "F4", "I64", "BOOL", "C64", "C128"])
def test_blocks_join_up_to_the_whole(tmp_path: Path, encoding: str) -> None:
    elements = 130
    raw = np.random.default_rng(3).bytes(elements * BY_NAME[encoding].bits // 8)
    (tmp_path / "f").write_bytes(
        raw_tensors(before=("U8", [3], b"abc"), x=(encoding, [2, 65], raw))
    )
    with open_checkpoint(tmp_path / "f") as checkpoint:
        whole = checkpoint.read("x").reshape(-1)
        starts, stops, sizes = (
            (0, 2, 64, 128, 130, 200),
            (None, 0, 66, 130, 999),
            (2, 4, 64, 130, 999),
        )
        for start, stop, size in product(starts, stops, sizes):
            blocks = checkpoint.blocks("x", start=start, stop=stop, size=size)
            copies = [block.copy() for block in blocks]
            assert all(0 < block.size <= size for block in copies)
            assert same_values(np.concatenate([*copies, whole[:0]]), whole[start:stop])


def test_reading_after_closing_is_an_error_and_closing_twice_is_none(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(GOOD_BYTES)
    checkpoint = open_checkpoint(tmp_path / "f")
    checkpoint.close()
    checkpoint.close()
    with pytest.raises(CheckpointError):
        checkpoint.read("w")


def problem_of(content: bytes, folder: Path) -> str:
    """What reading a file does besides succeeding or raising CheckpointError."""
    path = folder / "fuzz"
    path.write_bytes(content)
    try:
        read_all(path)
    except CheckpointError as error:
        return "" if str(error).startswith(str(path)) else f"which file? {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def read_all(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        readable = [spec for spec in checkpoint.specs.values() if spec.unreadable is None]
        for spec in readable:
            assert sum(block.size for block in checkpoint.blocks(spec.name)) == spec.elements


FUZZ = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
EDITS = st.lists(
    st.tuples(st.integers(0, len(GOOD_BYTES) - 1), st.integers(0, 255)), min_size=1, max_size=6
)


@FUZZ
@given(edits=EDITS, length=st.integers(0, len(GOOD_BYTES) + 8))
def test_altered_bytes_are_read_or_refused(
    tmp_path: Path, edits: list[tuple[int, int]], length: int
) -> None:
    content = bytearray(GOOD_BYTES)
    for place, value in edits:
        content[place if length % 2 else place % HEADER_BYTES] = value
    assert problem_of(bytes(content), tmp_path) == ""
    assert problem_of(bytes(content)[:length], tmp_path) == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
SIZES = st.lists(st.integers(-1, 5) | st.integers(), max_size=4)
FIELDS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(sorted(BY_NAME)) | JSON,
        "shape": SIZES | JSON,
        "data_offsets": st.lists(st.integers(0, 30), min_size=2, max_size=2) | SIZES | JSON,
    }
)


@FUZZ
@given(
    header=st.dictionaries(st.text(max_size=3), FIELDS | JSON, max_size=3),
    data=st.binary(max_size=30),
)
def test_altered_fields_are_read_or_refused(
    tmp_path: Path, header: dict[str, object], data: bytes
) -> None:
    assert problem_of(framed(header, data), tmp_path) == ""


@FUZZ
@given(
    arrays=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6).filter(
            lambda n: n != "__metadata__"
        ),
        st.lists(st.floats(width=32), max_size=5).map(lambda x: np.array(x, np.float32)),
        max_size=4,
    )
)
def test_what_is_valid_is_read_as_the_library_reads_it(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    (tmp_path / "f").write_bytes(safetensors(arrays))
    theirs = numpy_library.load_file(tmp_path / "f")
    with open_checkpoint(tmp_path / "f") as checkpoint:
        assert checkpoint.specs.keys() == theirs.keys() == arrays.keys()
        assert all(same_values(checkpoint.read(name), x) for name, x in theirs.items())


def test_planted_fault_of_the_fuzz_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise KeyError("dtype")

    assert problem_of(GOOD_BYTES, tmp_path) == ""
    monkeypatch.setattr("netdistance.checkpoints.safetensors_file._is_size_list", broken)
    assert problem_of(GOOD_BYTES, tmp_path) == "KeyError: 'dtype'"
    assert json.loads(GOOD_BYTES[8:HEADER_BYTES]).keys() == GOOD.keys()


@pytest.mark.parametrize("lower", [b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"])
def test_a_header_length_that_looks_like_a_pickle_is_none(tmp_path: Path, lower: bytes) -> None:
    """A header of 640, 896, 1152 or 1408 bytes begins the file as a pickle of its protocol does."""
    (length,) = struct.unpack("<H", lower)
    plain = raw_tensors(w=("F32", [1], struct.pack("<f", 1.0)))
    (shorter,) = struct.unpack("<Q", plain[:8])
    header = plain[8 : 8 + shorter].ljust(length)
    (tmp_path / "a.safetensors").write_bytes(
        struct.pack("<Q", length) + header + plain[8 + shorter :]
    )
    with open_checkpoint(tmp_path / "a.safetensors") as checkpoint:
        assert (checkpoint.format, checkpoint.notes) == ("safetensors", ())
        assert checkpoint.read("w") == np.ones(1)
