"""GGUF files: types and names as the package has them, splits, truncation, what cannot be read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from netdistance.checkpoints import open_checkpoint
from netdistance.checkpoints.encodings import gguf_blocks
from netdistance.checkpoints.gguf_names import ARCHITECTURES, Names
from netdistance.checkpoints.gguf_types import BY_CODE
from netdistance.errors import CheckpointError
from netdistance.quantities import Exact
from netdistance.studies.compare import compare
from tests.formats.encodings.gguf_cases import permuted, write
from tests.formats.hostile_gguf import GOOD_GGUF, key, tensor, text
from tests.formats.hostile_gguf import gguf as typed
from tests.formats.written import safetensors

LEAVES = (".weight", ".bias")


def test_types_are_those_of_the_package() -> None:
    theirs = {int(kind): (kind.name, *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert {t.code: (t.name, t.block, t.nbytes) for t in BY_CODE.values()} == theirs


@pytest.mark.parametrize("called", ARCHITECTURES)
def test_names_go_back_to_what_the_package_maps(called: str) -> None:
    """Every name of the table leads, by the package's map, to the GGUF name that it came from."""
    arch = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == called)
    known, layers = ARCHITECTURES[called], gguf.get_tensor_name_map(arch, 3)
    inner = [f"blk.2.{name}.weight" for name in known.inner]
    ours = Names({"general.architecture": called}, [*(f"{n}.weight" for n in known.top), *inner])
    of_arch = {gguf.TENSOR_NAMES[kind].format(bid=2) for kind in gguf.MODEL_TENSORS[arch]}
    checked = 0
    for name in (*(f"{n}.weight" for n in known.top), *inner):
        if name.removesuffix(".weight") in of_arch:
            assert layers.get_name(ours.of(name), LEAVES) == name
            checked += 1
    assert checked > 8


def test_a_name_without_a_table_is_kept_and_named() -> None:
    names = ["token_embd.weight", "rope_freqs.weight", "blk.0.ffn_gate_exps.weight", "blk.0.attn_q"]
    ours = Names({"general.architecture": "llama"}, names)
    assert [ours.of(name) for name in names] == ["model.embed_tokens.weight", *names[1:]]
    assert "but for rope_freqs.weight, blk.0.ffn_gate_exps.weight, blk.0.attn_q" in ours.notes[0]
    both = ["output.weight", "lm_head.weight"]
    taken = Names({"general.architecture": "llama"}, both)
    assert [taken.of(name) for name in both] == both


