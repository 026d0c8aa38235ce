"""Torch files: every type and both layouts, what lies around the weights, and equal numbers."""

from __future__ import annotations

import json
import warnings
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from netdistance.checkpoints import open_checkpoint
from netdistance.checkpoints.torch_pickle import _ENCODINGS
from netdistance.checkpoints.wrappers import WRAPPERS
from netdistance.errors import CheckpointError
from tests.cli.invoke import invoke
from tests.formats.test_safetensors_file import same_values

ZIPPED = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])

# torch writes these in its old layout and cannot read them back
NO_LEGACY = {
    dtype
    for dtype in _ENCODINGS
    if (dtype.itemsize == 1 and dtype.is_floating_point)
    or dtype in (torch.uint16, torch.uint32, torch.uint64)
}


def tensor_of(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    """A tensor of arbitrary bits."""
    if 0 in shape:
        return torch.empty(shape, dtype=dtype)
    count = int(np.prod(shape)) * torch.empty(0, dtype=dtype).element_size()
    raw = np.random.default_rng(count).integers(0, 256, count).astype(np.uint8)
    if dtype == torch.bool:
        raw %= 2
    return torch.from_numpy(raw).view(dtype).reshape(shape)


def save(content: Any, path: Path, *, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


@ZIPPED
@pytest.mark.parametrize("dtype", _ENCODINGS, ids=str)
def test_every_type_reads_as_from_safetensors(
    tmp_path: Path, dtype: torch.dtype, zipped: bool
) -> None:
    state = {
        "odd": tensor_of(dtype, 3),
        "x": tensor_of(dtype, 6, 7),
        "empty": tensor_of(dtype, 0, 2),
    }
    if dtype != torch.complex128:  # the library does not write it
        save_file(state, tmp_path / "safe")
    path = save(state, tmp_path / "pt", zipped=zipped)
    if not zipped and dtype in NO_LEGACY:
        with pytest.raises(CheckpointError, match="not a readable torch file"):
            open_checkpoint(path)
        return
    with open_checkpoint(path) as pickled:
        assert [spec.encoding for spec in pickled.specs.values()] == [_ENCODINGS[dtype]] * 3
        if dtype == torch.complex128:
            assert all(same_values(pickled.read(n), x.numpy()) for n, x in state.items())
            return
        with open_checkpoint(tmp_path / "safe") as safe:
            assert pickled.specs == {name: safe.specs[name] for name in state}
            assert all(same_values(pickled.read(name), safe.read(name)) for name in state)


@ZIPPED
def test_scalars_and_views_are_read_as_torch_sees_them(tmp_path: Path, zipped: bool) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    state = {
        "scalar": torch.tensor(2.5),
        "transposed": base.T,
        "columns": base[:, 1:5:2],
        "tied": base,
        "conjugate": torch.view_as_complex(torch.ones(12, 2)).conj(),
        "parameter": torch.nn.Parameter(base.clone()),
        "channels_last": base.reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
    }
    with open_checkpoint(save(state, tmp_path / "f", zipped=zipped)) as checkpoint:
        for name, value in state.items():
            expected = value.detach().resolve_conj().numpy()
            assert same_values(checkpoint.read(name), expected), name


@ZIPPED
def test_blocks_join_up_to_the_whole(tmp_path: Path, zipped: bool) -> None:
    state = {"x": torch.arange(130.0).reshape(2, 65)}
    with open_checkpoint(save(state, tmp_path / "f", zipped=zipped)) as checkpoint:
        for size in (1, 7, 64, 130, 1000):
            for start, stop in ((0, None), (3, 77), (64, 130), (130, None), (0, 0)):
                blocks = [
                    b.copy() for b in checkpoint.blocks("x", start=start, stop=stop, size=size)
                ]
                joined = np.concatenate([*blocks, np.empty(0)])
                assert joined.tolist() == list(range(130))[start:stop]


STATE = OrderedDict(w=torch.ones(2, 2))


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (STATE, None),
        *(({key: STATE, "optimizer": {"w": STATE}}, f"[{key!r}]") for key in WRAPPERS),
        ([STATE], "[0]"),
        ({"state_dict": [STATE]}, "['state_dict'][0]"),
        ({"model": {"state_dict": STATE}}, "['model']['state_dict']"),
        ((STATE,), "[0]"),
    ],
    ids=str,
)
def test_wrappers_are_opened_and_named(tmp_path: Path, content: object, note: str | None) -> None:
    with open_checkpoint(save(content, tmp_path / "f")) as checkpoint:
        assert list(checkpoint.specs) == ["w"]
        found = [text.partition(",")[0] for text in checkpoint.notes]
    assert found == ([] if note is None else [f"weights found under {note}"])


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    content = {**STATE, "epoch": 3, "empty": {}, 7: torch.ones(1), 8: None, "log": {"loss": [1.0]}}
    with open_checkpoint(save(content, tmp_path / "f")) as checkpoint:
        assert list(checkpoint.specs) == ["w", "7"]
        (note,) = checkpoint.notes
    assert note == "entries that are not tensors were left out: epoch, empty, 8, log"


