"""What Hypothesis does to a valid file: to its bytes, to the entries of its zip, to its JSON."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.formats.written import framed

Draw = Callable[[st.SearchStrategy[Any]], Any]

# what the fields of zip directories, pickles and headers mean at their limits
WORDS = (
    *(b"\0", b"\xff", b"\0" * 4, b"\xff" * 4, b"\xff" * 8, b"\x7f" + b"\xff" * 7),
    *(struct.pack("<q", 1 << 40), b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06"),
    *(b"\x80\x02", b".", b"}", b"(", b"t", b"R", b"\x85", b"\x86", b"\x87", b"q\0", b"h\0"),
    *(
        b"NUMPY",
        b"GGUF",
        struct.pack("<Q", 1 << 63),
        b"{",
        b"\n",
        b"c__builtin__\neval\n",
        b"c__builtin__\nbytearray\n",
    ),
)
JSON_VALUES = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1, 16, 1 << 31, 1 << 63, 10**400, 0.5, 1e308, float("nan")),
        *("", "F32", "F4", "BF16", "\0", "..", "../x", "/etc/passwd", ".", "x" * 5000, "x/" * 3000),
        *("1.safetensors", "2.bin", "\u202e\x1b[2J", "\ud800", "\udc80"),
        *([], [0], [-1], [1, 1], [0, 1 << 62], {}, {"w": {}}, {"weight_map": {}}, [[[[]]]]),
    ]
)


def mutate_bytes(draw: Draw, content: bytes) -> bytes:
    """Up to four of: bytes overwritten, cut out, put in, copied elsewhere, the end cut off."""
    for _ in range(draw(st.integers(1, 4))):
        size = len(content)
        # half of the places near an end, where headers and directories are
        place = draw(st.integers(0, min(size, 200)) | st.integers(0, size))
        place = size - place if draw(st.booleans()) else place
        length = draw(st.integers(0, 16) | st.integers(0, size))
        word = draw(st.sampled_from(WORDS) | st.binary(max_size=8))
        match draw(st.sampled_from(["overwrite", "insert", "copy", "cut", "end"])):
            case "overwrite":
                content = content[:place] + word + content[place + len(word) :]
            case "insert":
                content = content[:place] + word + content[place:]
            case "copy":
                piece = content[place : place + length]
                target = draw(st.integers(0, size))
                content = content[:target] + piece + content[target:]
            case "cut":
                content = content[:place] + content[place + length :]
            case "end":
                content = content[:place]
    return content


def mutate_zip(draw: Draw, content: bytes) -> bytes:
    """Entries dropped, doubled, renamed, packed, or of mutated bytes under a right checksum."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        entries = [(name, source.read(name)) for name in source.namelist()]
    for _ in range(draw(st.integers(1, 3))):
        index = draw(st.integers(0, len(entries) - 1))
        name, data = entries[index]
        other = draw(st.sampled_from(entries))[0]
        match draw(st.sampled_from(["mutate", "mutate", "mutate", "double", "rename", "drop"])):
            case "mutate":
                entries[index] = name, mutate_bytes(draw, data)
            case "double":
                entries.append((name, mutate_bytes(draw, data)))
            case "rename":
                odd = draw(st.sampled_from([".npy", "x/data.pkl", "../x", "a\0b", "é", other]))
                entries[index] = odd, data
            case "drop" if len(entries) > 1:
                del entries[index]
    target = io.BytesIO()
    packing = draw(st.sampled_from([zipfile.ZIP_STORED] * 3 + [zipfile.ZIP_DEFLATED]))
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(target, "w", packing) as archive:
        for name, data in entries:  # zipfile warns of a name that stands twice
            archive.writestr(name, data)
    return target.getvalue()


def mutate_json(draw: Draw, content: bytes) -> bytes:
    """One to three values, keys or entries of a document changed."""
    document = json.loads(content)
    for _ in range(draw(st.integers(1, 3))):
        document = _changed(draw, document)
    return json.dumps(document).encode()


def _changed(draw: Draw, value: Any) -> Any:
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 4)) == 0:
        return draw(JSON_VALUES)
    if isinstance(value, list):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], _changed(draw, value[index]), *value[index + 1 :]]
    key = draw(st.sampled_from(sorted(value)))
    match draw(st.sampled_from(["value", "value", "value", "key", "drop", "copy"])):
        case "value":
            return {**value, key: _changed(draw, value[key])}
        case "key":
            new = draw(st.sampled_from(["", "__metadata__", "\x1b[2J", "w", *value]))
            return {(new if name == key else name): inner for name, inner in value.items()}
        case "copy":
            return {**value, draw(st.sampled_from(sorted(value))): value[key]}
        case _:
            return {name: inner for name, inner in value.items() if name != key}


def mutate_header(draw: Draw, content: bytes) -> bytes:
    """A safetensors file whose header says something else."""
    end = 8 + int.from_bytes(content[:8], "little")
    return framed(mutate_json(draw, content[8:end]), content[end:])


def mutate_file(draw: Draw, path: Path) -> None:
    """Change a valid file in one of the ways that its content allows."""
    content = path.read_bytes()
    ways = [mutate_bytes]
    if content.startswith(b"PK"):
        ways += [mutate_zip] * 2
    elif path.suffix == ".safetensors":
        ways += [mutate_header] * 2
    elif path.suffix == ".json":
        ways += [mutate_json] * 2
    path.write_bytes(draw(st.sampled_from(ways))(draw, content))
