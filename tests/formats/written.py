"""Checkpoint bytes typed out by the published layout, valid or not; no library writes them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

# little-endian codes of the published format
NAMES = {
    "<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64", "<i4": "I32", "<i2": "I16",
    "|i1": "I8", "<u8": "U64", "<u4": "U32", "<u2": "U16", "|u1": "U8", "|b1": "BOOL",
    "<c8": "C64", "<c16": "C128",
}  # fmt: skip


def framed(header: bytes | str | Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    """8 bytes of header length, the header (JSON unless it is text or bytes already), the data."""
    if not isinstance(header, str | bytes):
        header = json.dumps(header)
    raw = header.encode("utf-8") if isinstance(header, str) else header
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(dtype: object, shape: object, begin: object, end: object) -> dict[str, object]:
    """One tensor of a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors(arrays: Mapping[str, np.ndarray], **metadata: str) -> bytes:
    """A valid file of arrays, in their order."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    data = b""
    for name, array in arrays.items():
        raw = array.tobytes()
        code = NAMES[array.dtype.newbyteorder("<").str]
        header[name] = entry(code, list(array.shape), len(data), len(data) + len(raw))
        data += raw
    return framed(header, data)


def raw_tensors(**tensors: tuple[str, list[int], bytes]) -> bytes:
    """A file of tensors given as (dtype, shape, bytes), consistent or not."""
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = entry(dtype, shape, len(data), len(data) + len(raw))
        data += raw
    return framed(header, data)
