"""What converters write, by formulas of their own: one network in two files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Arrays = dict[str, np.ndarray]

LAYERS, WIDTH, HEADS, EXPERTS = 3, 32, 4, 4


@dataclass(frozen=True)
class Case:
    """Two files that hold one network, and the conversion that makes b's tensors a's.

    `transforms` are the beginnings of what some tensors of a are told to be. A case that is not
    `exact` rounds.
    """

    name: str
    conversion: str
    make: Callable[[np.random.Generator], tuple[Arrays, Arrays]]
    transforms: tuple[str, ...]
    exact: bool = True


def drawn(draw: np.random.Generator, *shape: int) -> np.ndarray:
    """Multiples of 2^-12 about as large as weights are: sums with 1 are exact."""
    return (np.round(draw.standard_normal(shape) * 4096) / 4096).astype(np.float32)


def _layers(make: Callable[[str, Arrays, Arrays], None]) -> tuple[Arrays, Arrays]:
    a, b = Arrays(), Arrays()
    for layer in range(LAYERS):
        make(str(layer), a, b)
    return a, b


def prefix(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
    """`module.` before every name, and norms that are all one."""
    a = {f"fc.{i}.weight": drawn(draw, 8, 6) for i in range(3)} | {"norm.weight": np.ones(6)}
    return a, {f"module.{name}": value for name, value in a.items()}


def names(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
    """llama.cpp's names for Hugging Face's."""

    def layer(i: str, a: Arrays, b: Arrays) -> None:
        for own, other in (("mlp.up_proj", "ffn_up"), ("mlp.gate_proj", "ffn_gate")):
            a[f"model.layers.{i}.{own}.weight"] = drawn(draw, 48, WIDTH)
            b[f"blk.{i}.{other}.weight"] = a[f"model.layers.{i}.{own}.weight"]
        for own, other in (("input_layernorm", "attn_norm"), ("post_norm", "ffn_norm")):
            a[f"model.layers.{i}.{own}.weight"] = 1 + drawn(draw, WIDTH) / 16
            b[f"blk.{i}.{other}.weight"] = a[f"model.layers.{i}.{own}.weight"]

    return _layers(layer)


def conv1d(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
    """GPT-2's Conv1D against Linear: two of another shape, one square."""

    def layer(i: str, a: Arrays, b: Arrays) -> None:
        for name, rows in (("c_fc", 4 * WIDTH), ("c_proj", WIDTH)):
            a[f"h.{i}.{name}.weight"] = drawn(draw, rows, WIDTH)
            b[f"h.{i}.{name}.weight"] = np.ascontiguousarray(a[f"h.{i}.{name}.weight"].T)
            a[f"h.{i}.{name}.bias"] = b[f"h.{i}.{name}.bias"] = drawn(draw, rows)

    return _layers(layer)


def meta_rows(weight: np.ndarray, heads: int) -> np.ndarray:
    """Hugging Face's rows of queries in Meta's order: the inverse of permute in its converter."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.transpose(0, 2, 1, 3)).reshape(rows, columns)


def rotary(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
    """Queries in pairs, keys of half as many heads, values as they are; other names too."""

    def layer(i: str, a: Arrays, b: Arrays) -> None:
        for own, other, heads in (("q_proj", "wq", HEADS), ("k_proj", "wk", HEADS // 2)):
            a[f"layers.{i}.{own}.weight"] = drawn(draw, heads * 8, WIDTH)
            b[f"layers.{i}.{other}.weight"] = meta_rows(a[f"layers.{i}.{own}.weight"], heads)
        a[f"layers.{i}.v_proj.weight"] = drawn(draw, WIDTH, WIDTH)
        b[f"layers.{i}.wv.weight"] = a[f"layers.{i}.v_proj.weight"]

    return _layers(layer)


def rotary_back(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
    """One name on both sides, and b in halves where a has pairs."""
    a, b = rotary(draw)
    names_of = dict(zip(b, a, strict=True))
    return {names_of[name]: value for name, value in b.items()}, a


def norms(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
    """Gemma's norms, stored as w in a and as w + 1 in b."""

    def layer(i: str, a: Arrays, b: Arrays) -> None:
        a[f"layers.{i}.norm.weight"] = drawn(draw, WIDTH) / 4
        b[f"layers.{i}.norm.weight"] = 1 + a[f"layers.{i}.norm.weight"]
        a[f"layers.{i}.fc.weight"] = b[f"layers.{i}.fc.weight"] = drawn(draw, 8, 6)

    return _layers(layer)