def test_what_is_nested_is_named_by_its_way(tmp_path: Path) -> None:
    encoder = {"weight": torch.ones(2), "steps": 3, "heads": [torch.ones(1), {"w": torch.ones(4)}]}
    adam = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))])
    adam.param_groups[0]["params"][0].grad = torch.ones(1)
    adam.step()
    content = {"encoder": encoder, "again": encoder, "training": {"optim": adam.state_dict()}}
    with open_checkpoint(save(content, tmp_path / "f")) as checkpoint:
        shapes = {name: spec.shape for name, spec in checkpoint.specs.items()}
        (note,) = checkpoint.notes
    names = ("encoder.weight", "encoder.heads.0", "encoder.heads.1.w")
    assert shapes == dict(zip(names, ((2,), (1,), (4,)), strict=True))
    assert note.endswith("left out: encoder.steps, again, training")


def test_quantised_tensors_are_read_by_value(tmp_path: Path) -> None:
    values = torch.tensor([[-3.0, 1.5, 0.0], [0.25, 0.5, -31.75]])
    scales, zeros = torch.tensor([0.5, 0.25]), torch.tensor([3, -1])
    with warnings.catch_warnings(action="ignore"):  # torch deprecates what users still send
        state = {
            "tensor": torch.quantize_per_tensor(values, 0.25, 0, torch.qint8),
            "rows": torch.quantize_per_channel(values, scales, zeros, 0, torch.qint8),
        }
        save(state, tmp_path / "f")
    by_hand = {
        name: ((codes := state[name].int_repr().double()) - zero) * scale
        for name, zero, scale in (
            ("tensor", 0, 0.25),
            ("rows", zeros[:, None], scales[:, None].double()),
        )
    }
    assert codes.abs().max() > 0
    with open_checkpoint(tmp_path / "f") as checkpoint:
        for name, expected in by_hand.items():
            assert same_values(checkpoint.read(name), expected.float().numpy())
        assert checkpoint.notes == ("quantised tensors are read by value: tensor, rows",)


def test_siblings_of_a_wrapper_are_named(tmp_path: Path) -> None:
    content = {"state_dict": STATE, "extra": torch.ones(3), "epoch": 1}
    with open_checkpoint(save(content, tmp_path / "f")) as checkpoint:
        (note,) = checkpoint.notes
    assert note == "weights found under ['state_dict'], leaving out extra, epoch"


@pytest.mark.parametrize("zipped", [True, False])
def test_equal_numbers_whatever_the_format(tmp_path: Path, zipped: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    sides = [
        {f"{i}.weight": torch.randn(40 + i, 33, generator=generator) for i in range(4)}
        for _ in range(2)
    ]
    for name, state in zip("ab", sides, strict=True):
        save_file(state, tmp_path / f"{name}.safetensors")
        save(dict(reversed(state.items())), tmp_path / f"{name}.pt", zipped=zipped)
    documents = []
    for first, second in (("safetensors",) * 2, ("pt",) * 2, ("pt", "safetensors")):
        outcome = invoke(
            "compare", tmp_path / f"a.{first}", tmp_path / f"b.{second}", "--json", "-"
        )
        document = json.loads(outcome.out)
        del document["provenance"]
        documents.append(json.dumps(document))
    assert documents[1] == documents[0]
    # the verdict names files by what tells them apart, which here is the same stem
    assert documents[2] == documents[0]


def test_a_view_is_not_changed_by_reading(tmp_path: Path) -> None:
    path = save({"w": torch.ones(3, 3)}, tmp_path / "f")
    before = path.read_bytes()
    with open_checkpoint(path) as checkpoint:
        for block in checkpoint.blocks("w"):
            assert block.sum() == 9.0
        checkpoint.verify_unchanged()
    assert path.read_bytes() == before


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("content", [STATE, {"w": torch.nn.Linear(2, 2)}], ids=["good", "refused"])
def test_it_is_loaded_once_as_weights_alone_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, zipped: bool
) -> None:
    path, calls = save(content, tmp_path / "f", zipped=zipped), []
    load = torch.load  # noqa: TID251

    def watched(*arguments: Any, **options: Any) -> Any:
        calls.append(options)
        return load(*arguments, **options)

    monkeypatch.setattr(torch, "load", watched)
    with suppress(CheckpointError):
        open_checkpoint(path).close()
    mmap = True if zipped else None
    assert calls == [{"weights_only": True, "map_location": "cpu", "mmap": mmap}]
