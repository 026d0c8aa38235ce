"""Inputs by forward argument, structured outputs, element types, and modules from Python."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from netdistance.errors import InputError, UsageError
from netdistance.networks.batch import Arguments
from netdistance.networks.inputs import load_inputs, random_inputs
from netdistance.networks.load import Network, load_network
from netdistance.networks.members import member
from netdistance.probes.deviation import run

TOKENS = torch.tensor([[1, 2, 0], [3, 1, 2], [2, 0, 0]])
MASK = TOKENS > 0


class Tagger(nn.Module):
    """Tokens and a mask to the mean of the embeddings, as a language model takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(4, 5)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        weight = attention_mask.to(self.embed.weight.dtype).unsqueeze(-1)
        pooled = (self.embed(input_ids) * weight).sum(1) / weight.sum(1)
        return {"pooled": pooled, "mask": attention_mask}


def write(folder: Path, kind: str) -> object:
    named = {"input_ids": TOKENS, "attention_mask": MASK}
    if kind == "npz":
        np.savez(folder / "x", **{name: tensor.numpy() for name, tensor in named.items()})
        return folder / "x.npz"
    if kind == "safetensors":
        save_file(named, folder / "x")
        return folder / "x"
    if kind == "torch":
        torch.save(named, folder / "x")
        return folder / "x"
    return named if kind == "tensors" else {n: t.numpy() for n, t in named.items()}


@pytest.mark.parametrize("kind", ["npz", "safetensors", "torch", "tensors", "arrays"])
def test_tensors_go_to_the_arguments_of_their_names(tmp_path: Path, kind: str) -> None:
    inputs = load_inputs(write(tmp_path, kind))
    assert isinstance(inputs.values, Arguments)
    assert torch.equal(inputs.values.tensors["input_ids"], TOKENS)
    assert inputs.values.tensors["attention_mask"].dtype == torch.bool
    module = Tagger()
    network = load_network(module, device="cpu", output="pooled")
    expected = module(TOKENS, MASK)["pooled"].detach()
    state = module.state_dict()
    for batch_size in (1, 2, 9):
        found = run(network, state, inputs.values, batch_size=batch_size)
        torch.testing.assert_close(found, expected)


def test_one_array_is_the_first_argument(tmp_path: Path) -> None:
    np.savez(tmp_path / "x", images=np.zeros((2, 3), np.float32))
    assert isinstance(load_inputs(tmp_path / "x.npz").values, Tensor)


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match=r"different lengths \(a: 2, b: 3\)"):
        load_inputs({"a": np.zeros((2, 1)), "b": np.zeros((3, 1))})
    with pytest.raises(InputError, match="holds no arrays"):
        load_inputs({})


def test_an_argument_that_the_forward_does_not_have() -> None:
    network = load_network(Tagger(), device="cpu", output="pooled")
    with pytest.raises(InputError, match=r"inputs ids: int64 \(3, 3\): TypeError: .*'ids'"):
        network(network.module.state_dict(), Arguments({"ids": TOKENS}))


def test_random_inputs_depend_on_the_seed_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (random_inputs("4,3,2", seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.values, again.values)
    assert not torch.equal(first.values, other.values)
    assert first.values.shape == (4, 3, 2)
    assert first.note == "synthetic: standard normal 4x3x2, seed 1"


@pytest.mark.parametrize("shape", ["", "4", "4,", "4,x", "4,-3", "0,3", "4,3.5", "99999,99999"])
def test_shapes_that_are_refused(shape: str) -> None:
    with pytest.raises(UsageError, match="--random-inputs"):
        random_inputs(shape, 0)


Pair = namedtuple("Pair", "left right")


@dataclass
class Output:
    """As a library's structured output."""

    loss: Tensor | None
    logits: Tensor


ONE, TWO = torch.zeros(2, 1), torch.ones(2, 3)


@pytest.mark.parametrize(
    ("returned", "name", "expected"),
    [
        (TWO, None, TWO),
        ({"a": ONE, "b": TWO}, "b", TWO),
        ((ONE, TWO), "1", TWO),
        ([TWO], None, TWO),
        (Pair(ONE, TWO), "right", TWO),
        (Output(None, TWO), None, TWO),
        (Output(ONE, TWO), "loss", ONE),
    ],
)
def test_the_member_that_counts(returned: object, name: str | None, expected: Tensor) -> None:
    assert member(returned, name, "net") is expected


@pytest.mark.parametrize(
    ("returned", "name", "words"),
    [
        (TWO, "logits", "returns one tensor; leave --output logits out"),
        ((ONE, TWO), None, "returns a tuple of 2 tensors; name one of them with --output: 0, 1"),
        ({"a": ONE, "b": TWO}, "c", "returns no tensor 'c'; name one of them with --output: a, b"),
        ({}, None, "returns a dict without tensors"),
        (7, None, "returns a int without tensors"),
        ((), "0", "returns a tuple without tensors"),
    ],
)
def test_members_that_are_not_there(returned: object, name: str | None, words: str) -> None:
    with pytest.raises(InputError) as caught:
        member(returned, name, "net")
    assert words in str(caught.value)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_a_network_computes_in_the_type_asked_for(dtype: str) -> None:
    module = nn.Linear(3, 2)
    network = load_network(module, device="cpu", dtype=dtype)
    assert next(network.module.parameters()).dtype == getattr(torch, dtype)
    assert network(network.module.state_dict(), torch.ones(4, 3)).dtype == getattr(torch, dtype)
    assert module.weight.dtype == torch.float32 and module.training and module.weight.requires_grad
    assert network.name == "<Linear>"


class Hungry(nn.Module):
    """Asks for more memory than there is."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_empty(1 << 55)


def test_too_large_a_batch_names_one_to_try() -> None:
    network = Network(Hungry(), "net", torch.device("cpu"))
    with pytest.raises(InputError, match="out of memory with 8 inputs at once; try --batch-size 2"):
        network({}, torch.zeros(8, 3))
