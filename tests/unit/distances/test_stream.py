"""The pass over both files: every pair once, in order, with the same sums however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from netdistance.checkpoints import Checkpoint, open_checkpoint
from netdistance.distances import stream
from netdistance.distances.noise_floor import ROUNDING_METRICS
from netdistance.distances.stream import stream_rounding, stream_sums
from netdistance.errors import CheckpointError
from netdistance.linalg.leaves import LEAF_ELEMENTS
from netdistance.linalg.sums import PairSums
from netdistance.pairing.match import Pairing, pair_tensors
from tests.cases.tensor_pairs import draw
from tests.formats.written import raw_tensors, safetensors

SIZES = {"large": 70 * LEAF_ELEMENTS + 9, "middle": 17 * LEAF_ELEMENTS, "small": 5, "empty": 0}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkpoint, Checkpoint]]:
    folder = tmp_path_factory.mktemp("stream")
    for seed, side in enumerate("ab"):
        state = {n: draw(size, seed).astype(np.float32) for n, size in SIZES.items()}
        state["steps"] = np.array([seed, 3, 3])
        (folder / side).write_bytes(safetensors(state))
    with open_checkpoint(folder / "a") as a, open_checkpoint(folder / "b") as b:
        yield a, b


def pairing_of(files: tuple[Checkpoint, Checkpoint]) -> Pairing:
    return pair_tensors(files[0].specs, files[1].specs)


def direct(files: tuple[Checkpoint, Checkpoint], name: str) -> PairSums:
    return PairSums.of(*(side.read(name).reshape(-1) for side in files))


@pytest.mark.parametrize("threads", [1, 2, 3, 4, None])
def test_every_pair_has_the_sums_of_its_whole_tensors(
    files: tuple[Checkpoint, Checkpoint], threads: int | None
) -> None:
    sums = stream_sums(*files, pairing_of(files).pairs, threads=threads)
    assert sums.keys() == {*SIZES, "steps"}
    assert all(sums[name] == direct(files, name) for name in SIZES)
    assert (sums["steps"].elements, sums["steps"].changed) == (3, 1)


@pytest.mark.parametrize("leaves", [1, 3, 1000])
def test_the_size_of_a_piece_changes_no_bit(
    files: tuple[Checkpoint, Checkpoint], leaves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = stream_sums(*files, pairing_of(files).pairs)
    monkeypatch.setattr(stream, "_PIECE_ELEMENTS", leaves * LEAF_ELEMENTS)
    assert stream_sums(*files, pairing_of(files).pairs, threads=2) == expected


@pytest.mark.parametrize("leaves", [1, 2, 5])
def test_the_size_of_a_block_changes_no_bit(
    files: tuple[Checkpoint, Checkpoint], leaves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = pairing_of(files).pairs
    monkeypatch.setattr(stream, "BATCH_ELEMENTS", leaves * LEAF_ELEMENTS)
    sums = stream_sums(*files, pairs, threads=2)
    assert all(sums[name] == direct(files, name) for name in SIZES)


def test_rounding_has_the_same_bits_for_any_threads_and_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, side in enumerate("ab"):
        state = {
            f"{rows}": draw(rows * 1000, seed).astype(np.float32).reshape(rows, 1000)
            for rows in (1300, 3000, 2)
        }
        (tmp_path / side).write_bytes(safetensors(state))
    with open_checkpoint(tmp_path / "a") as a, open_checkpoint(tmp_path / "b") as b:
        pairs = pair_tensors(a.specs, b.specs).pairs
        sums = stream_sums(a, b, pairs)
        expected = stream_rounding(a, pairs, sums, threads=1)
        assert expected.keys() == sums.keys()
        monkeypatch.setattr(stream, "BATCH_ELEMENTS", 3 * LEAF_ELEMENTS)
        monkeypatch.setattr(stream, "_PIECE_ELEMENTS", 6 * LEAF_ELEMENTS)
        found = stream_rounding(a, pairs, sums, threads=3)
    for name, rounding in expected.items():
        assert found[name].grids == rounding.grids
        for metric in ROUNDING_METRICS:
            assert metric.energy(found[name].sums) == metric.energy(rounding.sums)


def test_a_planted_difference_of_one_bit_is_found(files: tuple[Checkpoint, Checkpoint]) -> None:
    sums = stream_sums(*files, pairing_of(files).pairs)
    a, b = (side.read("middle").copy() for side in files)
    b[-1] = np.nextafter(b[-1], np.float32(9))
    assert PairSums.of(a, b) != sums["middle"]


class Listener:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.total, self.done = 0, 0

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Callable[[int], None]]:
        self.total = total

        def advance(units: int) -> None:
            self.done += units

        yield advance


@pytest.mark.parametrize("threads", [1, 4])
def test_progress_reaches_its_end(files: tuple[Checkpoint, Checkpoint], threads: int) -> None:
    listener = Listener()
    stream_sums(*files, pairing_of(files).pairs, threads=threads, progress=listener)
    assert 0 < listener.total == listener.done


def test_what_cannot_be_read_is_left_to_its_row(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(raw_tensors(x=("F6_E2M3", [4], b"abc"), y=("U8", [1], b"a")))
    with open_checkpoint(tmp_path / "a") as a, open_checkpoint(tmp_path / "a") as b:
        assert stream_sums(a, b, pair_tensors(a.specs, b.specs).pairs).keys() == {"y"}


@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_in_a_thread_arrives(
    files: tuple[Checkpoint, Checkpoint], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise CheckpointError("f", "changed while being read")

    monkeypatch.setattr(stream, "_span_sums", fail)
    with pytest.raises(CheckpointError, match="changed while"):
        stream_sums(*files, pairing_of(files).pairs, threads=threads)
