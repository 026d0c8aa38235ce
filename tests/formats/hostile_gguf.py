"""GGUF files that need care, typed out by the published layout; see `hostile.py` for a row."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tests.formats.hostile import GOOD, of_bytes

F32, Q4_0, STRING, ARRAY, U32 = 0, 2, 8, 9, 4


def text(value: str | bytes, *, length: int | None = None) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw) if length is None else length) + raw


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def u32(name: str, value: int) -> bytes:
    return key(name, U32, struct.pack("<I", value))


def tensor(name: str | bytes, sizes: Iterable[int], kind: int, offset: int) -> bytes:
    """An entry; sizes in GGUF's order, the last axis first."""
    sizes = list(sizes)
    axes = struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
    return text(name) + axes + struct.pack("<IQ", kind, offset)


def gguf(
    entries: Iterable[bytes],
    data: bytes,
    *,
    keys: Iterable[bytes] = (),
    version: int = 3,
    counts: tuple[int, int] | None = None,
    alignment: int = 32,
) -> bytes:
    entries, keys = list(entries), list(keys)
    tensors, values = counts or (len(entries), len(keys))
    head = b"GGUF" + struct.pack("<IQQ", version, tensors, values) + b"".join([*keys, *entries])
    return head + b"\0" * (-len(head) % alignment) + data


def padded(*arrays: bytes) -> bytes:
    return b"".join(raw + b"\0" * (-len(raw) % 32) for raw in arrays)


W, V = GOOD["w"].tobytes(), GOOD["v"].tobytes()
DATA = padded(W, V)
GOOD_ENTRIES = [tensor("w", (2, 2), F32, 0), tensor("v", (2,), F32, 32)]
GOOD_GGUF = gguf(GOOD_ENTRIES, DATA)
NAMED = "tensor 'w': "


def with_key(one: bytes) -> bytes:
    return gguf(GOOD_ENTRIES, DATA, keys=[one])


def alone(sizes: Iterable[int], kind: int = F32, offset: int = 0, data: bytes = DATA) -> bytes:
    return gguf([tensor("w", sizes, kind, offset)], data)


def pair(first: int, second: int, data: bytes = DATA) -> bytes:
    return gguf([tensor("v", (2, 2), F32, first), tensor("w", (2,), F32, second)], data)


def array(kind: int, count: int, content: bytes = b"") -> bytes:
    return with_key(key("k", ARRAY, struct.pack("<IQ", kind, count) + content))


