"""Base + adapter is what peft merges, and a hostile adapter is one clear line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import netdistance
from netdistance.checkpoints import open_checkpoint
from netdistance.checkpoints.adapted import adapted
from netdistance.errors import CheckpointError
from tests.unit.checkpoints import adapters

# float32 products of 3 terms against float64
TOLERANCE = 1e-6
BASE = {"l.weight": torch.ones(5, 4), "l.bias": torch.ones(5)}


@pytest.mark.slow  # peft takes 9 s to import
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"first": 2}, "alpha_pattern": {"^sq.*": 1, "square": 7}},
        {"rank_pattern": {".*fir(st|e).*": 3}, "alpha_pattern": {"sq(u|o)are": 7}},
        {"modules_to_save": ["head"]},
        {"bias": "all"},
        {"lora_bias": True, "target_modules": ["first", "square"]},
    ],
    ids=str,
)
def test_it_is_what_peft_merges(settings: Mapping[str, Any], tmp_path: Path) -> None:
    base, merged = adapters.by_peft(tmp_path, **settings)
    with open_checkpoint(base) as file, adapted(file, tmp_path) as found:
        assert found.specs.keys() == merged.keys()
        changed = 0
        for name, tensor in merged.items():
            ours = found.read(name)
            np.testing.assert_allclose(ours, tensor.numpy(), rtol=0, atol=TOLERANCE, err_msg=name)
            changed += not np.array_equal(ours, base[name].numpy())
        assert changed >= 2 and not [s for s in found.specs.values() if s.unreadable]


def test_inputs_first_is_turned_over(tmp_path: Path) -> None:
    """As GPT-2's Conv1D; peft's own needs transformers."""
    tensors = adapters.pair("l", 5, 5)
    for flag in (False, True):
        folder = adapters.write(tmp_path / str(flag), tensors, fan_in_fan_out=flag)
        a, b = (t.double() for t in tensors.values())
        expected = 1.0 + 2.0 * (b @ a).numpy()
        with open_checkpoint({"l.weight": torch.ones(5, 5)}) as base, adapted(base, folder) as file:
            found = file.read("l.weight")
        np.testing.assert_allclose(found, expected.T if flag else expected, atol=TOLERANCE)


@pytest.mark.parametrize("prefix", ["", "model.", "transformer.h."])
def test_names_with_words_before_them_are_found(prefix: str, tmp_path: Path) -> None:
    base = {f"{prefix}{name}": tensor for name, tensor in BASE.items()}
    for module in ("l", "model.l"):
        folder = adapters.write(tmp_path / "adapter", adapters.pair(module, 5, 4))
        if module == "model.l" and prefix == "transformer.h.":
            continue  # other words, not more or less of them
        with open_checkpoint(base) as file, adapted(file, folder) as found:
            assert "LoRA rank 2" in found.specs[f"{prefix}l.weight"].encoding


def test_any_span_is_that_of_the_whole(tmp_path: Path) -> None:
    base, _ = adapters.by_peft(tmp_path)
    with open_checkpoint(base) as file, adapted(file, tmp_path) as found:
        for name, spec in found.specs.items():
            flat = found.read(name).reshape(-1)
            for start, size in ((0, 3), (1, 4), (spec.elements - 1, 5)):
                blocks = [b.copy() for b in found.blocks(name, start=start, size=size)]
                np.testing.assert_array_equal(np.concatenate(blocks), flat[start:])


def test_compare_takes_the_folder_as_base_and_adapter(tmp_path: Path) -> None:
    folder = adapters.write(tmp_path / "adapter", adapters.pair("l", 5, 4))
    save_file(BASE, tmp_path / "base.safetensors")
    report = netdistance.compare(tmp_path / "base.safetensors", folder)
    rows = {row.name: row for row in report.tensors}
    assert rows["l.weight"].encoding_b == "F32 + LoRA rank 2"
    assert rows["l.weight"].decoding_b == "base + 2 x B A, in float64"
    assert rows["l.bias"].metrics["max_abs"].value == 0.0
    assert rows["l.weight"].metrics["max_abs"].value > 0.1
    with pytest.raises(CheckpointError, match="needs the base"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"peft_type": "LOHA"}, "LOHA"),
        ({"peft_type": None}, "peft_type"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"r": 0}, "r is 0"),
        ({"r": True}, "r is True"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"rank_pattern": {"l": -1}}, "rank_pattern"),
        ({"rank_pattern": ["l"]}, "rank_pattern"),
        ({"alpha_pattern": {"(": 1}}, "regular expression"),
        ({"alpha_pattern": {"(a+)+b": 1}}, "repetitions"),
        ({"alpha_pattern": {"(?i)l": 1}}, "global flags"),
        ({"alpha_pattern": {"(l|ll)" * 33: 1}}, "groups"),
        ({"alpha_pattern": {"[l.]*[l.]*[l.]*x": 1}}, "groups"),
        ({"rank_pattern": {f"l*{n}": 2 for n in range(65)}}, "65 are more patterns"),
    ],
    ids=str,
)
def test_a_configuration_that_is_not_plain_lora_is_refused(
    config: Mapping[str, Any], word: str, tmp_path: Path
) -> None:
    folder = adapters.write(tmp_path / "adapter", adapters.pair("l", 5, 4), **config)
    with open_checkpoint(BASE) as base, pytest.raises(CheckpointError, match="adapter") as error:
        adapted(base, folder)
    assert word in str(error.value)


def test_a_folder_of_an_adapter_and_a_whole_model_could_mean_either(tmp_path: Path) -> None:
    folder = adapters.write(tmp_path / "both", adapters.pair("l", 5, 4))
    (folder / "training_args.bin").write_bytes(b"no weights")
    assert netdistance.compare(BASE, folder).pairing
    save_file(BASE, folder / "model.safetensors")
    for a, b in ((BASE, folder), (folder, BASE)):
        with pytest.raises(CheckpointError, match=r"LoRA adapter, and model\.safetensors too"):
            netdistance.compare(a, b)


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        (dict([next(iter(adapters.pair("l", 5, 4).items()))]), "no lora_B"),
        (adapters.pair("l", 5, 4, rank=3), "says rank 2"),
        (adapters.pair("l", 6, 4), "no change of shape"),
        (adapters.pair("l", 5, 4) | adapters.pair("other", 5, 4), "the base has no 'other.weight'"),
        ({k: v.flatten() for k, v in adapters.pair("l", 1, 2).items()}, "shape (4,)"),
    ],
    ids=["no B", "rank", "shape", "no target", "vectors"],
)
def test_what_does_not_fit_is_a_tensor_with_a_reason(
    tensors: dict[str, torch.Tensor], word: str, tmp_path: Path
) -> None:
    folder = adapters.write(tmp_path / "adapter", tensors)
    with open_checkpoint(BASE) as base, adapted(base, folder) as found:
        reasons = [spec.unreadable for spec in found.specs.values() if spec.unreadable]
    assert len(reasons) == 1 and word in reasons[0]


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        (adapters.pair("other", 5, 4), "none of its 1 targets"),
        ({"base_model.model.l.lora_magnitude_vector.weight": torch.ones(5)}, "plain LoRA"),
        (
            {"l.bias": torch.ones(5), "base_model.model.l.base_layer.bias": torch.zeros(5)},
            "stands for 'l.bias' twice",
        ),
    ],
)
def test_what_nothing_can_be_made_of_is_an_error(
    tensors: dict[str, torch.Tensor], word: str, tmp_path: Path
) -> None:
    folder = adapters.write(tmp_path / "adapter", tensors)
    with open_checkpoint(BASE) as base, pytest.raises(CheckpointError, match=word):
        adapted(base, folder)


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 2.0),
        ({"use_rslora": True}, 4.0 / 2.0**0.5),
        ({"alpha_pattern": {"other": 1, "l": 6}}, 3.0),
        ({"r": 8, "rank_pattern": {"^l$": 2}}, 2.0),
    ],
)
def test_the_scale_is_that_of_the_configuration(
    config: Mapping[str, Any], scale: float, tmp_path: Path
) -> None:
    tensors = adapters.pair("l", 5, 4)
    folder = adapters.write(tmp_path / "adapter", tensors, **config)
    a, b = (t.double() for t in tensors.values())
    with open_checkpoint(BASE) as base, adapted(base, folder) as found:
        values = found.read("l.weight")
    np.testing.assert_allclose(values, 1.0 + scale * (b @ a).numpy(), rtol=0, atol=TOLERANCE)