def test_every_truncation_is_refused_but_of_the_last_padding(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(GOOD_GGUF)
    for length in reversed(range(1, len(GOOD_GGUF))):
        os.truncate(tmp_path / "x", length)
        if length == len(GOOD_GGUF) - 24:  # all of v, which has 8 bytes of 32
            open_checkpoint(tmp_path / "x").close()
            continue
        with pytest.raises(CheckpointError):
            open_checkpoint(tmp_path / "x")


def split(folder: Path, *names: str, count: int | None = None) -> list[Path]:
    """One tensor to a part, as gguf-split writes it."""
    count = len(names) if count is None else count
    paths = [folder / f"m-{i + 1:05}-of-{len(names):05}.gguf" for i in range(len(names))]
    for number, (name, path) in enumerate(zip(names, paths, strict=True)):
        value = np.full(8, number, np.float32)
        sizes = {"split.no": number, "split.count": count}
        keys = [key(k, 2, v.to_bytes(2, "little")) for k, v in sizes.items()]
        keys += [key("split.tensors.count", 5, len(names).to_bytes(4, "little"))]
        keys += [key("general.architecture", 8, text("llama"))] if number == 0 else []
        path.write_bytes(typed([tensor(name, (8,), 0, 0)], value.tobytes(), keys=keys))
    return paths


SPLIT = ("blk.0.attn_norm.weight", "output_norm.weight", "other")


@pytest.mark.parametrize("given", [0, 1, 2, None], ids=["first", "second", "third", "folder"])
def test_any_part_opens_the_whole(tmp_path: Path, given: int | None) -> None:
    paths = split(tmp_path, *SPLIT)
    with open_checkpoint(tmp_path if given is None else paths[given]) as checkpoint:
        found = {name: float(checkpoint.read(name)[0]) for name in checkpoint.specs}
        assert checkpoint.nbytes == sum(path.stat().st_size for path in paths)
        os.utime(paths[2], ns=(0, 0))
        with pytest.raises(CheckpointError, match=r"00003-of-00003\.gguf: changed"):
            checkpoint.verify_unchanged()
    assert found == {
        "model.layers.0.input_layernorm.weight": 0.0, "model.norm.weight": 1.0, "other": 2.0
    }  # fmt: skip


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    def refused(path: Path, words: str) -> None:
        with pytest.raises(CheckpointError, match=words):
            open_checkpoint(path)

    first, second, third = split(tmp_path, *SPLIT)
    os.rename(third, tmp_path / "away")
    refused(first, r"1 of 3 parts are missing: m-00003-of-00003\.gguf; download")
    os.mkfifo(third)
    refused(first, "not a regular file")
    os.unlink(third)
    os.link(second, third)
    refused(first, r"split.no and split.count are \[1, 3\], expected \[2, 3\]")
    os.unlink(third)
    split(tmp_path, "a", "b", "a")
    refused(second, "tensor 'a': stands in two parts")
    split(tmp_path, *SPLIT, count=7)
    refused(first, "one of 7 parts, and not named NAME-00001-of-00007.gguf")
    content = split(tmp_path, *SPLIT)[0].read_bytes()
    name = b"split.tensors.count\5\0\0\0"
    first.write_bytes(content.replace(name + b"\3", name + b"\4"))
    refused(first, "its parts hold 3 tensors, split.tensors.count is 4")


def unreadable(path: Path, kind: GGMLQuantizationType) -> str | None:
    raw = np.zeros((2, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8)
    write(path, "none", {"x": (raw, kind)})
    gguf_blocks._of_package.cache_clear()
    with open_checkpoint(path) as checkpoint:
        reason = checkpoint.specs["x"].unreadable
        if reason is not None:
            with pytest.raises(CheckpointError, match="x"):
                next(checkpoint.blocks("x"))
    return reason


def test_what_cannot_be_decoded_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.gguf"
    assert unreadable(path, GGMLQuantizationType.IQ2_S) is None
    reason = unreadable(path, GGMLQuantizationType.Q8_1)
    assert reason == "Q8_1 has no decoder, neither here nor in the gguf package"
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "gguf", None)
        reason = unreadable(path, GGMLQuantizationType.IQ2_S)
        assert reason == "IQ2_S needs pip install 'netdistance[gguf]'"
        assert unreadable(path, GGMLQuantizationType.Q4_K) is None
    gguf_blocks._of_package.cache_clear()


def test_a_llama_file_is_within_rounding_of_its_source(tmp_path: Path) -> None:
    """The rows of q and k that a converter permuted face those of the source."""
    draw = np.random.default_rng(0)
    layer = "model.layers.0"
    source = {
        f"{layer}.self_attn.q_proj.weight": (64, 128),
        f"{layer}.self_attn.k_proj.weight": (32, 128),
        f"{layer}.mlp.down_proj.weight": (128, 256),
    }
    arrays = {n: draw.standard_normal(shape).astype(np.float32) for n, shape in source.items()}
    (tmp_path / "a.safetensors").write_bytes(safetensors(arrays))
    q, k, down = arrays.values()
    kind = GGMLQuantizationType.Q8_0
    stored = {"attn_q": permuted(q, 4), "attn_k": permuted(k, 2), "ffn_down": down}
    tensors = {
        f"blk.0.{name}.weight": (quants.quantize(x, kind), int(kind)) for name, x in stored.items()
    }
    counts = {"attention__head_count": 4, "attention__head_count_kv": 2}
    write(tmp_path / "b.gguf", "llama", tensors, **counts)
    report = compare(tmp_path / "a.safetensors", tmp_path / "b.gguf")
    assert report.pairing is not None and report.pairing.compared == 3
    assert "within int8 rounding" in report.verdict.text
    for row in report.tensors:
        multiple = row.metrics["rounding_multiple_int8"]
        assert isinstance(multiple, Exact) and multiple.value < 1.1