GGUF_CASES = (
    of_bytes("gguf", GOOD_GGUF, 0, '"identical": 2', "names are GGUF's own"),
    of_bytes("gguf of version 2", gguf(GOOD_ENTRIES, DATA, version=2), 0, '"identical": 2'),
    of_bytes("gguf without the last padding", GOOD_GGUF[:-24], 0, '"identical": 2'),
    of_bytes("gguf of version 1", gguf(GOOD_ENTRIES, DATA, version=1), 3, "version 1, expected 2"),
    of_bytes("gguf of version 2^32 - 1", gguf([], b"", version=2**32 - 1), 3, "expected 2 or 3"),
    of_bytes("gguf, big-endian", gguf(GOOD_ENTRIES, DATA, version=3 << 24), 3, "big-endian"),
    of_bytes("gguf, its magic alone", b"GGUF", 3, "truncated: the header needs 8 bytes"),
    of_bytes("gguf of no tensors", gguf([], b""), 4, "holds no tensors"),
    of_bytes("gguf of 2^63 tensors", gguf([], b"", counts=(2**63, 0)), 3, "do not fit"),
    of_bytes("gguf of 2^64 - 1 keys", gguf([], b"", counts=(0, 2**64 - 1)), 3, "do not fit"),
    of_bytes(
        "gguf of a million keys",
        gguf([], b"", keys=[u32("k", 0)] * 100_000),
        3,
        "100000 keys, and at most 65536",
    ),
    of_bytes("gguf with a key twice", gguf([], b"", keys=[u32("k", 0)] * 2), 3, "'k' stands twice"),
    of_bytes("gguf key longer than the file", with_key(text("k", length=900)), 3, "truncated"),
    of_bytes("gguf key of 2^63", with_key(text("k", length=2**63)), 3, f"a key of {2**63} bytes"),
    of_bytes("gguf key not UTF-8", with_key(text(b"\xff") + bytes(8)), 3, "a key is not UTF-8"),
    of_bytes("gguf value of type 13", with_key(key("k", 13, b"")), 3, "type 13, expected 0 to 12"),
    of_bytes(
        "gguf text longer than the file",
        with_key(key("k", STRING, text("a", length=2**63))),
        3,
        "truncated: the header needs",
    ),
    of_bytes(
        "gguf text that is not UTF-8",
        with_key(key("k", STRING, text(b"\xff"))),
        0,
        '"identical": 2',
    ),
    of_bytes("gguf array of arrays", array(ARRAY, 1, struct.pack("<IQ", 0, 0)), 3, "of arrays"),
    of_bytes("gguf array of type 99", array(99, 1), 3, "values of type 99"),
    of_bytes("gguf array of 2^62", array(0, 2**62), 3, "numbers do not fit"),
    of_bytes("gguf array of 2^63 texts", array(STRING, 2**63), 3, "texts do not fit"),
    of_bytes(
        "gguf array with a text of 2^63", array(STRING, 2, text("", length=2**63)), 3, "truncated"
    ),
    of_bytes("gguf vocabulary", array(STRING, 3000, text("word") * 3000), 0, '"identical": 2'),
    of_bytes("gguf scores", array(U32, 3000, bytes(12000)), 0, '"identical": 2'),
    *(
        of_bytes(
            f"gguf alignment {value}",
            gguf(GOOD_ENTRIES, DATA, keys=[u32("general.alignment", value)]),
            3,
            f"alignment is {value}, expected a power of two",
        )
        for value in (0, 24, 2**32 - 1)
    ),
    of_bytes(
        "gguf alignment as text",
        with_key(key("general.alignment", STRING, text("32"))),
        3,
        "alignment is '32'",
    ),
    of_bytes(
        "gguf alignment 8",
        gguf(
            [tensor("w", (2, 2), F32, 0), tensor("v", (2,), F32, 16)],
            W + V,
            keys=[u32("general.alignment", 8)],
            alignment=8,
        ),
        0,
        '"identical": 2',
    ),
    of_bytes(
        "gguf alignment 2^31",
        gguf(GOOD_ENTRIES, DATA, keys=[u32("general.alignment", 2**31)]),
        3,
        f"truncated: needs {2**31 + 16} bytes",
    ),
    of_bytes("gguf tensor twice", gguf([GOOD_ENTRIES[0]] * 2, DATA), 3, NAMED, "stands twice"),
    of_bytes("gguf name of 2^40", gguf([text("w", length=2**40)], DATA), 3, "a tensor's name of"),
    of_bytes("gguf name not UTF-8", gguf([tensor(b"\xff", (1,), F32, 0)], DATA), 3, "not UTF-8"),
    of_bytes("gguf of 5 axes", alone([1] * 5), 3, NAMED, "5 axes, and GGUF has at most 4"),
    of_bytes("gguf of 2^32 - 1 axes", gguf([text("w") + b"\xff" * 32], b""), 3, NAMED, "axes"),
    of_bytes("gguf product overflow", alone([2**40, 2**40]), 3, NAMED, "overflows"),
    of_bytes("gguf huge empty shape", alone([0, 2**63]), 3, NAMED, "overflows"),
    of_bytes("gguf of 8 TB", alone([2**41]), 3, NAMED, "truncated: needs 8796093022"),
    of_bytes("gguf half a block", alone([33], Q4_0), 3, NAMED, "rows of 33 numbers"),
    of_bytes("gguf scalar of blocks", alone([], Q4_0), 3, NAMED, "rows of 1 numbers"),
    of_bytes("gguf offset misaligned", pair(0, 40), 3, NAMED, "offset 40 is no multiple"),
    of_bytes("gguf offset 2^63", pair(0, 2**63), 3, NAMED, "leaves a hole"),
    of_bytes("gguf aliased", pair(0, 0), 3, "tensor 'v': ", "overlaps"),
    of_bytes("gguf hole", pair(0, 64, padded(W, b"", b"\0", V)), 3, NAMED, "leaves a hole"),
    of_bytes("gguf hole at the start", pair(32, 64, padded(V, W, V)), 3, "leaves a hole"),
    of_bytes("gguf truncated", GOOD_GGUF[:-25], 3, "tensor 'v': ", "truncated: needs"),
    of_bytes("gguf cut in its padding", GOOD_GGUF[:-1], 3, f"truncated: needs {len(GOOD_GGUF)}"),
    of_bytes("gguf trailing bytes", GOOD_GGUF + b"PK\3\4", 3, "4 bytes after the last tensor"),
    of_bytes(
        "gguf type that no one knows",
        gguf([tensor("w", (2, 2), 31, 0), tensor("v", (2,), F32, 32)], DATA),
        0,
        "GGML's type 31 is not known here",
        '"compared": 1',
    ),
    of_bytes(
        "gguf architecture of a wrong kind",
        with_key(u32("general.architecture", 7)),
        0,
        "architecture '7' has no table",
    ),
    of_bytes(
        "gguf one part of three",
        with_key(key("split.count", 2, struct.pack("<H", 3))),
        3,
        "one of 3 parts, and not named NAME-00001-of-00003.gguf",
    ),
)
