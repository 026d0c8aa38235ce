"""Torch files that need care, made by torch and by hand; see `hostile.py` for what a row means."""

from __future__ import annotations

import io
import os
import pickle
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


def _meta(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.to("meta") for name, value in state.items()}


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
