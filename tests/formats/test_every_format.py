"""What holds for every format: laws over FORMATS, and one set of numbers whatever the file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from netdistance.checkpoints import FORMATS, open_checkpoint
from netdistance.errors import CheckpointError
from tests.cli.invoke import error_problem, invoke
from tests.formats.every_format import WRITERS, Arrays
from tests.formats.test_safetensors_file import same_values
from tests.formats.written import raw_tensors

Writer = Callable[[Arrays, Path], Path]
EACH = pytest.mark.parametrize(
    "write", [writer for _, writer in WRITERS], ids=[writer.__name__ for _, writer in WRITERS]
)


def arrays(seed: int = 0) -> Arrays:
    draw = np.random.default_rng(seed)
    shapes = {"a.weight": (30, 41), "b.weight": (3, 5, 7), "b.bias": (3,), "s": (), "e": (0, 2)}
    return {n: draw.standard_normal(s).astype(np.float32).reshape(s) for n, s in shapes.items()}


def problem_of(path: Path) -> str:
    """What reading all of a file does besides succeeding or raising CheckpointError."""
    try:
        with open_checkpoint(path) as checkpoint:
            specs = [s for s in checkpoint.specs.values() if s.unreadable is None]
            for spec in specs:
                checkpoint.read(spec.name)
            checkpoint.verify_unchanged()
    except CheckpointError as error:
        return "" if "\n" not in str(error) else f"more than one line: {error}"
    except Exception as error:
        return repr(error)
    return ""


def test_every_format_has_a_writer() -> None:
    assert {name for name, _ in WRITERS} == {format_.name for format_ in FORMATS}


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_the_content_tells_the_format(tmp_path: Path, name: str, write: Writer) -> None:
    path = write(arrays(), tmp_path)
    head = path.read_bytes()[:512]
    assert next(f for f in FORMATS if f.matches(head, path)).name == name
    with open_checkpoint(path) as checkpoint:
        assert not any("by its content" in note for note in checkpoint.notes)
    other = path.rename(path.with_suffix(".ckpt" if name == "safetensors" else ".safetensors"))
    with open_checkpoint(other) as checkpoint:
        assert checkpoint.notes[-1] == f"named {other.suffix}, and by its content {name}"


@EACH
def test_what_the_reference_library_writes_is_read(tmp_path: Path, write: Writer) -> None:
    with open_checkpoint(write(arrays(), tmp_path)) as checkpoint:
        assert checkpoint.specs.keys() == arrays().keys()
        for name, expected in arrays().items():
            spec = checkpoint.specs[name]
            assert (spec.shape, spec.encoding, spec.nbytes) == (
                expected.shape, "F32", expected.nbytes,
            )  # fmt: skip
            found = checkpoint.read(name)
            assert same_values(found, expected)
            assert found.dtype == np.float32 and found.dtype.isnative
        assert checkpoint.nbytes >= sum(x.nbytes for x in arrays().values())
        assert dict(checkpoint.ties) == {}
        checkpoint.verify_unchanged()


@EACH
def test_blocks_join_up_to_the_whole(tmp_path: Path, write: Writer) -> None:
    with open_checkpoint(write(arrays(), tmp_path)) as checkpoint:
        whole = arrays()["a.weight"].reshape(-1)
        for size in (1, 64, 1000, 9999):
            for start, stop in ((0, None), (1200, None), (64, 500), (0, 9999), (1230, None)):
                blocks = checkpoint.blocks("a.weight", start=start, stop=stop, size=size)
                copies = [block.copy() for block in blocks]
                assert all(0 < block.size <= size for block in copies)
                assert same_values(np.concatenate([*copies, whole[:0]]), whole[start:stop])


@EACH
def test_truncated_files_are_refused(tmp_path: Path, write: Writer) -> None:
    path = write(arrays(), tmp_path)
    content = path.read_bytes()
    for length in {*range(0, len(content), 1 + len(content) // 60), len(content) - 1}:
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            open_checkpoint(path)


@EACH
def test_flipped_bits_are_read_or_refused(tmp_path: Path, write: Writer) -> None:
    path = write(arrays(), tmp_path)
    content = bytearray(path.read_bytes())
    draw = np.random.default_rng(3)
    near_ends = [*range(100), *(len(content) - 1 - i for i in range(100))]
    for place in [*near_ends, *draw.integers(0, len(content), 200)]:
        bit = 1 << int(draw.integers(8))
        content[place % len(content)] ^= bit
        path.write_bytes(content)
        assert problem_of(path) == "", f"bit {bit} of byte {place}"
        content[place % len(content)] ^= bit


def test_planted_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise KeyError("planted")

    path = WRITERS[0][1](arrays(), tmp_path)
    assert problem_of(path) == ""
    monkeypatch.setattr("netdistance.checkpoints.npz.npy_header", broken)
    assert problem_of(path) == "KeyError('planted')"


@EACH
def test_reading_after_closing_is_an_error(tmp_path: Path, write: Writer) -> None:
    checkpoint = open_checkpoint(write(arrays(), tmp_path))
    checkpoint.close()
    checkpoint.close()
    for name in ("a.weight", "b.bias"):
        with pytest.raises(CheckpointError):
            checkpoint.read(name)


@EACH
def test_a_file_that_changes_is_an_error(tmp_path: Path, write: Writer) -> None:
    path = write(arrays(), tmp_path)
    with open_checkpoint(path) as checkpoint:
        os.utime(path, ns=(0, 0))
        with pytest.raises(CheckpointError, match="changed while being read"):
            checkpoint.verify_unchanged()


@pytest.mark.parametrize("shard", ["1.safetensors", "2.bin"])
def test_a_shard_that_changes_is_an_error(tmp_path: Path, shard: str) -> None:
    path = dict(WRITERS)["index of shards"](arrays(), tmp_path)
    with open_checkpoint(path) as checkpoint:
        os.utime(tmp_path / shard, ns=(0, 0))
        with pytest.raises(CheckpointError, match=f"{shard}: changed while being read"):
            checkpoint.verify_unchanged()


def test_a_torch_file_that_became_shorter_is_an_error(tmp_path: Path) -> None:
    path = dict(WRITERS)["torch zip"](arrays(), tmp_path)
    with open_checkpoint(path) as checkpoint:
        blocks = checkpoint.blocks("a.weight", size=10)
        next(blocks)
        os.truncate(path, 100)
        with pytest.raises(CheckpointError, match=r"x\.pt: changed while being read: it became"):
            next(blocks)


def test_the_numbers_do_not_depend_on_the_format(tmp_path: Path) -> None:
    documents = {}
    for _, write in WRITERS:
        files = []
        for side, seed in zip("ab", (1, 2), strict=True):
            folder = tmp_path / write.__name__ / side
            folder.mkdir(parents=True)
            files.append(write(arrays(seed), folder))
        outcome = invoke("compare", *files, "--json", "-")
        assert (outcome.code, outcome.err) == (0, ""), write.__name__
        document = json.loads(outcome.out)
        del document["provenance"], document["verdict"]  # which names the files
        documents[write.__name__] = document
    first, *others = documents.values()
    assert first["tensors"] and all(other == first for other in others)


def test_more_axes_than_an_array_has_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(
        raw_tensors(x=("F32", [1] * 65, b"\0" * 4), y=("F32", [0, 1 << 61, 1 << 61], b""))
    )
    with open_checkpoint(tmp_path / "f") as checkpoint:
        with pytest.raises(CheckpointError, match="tensor 'x': has 65 axes"):
            checkpoint.read("x")
        with pytest.raises(CheckpointError, match="tensor 'y': no array has shape"):
            checkpoint.read("y")
        assert [block.size for block in checkpoint.blocks("x")] == [1]


def test_every_absent_shard_is_named_once(tmp_path: Path) -> None:
    places = {f"{i}.weight": f"{i}.safetensors" for i in range(120)}
    (tmp_path / "m.index.json").write_text(json.dumps({"weight_map": places}))
    outcome = invoke("compare", tmp_path, tmp_path)
    assert error_problem(outcome, 3, "120 of 120 shards are missing", "and 20 more") == ""


@pytest.mark.parametrize("order", ["C", "F"])
def test_threads_share_a_deflated_member(tmp_path: Path, order: Literal["C", "F"]) -> None:
    values = np.random.default_rng(5).integers(0, 9, (1000, 700)).astype(np.float32)
    np.savez_compressed(tmp_path / "x.npz", x=np.array(values, order=order))
    starts = [*range(0, values.size, 50_000), *range(0, values.size, 70_000)]
    with open_checkpoint(tmp_path / "x.npz") as checkpoint, ThreadPoolExecutor(4) as pool:

        def part(start: int) -> np.ndarray:
            blocks = checkpoint.blocks("x", start=start, stop=start + 50_000, size=9_999)
            return np.concatenate([block.copy() for block in blocks])

        for start, found in zip(starts, pool.map(part, starts), strict=True):
            assert np.array_equal(found, values.reshape(-1)[start : start + 50_000])
