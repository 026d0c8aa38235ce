"""Torch files that need care, made by torch and by hand; see `hostile.py` for what a row means."""

from __future__ import annotations

import io
import os
import pickle
import struct
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.formats.hostile import GOOD, Case

STATE = {name: torch.from_numpy(array) for name, array in GOOD.items()}
MARKER = "this-code-ran"


class Malicious:
    """Unpickling it runs a command that leaves a file beside the checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.marker = folder / MARKER

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.marker}'",)

    def run(self) -> None:
        """What unpickling would do."""
        function, arguments = self.__reduce__()
        function(*arguments)


def saved(name: str, content: object, code: int, *words: str) -> Case:
    return Case(name, lambda path: _save(content, path), code, words)


def _save(content: object, path: Path, *, zipped: bool = True) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)


def made(name: str, content: Callable[[Path], bytes], code: int, *words: str) -> Case:
    """A case whose bytes depend on the folder where it will lie."""

    def write(path: Path) -> None:
        path.write_bytes(content(path.parent))

    return Case(name, write, code, words)


def torch_bytes(content: object, *, zipped: bool = True) -> bytes:
    target = io.BytesIO()
    torch.save(content, target, _use_new_zipfile_serialization=zipped)
    return target.getvalue()


def _repacked(compression: int) -> bytes:
    """A torch zip whose entries are packed again."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(torch_bytes(STATE))) as source,
        zipfile.ZipFile(target, "w", compression) as packed,
    ):
        for item in source.namelist():
            packed.writestr(item, source.read(item))
    return target.getvalue()


def _torchscript(folder: Path) -> bytes:
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates what users still send
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), target)
    return target.getvalue()


def _cycle() -> dict[str, Any]:
    content: dict[str, Any] = {}
    content["state_dict"] = content
    return content


def _deep(levels: int) -> dict[str, Any]:
    content: dict[str, Any] = dict(STATE)
    for _ in range(levels):
        content = {"inner": content}
    return content


def _laughs() -> list[Any]:
    content: list[Any] = ["ha"]
    for _ in range(30):
        content = [content] * 10
    return content


def replaced(content: bytes, old: bytes, new: bytes) -> bytes:
    before, found, after = content.rpartition(old)
    assert found
    return before + new + after


def pickled(old: bytes, new: bytes, *, zipped: bool = True) -> bytes:
    """A torch file of the good tensors whose pickle says something else in one place."""
    content = torch_bytes(STATE, zipped=zipped)
    target = io.BytesIO()
    if not zipped:
        return replaced(content, old, new)
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as packed:
        for item in source.namelist():
            data = source.read(item)
            packed.writestr(item, replaced(data, old, new) if "data.pkl" in item else data)
    return target.getvalue()


def number(value: int) -> bytes:
    """A pickle's opcode for an integer of 8 bytes."""
    return b"\x8a\x08" + struct.pack("<q", value)


def called(function: bytes, argument: int) -> bytes:
    """A pickle's opcodes for one more entry, 'z', the result of a call."""
    return b"X\1\0\0\0zc" + function + b"\n" + number(argument) + b"\x85Ru."


def _quantised() -> dict[str, torch.Tensor]:
    with warnings.catch_warnings(action="ignore"):  # torch deprecates what users still send
        scales, zeros = torch.tensor([0.5, 0.25]), torch.tensor([0, 1])
        return {
            "w": torch.quantize_per_channel(STATE["w"], scales, zeros, 0, torch.qint8),
            "v": torch.quantize_per_tensor(STATE["v"], 0.25, 3, torch.quint8),
        }


def _meta(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.to("meta") for name, value in state.items()}


