"""Files in which one weight could mean two things: refused with a reason, never one of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from netdistance.checkpoints import open_checkpoint
from tests.cli.invoke import invoke
from tests.formats.encodings.gptq_cases import write_gptq

CODES = np.arange(64, dtype=np.int8).reshape(8, 8)
PACKED = {
    "l.weight_packed": np.zeros((32, 8), np.int32),
    "l.weight_scale": np.ones((32, 2), np.float16),
    "l.weight_shape": np.array([32, 64]),
}
BLOCKS = np.zeros((4, 2, 16), np.uint8)


def reasons(path: Path) -> dict[str, str | None]:
    with open_checkpoint(path) as checkpoint:
        return {name: spec.unreadable for name, spec in checkpoint.specs.items()}


def test_two_encodings_of_one_weight_are_both_refused(tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    folder, expected = write_gptq(tmp_path / "packed")
    file = folder / "model.safetensors"
    save_file(load_file(file) | PACKED, file)
    found = reasons(folder)
    why = "other tensors of the file make 'l.weight' too"
    assert found == {"l.weight": why, "l.weight_packed": why, "l.bias": None}
    plain = tmp_path / "plain.npz"
    np.savez(plain, **{**expected, "l.bias": np.ones(3, np.float16)})
    for command in ("compare", "audit"):
        outcome = invoke(command, plain, folder)
        assert outcome.code == 0 and "l.weight" in outcome.out
        assert invoke(command, plain, folder, "--require-all").code == 1


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        (
            {"X_blocks": BLOCKS, "X_scales": BLOCKS[..., 0], "X": np.ones((4, 64))},
            {"X": None, "X_blocks": "'X' stands in the file beside it"},
        ),
        (
            {"l.weight": CODES, "l.SCB": np.ones(8, "f4"), "l.weight_scale": np.ones((8, 1), "f4")},
            {"l.weight": "'l.weight_scale' makes other numbers of it", "l.weight_scale": None},
        ),
        (
            {"l.weight": CODES, "l.SCB": np.ones(8, "f4"), "l.weight_blocks": BLOCKS}
            | {"l.weight_scales": BLOCKS[..., 0]},
            {
                "l.weight": "other tensors of the file make 'l.weight' too",
                "l.weight_blocks": "'l.weight' stands in the file beside it",
            },
        ),
    ],
    ids=["beside its own name", "two scales", "made of a stored name"],
)
def test_what_could_mean_two_things_says_so(
    tensors: dict[str, np.ndarray], expected: dict[str, str | None], tmp_path: Path
) -> None:
    save_file(tensors, tmp_path / "x.safetensors")
    assert reasons(tmp_path / "x.safetensors") == expected


def test_codes_without_scales_are_called_integers(tmp_path: Path) -> None:
    for name, codes in (("a", CODES), ("b", CODES // 2)):
        tensors = {"l.weight": codes, "m.weight": CODES, "ids": CODES}
        save_file(tensors, tmp_path / f"{name}.safetensors")
    outcome = invoke("audit", tmp_path / "a.safetensors", tmp_path / "b.safetensors", "--json", "-")
    note = "no scales in the file for the int8 of 'l.weight' and 1 more: codes are compared"
    assert outcome.out.count(note) == 2
    scaled = {"l.weight": CODES, "l.SCB": np.ones(8, np.float32)}
    save_file(scaled, tmp_path / "scaled.safetensors")
    with open_checkpoint(tmp_path / "scaled.safetensors") as checkpoint:
        assert not any("no scales" in note for note in checkpoint.notes)
