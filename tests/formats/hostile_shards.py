"""Model folders and indexes of shards that need care; see `hostile.py` for what a row means."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.formats.hostile import GOOD, GOOD_BYTES, Case
from tests.formats.written import safetensors

INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
MAP = {"w": FIRST, "v": SECOND}
SHARDS = {FIRST: safetensors({"w": GOOD["w"]}), SECOND: safetensors({"v": GOOD["v"]})}


def folder_of(name: str, files: dict[str, bytes], code: int, *words: str) -> Case:
    def write(path: Path) -> None:
        path.mkdir()
        for file, content in files.items():
            (path / file).write_bytes(content)

    return Case(name, write, code, words)


def index_of(weight_map: object) -> bytes:
    return json.dumps({"metadata": {"total_size": 24}, "weight_map": weight_map}).encode()


def indexed(
    name: str, weight_map: object, code: int, *words: str, **shards: dict[str, np.ndarray]
) -> Case:
    """The good model in two shards, under another map or with other shards."""
    other = {file: safetensors(shards[key]) for key, file in FILES.items() if key in shards}
    return folder_of(name, {INDEX: index_of(weight_map), **SHARDS, **other}, code, *words)


FILES = {"first": FIRST, "second": SECOND}


def _link_out(path: Path) -> None:
    path.mkdir()
    outside = path.parent / "outside"
    outside.mkdir()
    (outside / "shard").write_bytes(SHARDS[FIRST])
    (path / INDEX).write_bytes(index_of(MAP))
    (path / SECOND).write_bytes(SHARDS[SECOND])
    (path / FIRST).symlink_to(Path("..") / "outside" / "shard")


def _link_to_itself(path: Path) -> None:
    path.mkdir()
    (path / INDEX).write_bytes(index_of(MAP))
    for name in MAP.values():
        (path / name).symlink_to(name)


def cache_at(path: Path) -> None:
    """The layout of the Hugging Face cache; `path` leads to the snapshot."""
    root = path.parent / "models--a--b"
    snapshot = root / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (root / "blobs").mkdir()
    files = {INDEX: index_of(MAP), **SHARDS, "config.json": b"{}"}
    for number, (name, content) in enumerate(files.items()):
        (root / "blobs" / str(number)).write_bytes(content)
        (snapshot / name).symlink_to(Path("..") / ".." / "blobs" / str(number))
    path.symlink_to(snapshot)


SHARD_CASES = (
    indexed("sharded", MAP, 0, '"identical": 2', '"sharded safetensors"'),
    Case("cache of snapshots and blobs", cache_at, 0, ('"identical": 2',)),
    folder_of(
        "shards absent",
        {INDEX: index_of(MAP)},
        3,
        "2 of 2 shards are missing: ",
        FIRST,
        SECOND,
    ),
    indexed("shard ../x", {**MAP, "v": "../x"}, 3, "tensor 'v': ", "leads out of the folder"),
    indexed("shard a/../../x", {**MAP, "v": "a/../../x"}, 3, "leads out of the folder"),
    indexed("shard /etc/passwd", {**MAP, "v": "/etc/passwd"}, 3, "an absolute path"),
    indexed("shard 7", {**MAP, "v": 7}, 3, "is no file name"),
    indexed("shard with a NUL", {**MAP, "v": "a\0b"}, 3, "is no file name"),
    indexed("shard with a lone surrogate", {**MAP, "v": "\ud800"}, 3, "is no file name"),
    indexed("shard of 5,000 letters", {**MAP, "v": "x" * 5000}, 3, "file name too long"),
    indexed("shard in 3,000 folders", {**MAP, "v": "x/" * 3000}, 3, "file name too long"),
    indexed("shard is the folder", {**MAP, "v": "."}, 3, "a directory"),
    indexed("shard is the index", {**MAP, "v": INDEX}, 3),
    Case("shard links out", _link_out, 3, (FIRST, "a link that leads out of the folder")),
    Case("shard links to itself", _link_to_itself, 3),
    indexed("tensor in no shard", {**MAP, "x": FIRST}, 3, "tensor 'x': ", "no shard has it"),
    indexed(
        "tensor in the other shard", {"w": FIRST, "v": FIRST}, 3, "tensor 'v': ", "in its shard"
    ),
    indexed("tensors exchanged", {"w": SECOND, "v": FIRST}, 3, "tensor 'w': ", f"it is in {FIRST}"),
    indexed("tensor in two shards", MAP, 3, "tensor 'v': ", "in two shards", first=GOOD),
    indexed(
        "tensor beside the index",
        MAP,
        3,
        "tensor 'x': ",
        "not in the index",
        second={"v": GOOD["v"], "x": GOOD["v"]},
    ),
    folder_of(
        "index with a key twice",
        {INDEX: b'{"weight_map": {"w": "a", "w": "b"}}'},
        3,
        "'w' stands twice",
    ),
    folder_of("index of no map", {INDEX: b'{"weight_map": []}'}, 3, "JSON without a weight_map"),
    folder_of("index that is no JSON", {INDEX: b"{oops"}, 3, "invalid index: not JSON"),
    folder_of("index nested 200k deep", {INDEX: b'{"a":' * 200_000}, 3, "nested too deeply"),
    folder_of("empty index", {INDEX: index_of({})}, 4, "holds no tensors"),
    Case("config.json", lambda path: _write(path, b'{"a": 1}'), 3, ("without a weight_map",)),
    folder_of("folder of one checkpoint", {"model.safetensors": GOOD_BYTES}, 0, '"identical": 2'),
    folder_of(
        "folder with optimiser state",
        {"model.safetensors": GOOD_BYTES, "optimizer.pt": b"x", "training_args.bin": b"x"},
        0,
        '"identical": 2',
    ),
    folder_of(
        "folder of two checkpoints",
        {"a.safetensors": GOOD_BYTES, "b.bin": GOOD_BYTES},
        3,
        "a directory of 2 checkpoints: a.safetensors, b.bin",
    ),
    folder_of(
        "folder of other files",
        {"config.json": b"{}", "README.md": b""},
        3,
        "a directory without an index or a checkpoint, found README.md, config.json",
    ),
    folder_of(
        "folder of a .bin", {"pytorch_model.bin": GOOD_BYTES}, 0, "by its content safetensors"
    ),
)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
