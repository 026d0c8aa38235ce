"""What GPTQ and AWQ files say of themselves is checked; what does not fit has a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netdistance.checkpoints import open_checkpoint
from netdistance.checkpoints.base import TensorSpec
from tests.formats.encodings.awq_cases import write_awq
from tests.formats.encodings.gptq_cases import change, write_gptq
from tests.oracles.gptq_packing import packed_down


def spec_of(path: Path, name: str = "l.weight") -> TensorSpec:
    with open_checkpoint(path) as checkpoint:
        return checkpoint.specs[name]


def reason_of(path: Path, name: str = "l.weight") -> str:
    return str(spec_of(path, name).unreadable)


def configure(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["quantization_config"] |= settings
    path.write_text(json.dumps(config))


def integers(*shape: int, value: int = 0) -> np.ndarray:
    return np.full(shape, value, dtype=np.int32)


def test_labels_say_bits_groups_and_order(tmp_path: Path) -> None:
    write_gptq(tmp_path, act_order=True)
    assert spec_of(tmp_path).encoding == "gptq 4-bit, groups of 32, act-order"
    write_gptq(tmp_path, bits=8, group=64, config={})
    assert spec_of(tmp_path).encoding == "gptq 8-bit, one group, bits from the shapes"


def test_the_zeros_decide_the_version_and_the_label_says_that_the_metadata_differ(
    tmp_path: Path,
) -> None:
    write_gptq(tmp_path, version=2)
    assert "though" not in spec_of(tmp_path).encoding
    configure(tmp_path, checkpoint_format="gptq")
    spec = spec_of(tmp_path)
    assert "zeros of version 2 though checkpoint_format says 1" in spec.encoding
    assert spec.decoding == "(code - zero) x scale of its group"
    write_gptq(tmp_path, version=1)
    configure(tmp_path, checkpoint_format="gptq_v2")
    spec = spec_of(tmp_path)
    assert "zeros of version 1 though checkpoint_format says 2" in spec.encoding
    assert spec.decoding == "(code - (zero + 1)) x scale of its group"


def test_zeros_that_are_not_the_middle_are_remarked(tmp_path: Path) -> None:
    write_gptq(tmp_path, sym=False)
    configure(tmp_path, sym=True)
    assert "sym is true and the zeros are not the middle" in spec_of(tmp_path).encoding
    write_gptq(tmp_path, sym=False, config={"bits": 4})
    assert "version 1 assumed" in spec_of(tmp_path).encoding


@pytest.mark.parametrize(
    ("name", "to", "words"),
    [
        ("l.g_idx", integers(64, value=2), "holds 2, of 2 groups"),
        ("l.g_idx", integers(64, value=-1), "holds -1, of 2 groups"),
        ("l.g_idx", np.ones(64, dtype=np.float32), "not a list of groups"),
        ("l.g_idx", integers(10**6), "of no number of bits"),
        ("l.qzeros", None, "'l.qzeros' is not in the file"),
        ("l.scales", None, "'l.scales' is not in the file"),
        ("l.scales", integers(2, 32), "expected floating point"),
        ("l.scales", np.ones((5, 32), dtype=np.float16), "expected (5, 4)"),
        ("l.scales", np.ones((2, 0), dtype=np.float16), "expected a matrix"),
        ("l.scales", np.float16(1), "expected a matrix"),
        ("l.qzeros", integers(2, 5), "of no number of bits"),
        ("l.qweight", np.ones((8, 32), dtype=np.int64), "expected I32"),
        ("l.weight", np.ones((32, 64), dtype=np.float16), "stands in the file beside it"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    name: str, to: np.ndarray | None, words: str, tmp_path: Path
) -> None:
    write_gptq(tmp_path)
    change(tmp_path, name, to if to is None else np.asarray(to))
    assert words in reason_of(tmp_path, "l.qweight" if name == "l.weight" else "l.weight")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bits": 8}, "the configuration says 8 bits, and the shapes are those of 4 bits"),
        ({"bits": 10**9}, "the configuration says 1000000000 bits"),
        ({"group_size": 16}, "says groups of 16, and 64 inputs have 2 scales"),
        ({"group_size": -1}, "says groups of -1, and 64 inputs have 2 scales"),
        ({"checkpoint_format": "marlin"}, "checkpoint_format 'marlin' is none of gptq, gptq_v2"),
        ({"checkpoint_format": ["gptq"]}, "is none of gptq, gptq_v2"),
    ],
)
def test_a_configuration_that_disagrees_with_the_shapes_is_said(
    settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    write_gptq(tmp_path)
    configure(tmp_path, **settings)
    assert words in reason_of(tmp_path)


def test_settings_of_odd_types_are_as_good_as_absent(tmp_path: Path) -> None:
    write_gptq(tmp_path)
    configure(tmp_path, bits="4", group_size=None, sym="yes")
    assert spec_of(tmp_path).unreadable is None


def test_layers_with_settings_of_their_own_go_by_their_shapes(tmp_path: Path) -> None:
    write_gptq(tmp_path, bits=8, group=16)
    configure(tmp_path, bits=4, group_size=32, dynamic={"+:l": {"bits": 8, "group_size": 16}})
    assert spec_of(tmp_path).encoding == "gptq 8-bit, groups of 16, bits from the shapes"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"version": "gemv"}, "layout 'gemv' is not decoded"),
        ({"bits": 3}, "AWQ of 3 bits"),
        ({"group_size": 16}, "says groups of 16"),
    ],
)
def test_other_layouts_of_awq_are_refused(
    settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    write_awq(tmp_path)
    configure(tmp_path, **settings)
    assert words in reason_of(tmp_path)


def test_gemv_is_told_by_its_shapes(tmp_path: Path) -> None:
    write_awq(tmp_path)
    (tmp_path / "config.json").unlink()
    change(tmp_path, "l.qweight", integers(32, 8))
    change(tmp_path, "l.scales", np.ones((32, 16), dtype=np.float16))
    assert "layout GEMV" in reason_of(tmp_path)


def test_structure_tells_awq_whatever_the_configuration_calls_it(tmp_path: Path) -> None:
    write_awq(tmp_path)
    configure(tmp_path, quant_method="gptq")
    assert spec_of(tmp_path).encoding == "awq 4-bit, groups of 32"


def test_a_qweight_of_another_kind_stays_as_it_is(tmp_path: Path) -> None:
    write_gptq(tmp_path)
    for part in ("l.qzeros", "l.scales", "l.g_idx"):
        change(tmp_path, part, None)
    change(tmp_path, "l.qweight", np.ones((3, 3), dtype=np.float32))
    assert spec_of(tmp_path, "l.qweight").decoding is None


def test_three_bits_cross_words_where_the_kernels_say() -> None:
    words = packed_down(np.arange(32)[:, None] % 8, 3).view(np.uint32)[:, 0]
    assert [int(words[0]) >> 30, int(words[1]) & 1] == [2, 0]  # 10 % 8 = 0b010
    assert [int(words[1]) >> 31, int(words[2]) & 3] == [1, 2]  # 21 % 8 = 0b101


@pytest.mark.parametrize("write", [write_gptq, write_awq])
def test_rows_in_the_middle_are_read_where_nothing_was_before(write: Any, tmp_path: Path) -> None:
    _, expected = write(tmp_path)
    with open_checkpoint(tmp_path) as checkpoint:
        found = np.concatenate(list(checkpoint.blocks("l.weight", start=64 * 13, stop=64 * 20)))
    whole = expected["l.weight"].reshape(-1)
    np.testing.assert_array_equal(found.astype(whole.dtype), whole[64 * 13 : 64 * 20])


def test_an_empty_index_is_none(tmp_path: Path) -> None:
    path, expected = write_gptq(tmp_path)
    change(path, "l.g_idx", np.empty(0, dtype=np.int32))
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.specs["l.weight"].unreadable is None
        reference = expected["l.weight"]
        assert np.array_equal(checkpoint.read("l.weight").astype(reference.dtype), reference)