ADAM = {"state": {0: {"exp_avg": STATE["w"]}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
SHAPE = b"K\x02K\x02\x86"  # of w: two small numbers and their tuple
LONG = "'z': its storage claims 4294967296 bytes, and nothing in the file is as long"
GIBI = 1 << 30
TENSOR = called(b"torch\nTensor", GIBI)
BYTES = called(b"__builtin__\nbytearray", 1 << 60)
# files that ask for far more than they hold: none of it may be allocated and touched
CLAIMS = (
    *(
        made(
            f"{layout} that claims {what}",
            lambda f, old=old, new=new, layout=layout: pickled(old, new, zipped=layout == "zip"),
            3,
            *words,
        )
        for layout, what, old, new, *words in (
            ("zip", "a longer storage", b"K\x04tq", number(5) + b"tq", "tensor 'w': ", "claims"),
            ("zip", "a storage of 2^42", b"K\x04tq", number(1 << 40) + b"tq", "tensor 'w': "),
            ("zip", "a shape of 2^31", SHAPE, number(GIBI) + SHAPE[2:], "not resizable"),
            ("zip", "a tensor of 4 GiB", b"u.", TENSOR, LONG),
            ("zip", "2^60 bytes", b"u.", BYTES, "more memory"),
            ("legacy", "a storage of 4 GiB", b"K\x04Ntq", number(GIBI) + b"Ntq", "wrong byte size"),
            ("legacy", "a storage of 2^62", b"K\x04Ntq", number(1 << 60) + b"Ntq", "more memory"),
            ("legacy", "a shape of 2^31", SHAPE, number(GIBI) + SHAPE[2:], "wrong byte size"),
            ("legacy", "a tensor of 4 GiB", b"u.", TENSOR, LONG),
        )
    ),
)

REFUSED = "refused: unpickling it needs"

TORCH_CASES = (
    made("malicious zip", lambda f: torch_bytes({"w": Malicious(f)}), 3, REFUSED, "system"),
    made(
        "malicious legacy file",
        lambda f: torch_bytes({**STATE, "x": Malicious(f)}, zipped=False),
        3,
        REFUSED,
        "system",
    ),
    *(
        made(
            f"malicious pickle, protocol {protocol}",
            lambda f, protocol=protocol: pickle.dumps(Malicious(f), protocol),
            3,
        )
        for protocol in (2, 3, 4, 5)
    ),
    saved("nn.Module", nn.Linear(2, 2), 3, REFUSED, "torch.nn.modules.linear.Linear", "state_dict"),
    saved("Namespace", {**STATE, "args": Namespace(lr=1)}, 3, REFUSED, "argparse.Namespace"),
    made("TorchScript", _torchscript, 3, "TorchScript archive", "state_dict"),
    made("pickle of protocol 4", lambda f: pickle.dumps({"w": [1.0]}, 4), 3),
    made("truncated zip", lambda f: torch_bytes(STATE)[:-40], 3, "truncated"),
    made("half a zip", lambda f: torch_bytes(STATE)[:600], 3, "truncated"),
    made("four bytes of a zip", lambda f: b"PK\x03\x04", 3, "truncated"),
    made(
        "truncated legacy file",
        lambda f: torch_bytes(STATE, zipped=False)[:-8],
        3,
        "not a readable torch file",
    ),
    made("two bytes of a pickle", lambda f: b"\x80\x02", 3, "not a readable torch file"),
    made("compressed zip", lambda f: _repacked(zipfile.ZIP_DEFLATED), 3, "compressed entry"),
    made("empty zip", lambda f: _empty_zip(), 3),
    saved("tensor alone", torch.ones(2, 2), 3, "holds a Tensor, expected a state dict"),
    saved("list of tensors", [torch.ones(2), torch.ones(2)], 3, "holds a list"),
    saved("nothing", None, 3, "holds a NoneType"),
    saved("empty dict", {}, 4, "holds no tensors"),
    saved("dict of itself", _cycle(), 4, "holds no tensors"),
    saved("nested 100 deep", _deep(100), 4, "holds no tensors"),
    saved("mappings in a mapping", {"net": STATE}, 4, "Try --strip-prefix 'net.'"),
    saved("list in a mapping", {**STATE, "heads": [STATE]}, 0, '"heads.0.w"'),
    saved("name twice", {**STATE, "a.b": STATE["v"], "a": {"b": STATE["v"]}}, 3, "'a.b'", "two"),
    saved("7 and '7'", {**STATE, "7": STATE["v"], 7: STATE["v"]}, 3, "'7'", "this name"),
    saved("optimiser under a name of its own", {**STATE, "adam": ADAM}, 0, "left out: adam"),
    saved("optimiser alone", ADAM, 3, "the state of an optimiser"),
    saved("many references in a mapping", {**STATE, "x": _laughs()}, 0, "left out: x"),
    saved("quantised", _quantised(), 0, '"compared": 2', '"identical": 2', "read by value: w, v"),
    *(
        made(
            f"name nested {depth} deep",
            lambda f, depth=depth: pickled(b"u.", b"N" + b"\x85" * depth + b"K\1u."),
            0,
            "left out: ",
        )
        for depth in (10, 20_000)
    ),
    *(
        made(
            f"{'zip' if zipped else 'legacy file'} saved on a GPU",
            lambda f, zipped=zipped: pickled(b"\3\0\0\0cpu", b"\6\0\0\0cuda:0", zipped=zipped),
            0,
            '"identical": 2',
        )
        for zipped in (True, False)
    ),
    *CLAIMS,
    saved("many references", _laughs(), 3, "holds a list"),
    saved("meta tensors alone", _meta(STATE), 4, "has no data"),
    saved("meta beside data", {**STATE, **_meta({"w": STATE["w"]})}, 0, "has no data"),
    saved("sparse beside data", {**STATE, "w": STATE["w"].to_sparse()}, 0, "save it dense"),
    saved(
        "expanded to 10^12 elements",
        {**STATE, "x": torch.ones(1).expand(10**6, 10**6)},
        0,
        '"only_',
    ),
    saved("tied", {**STATE, "tied": STATE["w"]}, 0, '"compared": 2', '"tied"'),
    saved("optimizer beside weights", {"model": STATE, "optimizer": {"m": STATE}}, 0, "['model']"),
    saved("numbers as keys", {**STATE, 7: torch.ones(1)}, 0, '"7"'),
    saved("not a tensor", {**STATE, "epoch": 3}, 0, "left out: epoch"),
    saved(
        "prefix on one side",
        {f"module.{n}": x for n, x in STATE.items()},
        4,
        "Try --strip-prefix 'module.'",
    ),
)


def _empty_zip() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w"):
        pass
    return target.getvalue()
