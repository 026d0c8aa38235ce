"""Inputs and labels from files: bytes typed by hand, and files that are not what they say."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
import torch

from netdistance.errors import InputError
from netdistance.networks.inputs import load_inputs, load_targets

# two images of 2 x 3 bytes: magic, type 8, three axes, sizes 2 2 3 big-endian, twelve pixels
IMAGES = bytes.fromhex("00000803 00000002 00000002 00000003 0033ff66 990001cc fe008040")
LABELS = bytes.fromhex("00000801 00000004 07020109")
SHORTS = bytes.fromhex("00000b02 00000001 00000003 0001 fffe 0100")
FLOATS = bytes.fromhex("00000d02 00000002 00000001 3f800000 c0000000")


def saved(folder: Path, content: bytes | np.ndarray, name: str = "file") -> Path:
    path = folder / name
    if isinstance(content, np.ndarray):
        buffer = io.BytesIO()
        np.save(buffer, content)
        content = buffer.getvalue()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_images(tmp_path: Path, pack: type[bytes]) -> None:
    inputs = load_inputs(saved(tmp_path, pack(IMAGES)))
    pixels = torch.tensor([[0, 51, 255, 102, 153, 0], [1, 204, 254, 0, 128, 64]])
    expected = (pixels.float() / 255.0).view(2, 1, 2, 3)
    assert inputs.values.dtype == torch.float32
    assert torch.equal(inputs.values, expected)
    assert inputs.note == "uint8 2x2x3, scaled by 1/255 to float32 2x1x2x3"


def test_idx_of_other_types(tmp_path: Path) -> None:
    shorts = load_inputs(saved(tmp_path, SHORTS)).values
    assert shorts.dtype == torch.int64 and shorts.tolist() == [[1, -2, 256]]
    floats = load_inputs(saved(tmp_path, FLOATS)).values
    assert floats.dtype == torch.float32 and floats.tolist() == [[1.0], [-2.0]]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_labels(tmp_path: Path, pack: type[bytes]) -> None:
    labels = load_targets(saved(tmp_path, pack(LABELS)), 4)
    assert labels.dtype == torch.int64 and labels.tolist() == [7, 2, 1, 9]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8"])
def test_npy_floats(tmp_path: Path, dtype: str, pack: type[bytes]) -> None:
    array = np.array([[0.5, -1.25], [3.0, 1024.0]], dtype=dtype)
    path = saved(tmp_path, array)
    path.write_bytes(pack(path.read_bytes()))
    values = load_inputs(path).values
    assert values.dtype == torch.float32 and values.tolist() == array.tolist()


def test_npy_images_and_tokens(tmp_path: Path) -> None:
    colour = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    assert load_inputs(saved(tmp_path, colour)).values.shape == (2, 3, 2, 2)
    flat = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert load_inputs(saved(tmp_path, flat)).values.shape == (2, 3)
    tokens = load_inputs(saved(tmp_path, np.array([[5, 6]], dtype=">i4"))).values
    assert tokens.dtype == torch.int64 and tokens.tolist() == [[5, 6]]


def test_fortran_order(tmp_path: Path) -> None:
    array = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    assert load_inputs(saved(tmp_path, array)).values.tolist() == array.tolist()


HUGE = bytes.fromhex("00000803 ffffffff ffffffff ffffffff 00")
HOSTILE: dict[str, tuple[bytes | np.ndarray, str]] = {
    "empty file": (b"", "neither .npy nor IDX"),
    "text": (b"0.1,0.2\n", "neither .npy nor IDX"),
    "unknown type": (bytes.fromhex("00000a01 00000000"), "neither .npy nor IDX"),
    "image bytes cut": (IMAGES[:-1], "needs 28 bytes, the file has 27"),
    "image bytes more": (IMAGES + b"\0", "needs 28 bytes, the file has 29"),
    "sizes cut": (IMAGES[:9], "needs 16 bytes, the file has 9"),
    "sizes absent": (IMAGES[:4], "needs 16 bytes, the file has 4"),
    "huge sizes": (HUGE, "the file has 17"),
    "no axes": (bytes.fromhex("00000800 07"), "expected inputs along the first axis"),
    "one axis": (LABELS, "expected inputs along the first axis"),
    "no images": (bytes.fromhex("00000803 00000000 00000002 00000003"), "is empty"),
    "gzip cut": (gzip.compress(IMAGES)[:-9], "cannot be read"),
    "gzip damaged": (gzip.compress(IMAGES)[:12] + b"\xff" * 20, "cannot be read"),
    "npy cut": (b"\x93NUMPY\x01\x00v\x00{'descr'", "not a readable .npy"),
    "npy magic alone": (b"\x93NUMPY", "not a readable .npy"),
    "npy long header": (b"\x93NUMPY\x02\x00\x00\x00\x01\x00" + b" " * 65536, "not a readable"),
    "nan": (np.array([[1.0, np.nan]]), "NaN or infinity"),
    "infinity": (np.array([[1.0, -np.inf]]), "NaN or infinity"),
    "beyond float32": (np.array([[1e300, 0.0]]), "NaN or infinity"),
    "strings": (np.array([["a", "b"]]), "expected numbers"),
    "complex": (np.array([[1j]]), "expected numbers"),
    "records": (np.zeros((2, 2), dtype=[("x", "f4")]), "expected numbers"),
    "no rows": (np.zeros((0, 4)), "is empty"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_inputs_that_are_refused(tmp_path: Path, name: str) -> None:
    content, words = HOSTILE[name]
    with pytest.raises(InputError) as caught:
        load_inputs(saved(tmp_path, content, "bad.npy"))
    message = str(caught.value)
    assert words in message and "bad.npy" in message and "\n" not in message


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "objects.npy"
    np.save(path, np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"not a readable \.npy"):
        load_inputs(path)


def test_every_truncation_is_one_error(tmp_path: Path) -> None:
    array = saved(tmp_path, np.arange(6.0).reshape(2, 3)).read_bytes()
    for content in (IMAGES, gzip.compress(IMAGES), array):
        for length in range(len(content)):
            with pytest.raises(InputError):
                load_inputs(saved(tmp_path, content[:length]))


def test_absent_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_inputs(tmp_path / "absent.npy")
    with pytest.raises(InputError, match="a folder, expected a file of arrays"):
        load_targets(tmp_path, 3)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.array([1, 2, 3]), "holds 3 labels, expected 4"),
        (np.array([1.0, 2.0, 3.0, 4.0]), "expected integer labels"),
        (np.array([[1, 2, 3, 4]]), "holds 1 labels, expected 4"),
        (np.array([[[1, 2, 3, 4]]]), "int64 1x1x4, expected integer labels"),
        (np.array(7), "scalar, expected integer labels"),
    ],
)
def test_labels_that_are_refused(tmp_path: Path, labels: np.ndarray, words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_targets(saved(tmp_path, labels), 4)
    assert words in str(caught.value)
