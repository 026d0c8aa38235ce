"""A compressed checkpoint holds exactly the simulated weights, as the libraries decode them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import netdistance
from netdistance.checkpoints import open_checkpoint
from netdistance.compression.frontier import AS_IT_IS
from netdistance.compression.layers import layers_to_compress
from netdistance.compression.schemes import scheme_of
from netdistance.compression.simulated import compressed
from netdistance.compression.write import write_compressed
from netdistance.errors import CheckpointError, OutputError, UsageError
from netdistance.studies.audit import audit
from netdistance.studies.simulate import SimulateOptions, simulate

SCHEMES = ("int8", "int4-g16", "int8-g32", "fp8", "nf4", "fp4", "bf16", "fp16", "mxfp4",
           "prune-0.5", "lowrank-4", "int3-g16", "int4-g128")  # fmt: skip
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A linear layer, a convolution, an odd matrix, and what is no weight."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "l.weight": torch.randn(12, 64, generator=generator),
        "l.bias": torch.randn(12, generator=generator),
        "conv.weight": torch.randn(4, 3, 3, 3, generator=generator),
        "odd.weight": torch.randn(5, 13, generator=generator).bfloat16(),
        "steps": torch.tensor([[7, 8]]),
        "flags": torch.tensor([True, False]),
        "small": torch.randn(3, generator=generator).to(torch.float8_e4m3fn),
    }
    save_file(tensors, tmp_path / "base.safetensors")
    return tmp_path / "base.safetensors"


def written(source: Path, target: Path, name: str, only: str = "") -> dict[str, object]:
    """The source with every layer under a scheme, or one of them."""
    with open_checkpoint(source) as checkpoint:
        layers = layers_to_compress(checkpoint)
        chosen = {y.name: name if only in ("", y.name) else AS_IT_IS for y in layers}
        return write_compressed(checkpoint, layers, (scheme_of(name),), chosen, target)


def expected(source: Path, name: str) -> dict[str, np.ndarray]:
    return {
        key: compressed(tensor.float().numpy(), scheme_of(name))
        for key, tensor in load_file(source).items()
        if key.endswith(".weight")
    }


def decoded(tensors: Tensors, name: str) -> torch.Tensor:
    """A weight by the library that wrote such files first; dense where it lies so."""
    if f"{name}_packed" in tensors or f"{name}_scale" in tensors:
        return by_compressed_tensors(tensors, name)
    if f"{name}.absmax" in tensors:
        return by_bitsandbytes(tensors, name)
    return tensors[name].float()


def by_compressed_tensors(tensors: Tensors, name: str) -> torch.Tensor:
    from compressed_tensors.compressors import (
        NaiveQuantizationCompressor,
        PackedQuantizationCompressor,
    )
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    scale, packed = tensors[f"{name}_scale"], tensors.get(f"{name}_packed")
    parts = {"weight_scale": scale}
    if packed is None:
        kind = {torch.int8: "int", torch.float8_e4m3fn: "float"}[tensors[name].dtype]
        strategy = "channel" if kind == "int" else "tensor"
        args = QuantizationArgs(num_bits=8, type=kind, strategy=strategy, symmetric=True)
        scheme = QuantizationScheme(targets=["Linear"], weights=args)
        parts["weight"] = tensors[name]
        return NaiveQuantizationCompressor.decompress(parts, scheme)["weight"]
    shape = tensors[f"{name}_shape"]
    width, group = 32 * packed.shape[1] // int(shape[1]), int(shape[1]) // scale.shape[1]
    args = QuantizationArgs(num_bits=width, strategy="group", group_size=group, symmetric=True)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    parts |= {"weight_packed": packed, "weight_shape": shape}
    return PackedQuantizationCompressor.decompress(parts, scheme)["weight"]


def by_bitsandbytes(tensors: Tensors, name: str) -> torch.Tensor:
    functional = pytest.importorskip("bitsandbytes.functional")
    state = {
        key.removeprefix(f"{name}."): tensor
        for key, tensor in tensors.items()
        if key.startswith(f"{name}.")
    }
    state = functional.QuantState.from_dict(state, device=torch.device("cpu"))
    return functional.dequantize_4bit(tensors[name], state)


@pytest.mark.parametrize("name", SCHEMES)
def test_the_libraries_decode_the_simulated_values(name: str, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "small.safetensors"
    written(source, target, name)
    tensors = load_file(target)
    for key, values in expected(source, name).items():
        found = decoded(tensors, key)
        assert found.shape == values.shape
        np.testing.assert_array_equal(found.float().numpy(), values, err_msg=key)
    before = load_file(source)
    for key in ("l.bias", "steps", "flags"):
        assert tensors[key].dtype == before[key].dtype and torch.equal(tensors[key], before[key])
    # another type that holds the same numbers
    assert torch.equal(tensors["small"], before["small"].float())


@pytest.mark.parametrize("name", SCHEMES)
def test_the_file_compares_back_as_the_simulated_weights(
    name: str, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "small.safetensors"
    written(source, target, name)
    report = netdistance.compare(expected(source, name), target)
    assert report.pairing is not None and not report.pairing.only_a
    assert report.pairing.identical == report.pairing.compared == 3


@pytest.mark.parametrize("name", SCHEMES)
def test_the_file_is_judged_as_what_was_simulated(name: str, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "small.safetensors"
    written(source, target, name)
    simulated = {row.layer: row for row in simulate(source, SimulateOptions(schemes=(name,))).audit}
    for row in audit(source, target).audit or ():
        if row.layer in simulated:
            assert row.verdict == simulated[row.layer].verdict, row
            assert row.distance == simulated[row.layer].distance
            assert row.verdict != "rounding" or str(row.rounding_of) in name


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("int8", {"int-quantized": 2, "dense F32": 1}),
        ("int4-g16", {"pack-quantized": 1, "dense F32": 2}),
        ("fp8", {"float-quantized": 2, "dense F32": 1}),
        ("nf4", {"bitsandbytes nf4": 2, "dense F32": 1}),
        ("prune-0.5", {"dense F32": 2, "dense BF16": 1}),
        ("bf16", {"dense BF16": 3}),
    ],
)
def test_the_layouts(name: str, kinds: dict[str, int], source: Path, tmp_path: Path) -> None:
    found = written(source, tmp_path / "small.safetensors", name)
    assert found["written_as"] == kinds
    assert "not every compressed tensor" in str(found["written_config"])


def test_a_configuration_only_where_it_is_whole_and_none_stands(
    source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    found = written(source, folder / "small.safetensors", "int4-g16", only="l")
    assert found["written_config"] == "config.json names the layouts"
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    from compressed_tensors.quantization import QuantizationConfig

    parsed = QuantizationConfig.model_validate(config)
    assert parsed.format == "pack-quantized" and parsed.config_groups["group_0"].targets == ["l"]
    assert parsed.config_groups["group_0"].weights.group_size == 16
    (folder / "config.json").write_text("{}")
    found = written(source, folder / "small.safetensors", "int4-g16", only="l")
    assert "left alone" in str(found["written_config"])
    assert (folder / "config.json").read_text() == "{}"


def test_nothing_stays_of_a_write_that_fails(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "small.safetensors").write_text("before")
    tensors = load_file(source)
    tensors["odd.weight"][0, 0] = torch.nan  # the last that is written
    save_file(tensors, source)
    with pytest.raises(CheckpointError, match=r"'odd.weight': is not finite, and no scheme"):
        written(source, folder / "small.safetensors", "int8")
    assert [p.name for p in folder.iterdir()] == ["small.safetensors"]
    assert (folder / "small.safetensors").read_text() == "before"


def test_what_cannot_be_a_target(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is the checkpoint itself"):
        written(source, source, "int8")
    with pytest.raises(OutputError, match="cannot be written"):
        written(source, tmp_path / "no such folder" / "x.safetensors", "int8")
    tensors = load_file(source)
    save_file({**tensors, "l.weight_scale": torch.ones(1)}, source)
    with pytest.raises(CheckpointError, match=r"'l.weight_scale': would be written twice"):
        written(source, tmp_path / "x.safetensors", "int8")


def test_the_header_says_which_layer_is_stored_how(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "small.safetensors"
    written(source, target, "int8")
    raw = target.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    assert length % 8 == 0
    told = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["netdistance"])
    assert told == {"l": "int8", "conv": "int8", "odd": "int8"}