def _qkv(draw: np.random.Generator, i: str, a: Arrays, rows: tuple[int, int, int]) -> list[str]:
    parts = [f"layers.{i}.attn.{name}_proj" for name in "qkv"]
    for part, count in zip(parts, rows, strict=True):
        a[f"{part}.weight"], a[f"{part}.bias"] = drawn(draw, count, WIDTH), drawn(draw, count)
    return parts


def grouped_query(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
    """phi3's qkv_proj and gate_up_proj: one after the other, keys of fewer heads."""

    def layer(i: str, a: Arrays, b: Arrays) -> None:
        parts = _qkv(draw, i, a, (WIDTH, 8, 8))
        for kind in ("weight", "bias"):
            b[f"layers.{i}.attn.qkv_proj.{kind}"] = np.concatenate(
                [a[f"{part}.{kind}"] for part in parts]
            )
        halves = [drawn(draw, 48, WIDTH) for _ in range(2)]
        a[f"layers.{i}.mlp.gate_proj.weight"], a[f"layers.{i}.mlp.up_proj.weight"] = halves
        b[f"layers.{i}.mlp.gate_up_proj.weight"] = np.concatenate(halves)

    return _layers(layer)


def by_head(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
    """GPT-NeoX: query, key and value of each head in turn."""

    def layer(i: str, a: Arrays, b: Arrays) -> None:
        parts = _qkv(draw, i, a, (WIDTH, WIDTH, WIDTH))
        for kind in ("weight", "bias"):
            heads = [a[f"{part}.{kind}"].reshape(HEADS, -1) for part in parts]
            shape = (3 * WIDTH, WIDTH)[: 2 if kind == "weight" else 1]
            fused = np.stack([head.reshape(HEADS, 8, -1) for head in heads], axis=1)
            b[f"layers.{i}.attn.query_key_value.{kind}"] = fused.reshape(shape)

    return _layers(layer)


def by_group(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
    """InternLM2: the queries of a key's group, then the key, then the value."""

    def layer(i: str, a: Arrays, b: Arrays) -> None:
        parts = _qkv(draw, i, a, (WIDTH, 16, 16))
        for kind in ("weight", "bias"):
            groups = [np.split(a[f"{part}.{kind}"], 2) for part in parts]
            b[f"layers.{i}.attn.wqkv.{kind}"] = np.concatenate(
                [group[g] for g in range(2) for group in groups]
            )

    return _layers(layer)


def conv1d_fused(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
    """GPT-2's c_attn: query, key and value, and all of it transposed."""

    def layer(i: str, a: Arrays, b: Arrays) -> None:
        parts = _qkv(draw, i, a, (WIDTH, WIDTH, WIDTH))
        weights = [a[f"{part}.weight"] for part in parts]
        b[f"layers.{i}.attn.c_attn.weight"] = np.ascontiguousarray(np.concatenate(weights).T)
        b[f"layers.{i}.attn.c_attn.bias"] = np.concatenate([a[f"{p}.bias"] for p in parts])

    return _layers(layer)


def experts(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
    """Mixtral's experts, and the three-axis tensors that newer files stack them in."""

    def layer(i: str, a: Arrays, b: Arrays) -> None:
        own = {name: drawn(draw, EXPERTS, 24, WIDTH) for name in ("w1", "w3")}
        own["w2"] = drawn(draw, EXPERTS, WIDTH, 24)
        for name, stack in own.items():
            for e in range(EXPERTS):
                a[f"layers.{i}.moe.experts.{e}.{name}.weight"] = stack[e]
        both = np.concatenate([own["w1"], own["w3"]], axis=1)
        b[f"layers.{i}.mlp.experts.gate_up_proj"] = both
        b[f"layers.{i}.mlp.experts.down_proj"] = own["w2"]

    return _layers(layer)


def turned_experts(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
    """The same as gpt-oss stacks them: transposed, a row of gate beside one of up."""

    def layer(i: str, a: Arrays, b: Arrays) -> None:
        gate, up = drawn(draw, EXPERTS, 24, WIDTH), drawn(draw, EXPERTS, 24, WIDTH)
        for e in range(EXPERTS):
            a[f"layers.{i}.experts.{e}.gate_proj.weight"] = gate[e]
            a[f"layers.{i}.experts.{e}.up_proj.weight"] = up[e]
        both = np.stack([gate, up], axis=2).reshape(EXPERTS, 48, WIDTH)
        b[f"layers.{i}.mlp.experts.gate_up_proj"] = np.ascontiguousarray(both.transpose(0, 2, 1))

    return _layers(layer)


def tied(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
    """A head that only a stores."""
    a = {"embed_tokens.weight": drawn(draw, 40, 8), "fc.weight": drawn(draw, 8, 8)}
    return {**a, "lm_head.weight": a["embed_tokens.weight"].copy()}, dict(a)


def swapped(
    make: Callable[[np.random.Generator], tuple[Arrays, Arrays]],
) -> Callable[[np.random.Generator], tuple[Arrays, Arrays]]:
    """The same two files, the other one as the reference."""

    def made(draw: np.random.Generator) -> tuple[Arrays, Arrays]:
        a, b = make(draw)
        return b, a

    return made


CASES = (
    Case("a prefix", "prefix", prefix, ("from module.fc.0.weight",)),
    Case("other names", "renamed", names, ("from blk.0.ffn_up.weight",)),
    Case("Conv1D", "transposed", conv1d, ("transposed",)),
    Case("rotary, pairs in b", "rotary", rotary, ("rotary permutation, 4 heads", "from ")),
    Case("rotary, halves in b", "rotary", rotary_back, ("rotary permutation, 2 heads",)),
    Case("norms + 1 in b", "norm plus one", norms, ("stored as w + 1",)),
    Case("norms + 1 in a", "norm plus one", swapped(norms), ("stored as w - 1",)),
    Case("grouped queries", "split", grouped_query, ("split: rows 32:40 of layers.0",)),
    Case("by head", "split", by_head, ("split: rows 8:16 of each of 4 groups",)),
    Case("by group", "split", by_group, ("split: rows 16:24 of each of 2 groups",)),
    Case("Conv1D fused", "split", conv1d_fused, ("split: rows 32:64 of layers.0",)),
    Case("experts", "split", experts, ("split: rows 24:48 of expert 3 of layers.0",)),
    Case("experts turned", "split", turned_experts, ("split: rows 1:2 of each of 24 groups",)),
    Case("queries joined", "joined", swapped(grouped_query), ("joined: q_proj, k_proj, v_proj",)),
    Case("heads joined", "joined", swapped(by_head), ("joined: q_proj",)),
    Case("groups joined", "joined", swapped(by_group), ("joined: q_proj",)),
    Case("Conv1D joined", "joined", swapped(conv1d_fused), ("joined: q_proj",)),
    Case("experts joined", "joined", swapped(experts), ("joined: w1, w3 of 4 experts",)),
    Case("experts joined, turned", "joined", swapped(turned_experts), ("joined: gate_proj",)),
    Case("a head tied in b", "tied head", tied, ("tied to embed_tokens.weight",)),
)
