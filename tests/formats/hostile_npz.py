"""Zip archives of arrays that need care; see `hostile.py` for what a row means."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Iterable

import numpy as np

from tests.formats.hostile import GOOD, of_bytes


def npy(descr: object, shape: object, data: bytes, *, version: bytes = b"\x01\x00") -> bytes:
    """A .npy array typed out by its published layout."""
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + data


def zipped(
    members: Iterable[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED
) -> bytearray:
    target = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(target, "w") as archive:
        for name, content in members:  # zipfile warns of a name that stands twice
            archive.writestr(name, content, compression)
    return bytearray(target.getvalue())


def npz(compress: bool = False, **arrays: np.ndarray) -> bytes:
    target = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(target, **arrays)  # type: ignore[arg-type]
    return target.getvalue()


def one(content: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of the good v, and this as w."""
    v = npy("<f4", (2,), GOOD["v"].tobytes())
    return bytes(zipped([("v.npy", v), ("w.npy", content)], compression))


def patched(offset_in_directory: int, value: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A good archive whose directory entry of w says something else."""
    content = bytearray(one(npy("<f4", (2, 2), W), compression))
    entry = content.rindex(b"PK\x01\x02")
    content[entry + offset_in_directory : entry + offset_in_directory + len(value)] = value
    return bytes(content)


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


W = GOOD["w"].tobytes()
BOMB = npy("<f8", (1 << 40,), b"\0" * 1_000_000)
NAMED = "tensor 'w': "
DEFLATED = one(npy("<f4", (2, 2), W))

NPZ_CASES = (
    of_bytes("npz", npz(**GOOD), 0, '"identical": 2'),
    of_bytes("compressed npz", npz(True, **GOOD), 0, '"identical": 2'),
    of_bytes(
        "npz object array",
        npz(**{**GOOD, "w": np.array([1, None])}),
        3,
        NAMED,
        "refused: an object",
    ),
    of_bytes("npz of 8 TB", one(BOMB), 3, NAMED, "needs 8796093022208 bytes, its member has"),
    of_bytes("npz of 8 TB, stored", one(BOMB, 0), 3, NAMED, "needs 8796093022208 bytes"),
    of_bytes(
        "npz whose directory claims 4 GB",
        patched(24, b"\xf0\xff\xff\xff", zipfile.ZIP_DEFLATED),
        3,
        NAMED,
        "claims 4294967280 bytes",
        "more than deflate can hold",
    ),
    of_bytes("npz stored with two sizes", patched(24, b"\x01\0\0\0"), 3, NAMED, "stored, but of"),
    of_bytes("npz encrypted", patched(8, b"\x01\x00"), 3, NAMED, "encrypted"),
    of_bytes("npz beyond the file", patched(42, b"\xff\xff\xff\x7f"), 3, NAMED, "cannot be read"),
    of_bytes(
        "npz of bzip2",
        one(npy("<f4", (2, 2), W), zipfile.ZIP_BZIP2),
        3,
        "zip compression method 12",
    ),
    of_bytes(
        "npz of lzma", one(npy("<f4", (2, 2), W), zipfile.ZIP_LZMA), 3, "zip compression method 14"
    ),
    of_bytes("npz truncated", npz(**GOOD)[:-30], 3, "not a readable zip archive"),
    of_bytes("npz cut in its data", DEFLATED[:100], 3, "not a readable zip archive"),
    of_bytes(
        "npz with a flipped bit",
        flipped(DEFLATED, DEFLATED.index(b"PK\x01\x02") - 3),
        3,
        NAMED,
        "cannot be read",
    ),
    of_bytes(
        "npz with a name twice",
        bytes(zipped([("w.npy", npy("<f4", (2, 2), W))] * 2)),
        3,
        NAMED,
        "stands twice",
    ),
    of_bytes("npz of no magic", one(b"w,1,2\n"), 3, NAMED, "invalid .npy header"),
    of_bytes("npz of an empty member", one(b""), 3, NAMED, "invalid .npy header"),
    of_bytes(
        "npz of version 3", one(npy("<f4", (2, 2), W, version=b"\3\0")), 3, NAMED, "version (3, 0)"
    ),
    of_bytes("npz of no literal", one(npy("<f4", "((((((", W)), 3, NAMED, "invalid .npy header"),
    of_bytes("npz of shape -2", one(npy("<f4", (-2, -2), W)), 3, NAMED, "expected sizes >= 0"),
    of_bytes("npz of shape True", one(npy("<f4", (True, 4), W)), 3, NAMED, "expected sizes >= 0"),
    of_bytes("npz of 2^80 elements", one(npy("<f4", (1 << 80,), W)), 3, NAMED, "overflows"),
    of_bytes("npz of fewer bytes", one(npy("<f4", (2, 3), W)), 3, NAMED, "needs 24 bytes"),
    of_bytes("npz of more bytes", one(npy("<f4", (3,), W)), 3, NAMED, "needs 12 bytes"),
    of_bytes("npz of nested text", one(npy("[" * 5000, (4,), W)), 3, NAMED, "invalid .npy header"),
    of_bytes("npz of text beside", npz(**GOOD, t=np.array(["a"])), 0, '"compared": 2', '"t"'),
    of_bytes(
        "npz with a file beside",
        bytes(zipped([("w.npy", npy("<f4", (2, 2), W)), ("README", b"x")])),
        0,
        "not arrays were left out: README",
    ),
    of_bytes(".npy", npy("<f4", (2, 2), W), 3, "a single .npy array"),
)
