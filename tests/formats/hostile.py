"""Files that a comparator meets and must not trip over: one row for each, made when it is needed.

`CASES` is the list. A case writes a file at a path; `code` is the exit code of comparing it with
`GOOD`, in either order, and `words` stand in the error line, or in the JSON report where it is 0.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.formats.written import entry, framed, raw_tensors, safetensors

GOOD = {
    "w": np.array([[1.0, -2.0], [3.0, 4.0]], np.float32),
    "v": np.array([0.5, 0.25], np.float32),
}
GOOD_BYTES = safetensors(GOOD)
HEADER_BYTES = 8 + int.from_bytes(GOOD_BYTES[:8], "little")
W, V = GOOD["w"].tobytes(), GOOD["v"].tobytes()
F32 = entry("F32", [2, 2], 0, 16)


@dataclass(frozen=True, slots=True)
class Case:
    """A file that is wrong or odd, and what comparing it must say."""

    name: str
    write: Callable[[Path], None]
    code: int
    words: tuple[str, ...] = ()


def of_bytes(name: str, content: bytes, code: int, *words: str) -> Case:
    return Case(name, lambda path: _written(path, content), code, words)


def _written(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _nothing(path: Path) -> None:
    """The file stays missing."""


def header_case(name: str, header: object, code: int, *words: str, data: bytes = W) -> Case:
    return of_bytes(name, framed(header, data), code, *words)


def one(name: str, tensor: object, *words: str, data: bytes = W) -> Case:
    """A file whose only tensor is broken: the error names it."""
    return header_case(name, {"w": tensor}, 3, "tensor 'w': ", *words, data=data)


def twice(key: str, first: object, second: object) -> str:
    """JSON that says one key two times."""
    return f"{{{json.dumps(key)}: {json.dumps(first)}, {json.dumps(key)}: {json.dumps(second)}}}"


FILES = (
    Case("missing", _nothing, 3, ("no such file",)),
    Case("directory", Path.mkdir, 3, ("a directory",)),
    Case("FIFO", os.mkfifo, 3, ("not a regular file",)),
    Case("device", lambda path: path.symlink_to("/dev/zero"), 3, ("not a regular file",)),
    Case("dangling link", lambda path: path.symlink_to("nowhere"), 3, ("no such file",)),
    Case("link to itself", lambda path: path.symlink_to(path.name), 3, ("symbolic links",)),
    of_bytes("empty", b"", 3, "empty file (0 bytes)"),
    *(of_bytes(f"{n} bytes", b"\0" * n, 3, f"too short ({n} bytes)") for n in range(1, 8)),
    of_bytes("eight zeros", b"\0" * 8, 3, "invalid header"),
    of_bytes("truncated header", GOOD_BYTES[: HEADER_BYTES - 1], 3, "truncated", str(HEADER_BYTES)),
    of_bytes(
        "truncated data", GOOD_BYTES[:-1], 3, f"truncated: needs {len(GOOD_BYTES)} bytes, has"
    ),
    of_bytes("no data", GOOD_BYTES[:HEADER_BYTES], 3, "truncated", f"has {HEADER_BYTES}"),
    of_bytes("trailing bytes", GOOD_BYTES + b"PK\x03\x04", 3, "4 bytes after the last tensor"),
    of_bytes(
        "header over 100 MB", framed(b"{}", length=100_000_001), 3, "header of 100000001 bytes"
    ),
    of_bytes("header of 2^63", framed(b"{}", length=1 << 63), 3, f"header of {1 << 63} bytes"),
    of_bytes("header of 2^64-1", framed(b"{}", length=(1 << 64) - 1), 3, "header of"),
    of_bytes(
        "git-LFS pointer",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        3,
        "git-LFS pointer, not weights; run git lfs pull",
    ),
    of_bytes("HTML", b"\n<!DOCTYPE html><html><body>404</body>", 3, "looks like an HTML page"),
    of_bytes("HTML without a doctype", b"<html><head>", 3, "looks like an HTML page"),
    of_bytes("text", b"name,value\nweight,1.0\n", 3, "not safetensors"),
    of_bytes("random bytes", np.random.default_rng(0).bytes(4096), 3, "not safetensors"),
)

OFFSETS = (
    header_case(
        "overlapping offsets",
        {"w": F32, "x": entry("F32", [2], 12, 20)},
        3,
        "tensor 'x': ",
        "overlaps",
        data=b"\0" * 20,
    ),
    header_case("aliased offsets", {"w": F32, "x": F32}, 3, "tensor 'x': ", "overlaps"),
    header_case(
        "hole", {"w": F32, "x": entry("F32", [1], 20, 24)}, 3, "tensor 'x': ", "leaves a hole"
    ),
    one("hole at the start", entry("F32", [2, 2], 4, 20), "leaves a hole", data=b"\0" * 20),
    one("end before begin", entry("F32", [2, 2], 16, 0), "data_offsets"),
    one("negative offset", entry("F32", [2, 2], -16, 0), "data_offsets"),
    one("float offset", entry("F32", [2, 2], 0.0, 16), "data_offsets"),
    one("offset true", entry("U8", [1], False, True), "data_offsets"),
    one("offset beyond the file", entry("F32", [2, 2], 1 << 62, (1 << 62) + 16), "hole"),
    one("one offset", {"dtype": "F32", "shape": [4], "data_offsets": [16]}, "data_offsets"),
    one("text offsets", {"dtype": "F32", "shape": [4], "data_offsets": "16"}, "data_offsets"),
)

ENTRIES = (
    header_case("key twice", twice("w", F32, entry("F32", [1], 16, 20)), 3, "'w' stands twice"),
    header_case("key twice, one range", twice("w", F32, F32), 3, "'w' stands twice"),
    header_case(
        "__metadata__ twice", twice("__metadata__", {}, {}), 3, "'__metadata__' stands twice"
    ),
    header_case(
        "shape twice", '{"w": ' + twice("shape", [4], [2, 2]) + "}", 3, "'shape' stands twice"
    ),
    header_case("__metadata__ of numbers", {"__metadata__": {"a": 1}, "w": F32}, 3, "__metadata__"),
    header_case("__metadata__ list", {"__metadata__": [], "w": F32}, 3, "__metadata__"),
    one("unknown dtype", entry("F7", [2, 2], 0, 16), "unknown dtype 'F7'", "BF16"),
    one("dtype in small letters", entry("f32", [2, 2], 0, 16), "unknown dtype 'f32'"),
    one("dtype of a wrong kind", entry(["F32"], [2, 2], 0, 16), "unknown dtype"),
    one("shape overflow", entry("F32", [1 << 40, 1 << 40], 0, 16), "overflows"),
    one("shape of 2^62", entry("U8", [1 << 62], 0, 16), "its data_offsets hold 16"),
    one("huge empty shape", entry("F32", [0, 10**400], 0, 0), "overflows", data=b""),
    one("shape of more bytes", entry("F32", [2, 3], 0, 16), "needs 24 bytes", "hold 16"),
    one("shape of fewer bytes", entry("F32", [3], 0, 16), "needs 12 bytes", "hold 16"),
    one("half a byte", entry("F4", [3], 0, 1), "needs 1.5 bytes", data=b"\0"),
    one("negative dimension", entry("F32", [-2, -2], 0, 16), "shape is [-2, -2]"),
    one("float dimension", entry("F32", [2.0, 2], 0, 16), "shape is [2.0, 2]"),
    one("true as a dimension", entry("F32", [True, 4], 0, 16), "shape is [True, 4]"),
    one("null as a shape", entry("F32", None, 0, 16), "shape is None"),
    one("nested shape", entry("F32", [[2], [2]], 0, 16), "shape is [[2], [2]]"),
    one("missing field", {"dtype": "F32", "shape": [4]}, "expected dtype, shape and data_offsets"),
    one("extra field", {**F32, "scale": 1}, "expected dtype, shape and data_offsets"),
    one("entry is a number", 7, "expected dtype, shape and data_offsets"),
)

HEADERS = (
    header_case("not UTF-8", b'{"\xff\xfe": {}}', 3, "invalid header"),
    header_case("lone surrogate", '{"\\ud800": ' + json.dumps(F32) + "}", 3, "invalid header"),
    header_case("nested 200k deep", '{"w": ' + "[" * 200_000, 3, "nested too deeply"),
    header_case("dicts 200k deep", '{"w":' * 200_000, 3, "nested too deeply"),
    header_case("list", [F32], 3, "a list, expected a JSON object"),
    header_case("number", "7", 3, "a int, expected a JSON object"),
    header_case("NaN", '{"w": NaN}', 3, "tensor 'w': "),
    header_case("not JSON", "{'w': 1}", 3, "invalid header: not JSON"),
    header_case("two documents", "{}{}", 3, "invalid header: not JSON"),
    header_case("NUL padding", json.dumps({"w": F32}) + "\0", 3, "invalid header: not JSON"),
    header_case("5,000 digits", '{"w": ' + "9" * 5000 + "}", 3, "invalid header: not JSON"),
    header_case("byte order mark", "\ufeff" + json.dumps({"w": F32}), 3, "invalid header"),
    header_case("space before {", " " + json.dumps({"w": F32}), 0, "white space"),
    header_case("space after }", json.dumps({"w": F32}) + "   ", 0, '"notes": []'),
    header_case("no tensors", {}, 4, "holds no tensors", data=b""),
    header_case("metadata alone", {"__metadata__": {"a": "b"}}, 4, "holds no tensors", data=b""),
)

ODD = (
    of_bytes(
        "6-bit float beside a readable tensor",
        raw_tensors(v=("F32", [2], V), w=("F6_E2M3", [2, 2], b"\0" * 3)),
        0,
        "F6_E2M3 has no decoder",
        '"compared": 1',
    ),
    of_bytes(
        "6-bit float alone",
        raw_tensors(w=("F6_E3M2", [2, 2], b"\0" * 3)),
        4,
        "shares no comparable tensor",
    ),
    of_bytes("another shape", safetensors({**GOOD, "w": np.ones(4)}), 0, '"shape_a"'),
    of_bytes(
        "prefix",
        safetensors({f"module.{n}": x for n, x in GOOD.items()}),
        4,
        "Try --strip-prefix 'module.'",
    ),
    of_bytes("codes beside values", safetensors({**GOOD, "v": np.array([1, 2])}), 0, "not values"),
)

CASES = (*FILES, *OFFSETS, *ENTRIES, *HEADERS, *ODD)
