"""Names and layouts of GGUF, undone: the Hugging Face names that a converter replaced.

Sources: gguf's `TensorNameMap`, and `convert_hf_to_gguf.py` of llama.cpp for what it does to the
numbers: the llama architecture permutes the rows of q and k within each head, and the Gemma ones
add 1 to the weights of their norms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_BLOCK = re.compile(r"blk\.(\d+)\.(.+)")
_SHOWN = 5

_DECODER = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_LLAMA = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_GEMMA_2 = {
    **_LLAMA,
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_PHI_3 = {**_LLAMA, "attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"}
_BERT_TOP = {
    "token_embd": "embeddings.word_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "position_embd": "embeddings.position_embeddings",
    "token_embd_norm": "embeddings.LayerNorm",
}
_BERT = {
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
}


@dataclass(frozen=True, slots=True)
class _Architecture:
    """Names outside the blocks, where blocks are, and names in them."""

    top: Mapping[str, str]
    block: str
    inner: Mapping[str, str]
    permutes: bool = False  # rows of q and k
    adds_one: bool = False  # to the weights of norms


ARCHITECTURES: Mapping[str, _Architecture] = {
    "llama": _Architecture(_DECODER, "model.layers", _LLAMA, permutes=True),
    "qwen2": _Architecture(_DECODER, "model.layers", _LLAMA),
    "qwen3": _Architecture(_DECODER, "model.layers", _LLAMA),
    "gemma": _Architecture(_DECODER, "model.layers", _LLAMA, adds_one=True),
    "gemma2": _Architecture(_DECODER, "model.layers", _GEMMA_2, adds_one=True),
    "gemma3": _Architecture(_DECODER, "model.layers", _GEMMA_2, adds_one=True),
    "phi3": _Architecture(_DECODER, "model.layers", _PHI_3),
    "bert": _Architecture(_BERT_TOP, "encoder.layer", _BERT),
}


@dataclass(frozen=True, slots=True)
class Change:
    """What a converter did to a tensor beside naming it; `problem` says why it cannot be undone."""

    heads: int = 0  # whose rows were permuted, 0 where none
    added: int = 0
    problem: str | None = None

    @property
    def undone(self) -> str:
        """How a report says that it was undone."""
        if self.heads:
            return f"rows of {self.heads} heads put back in Hugging Face's order"
        return "less the 1 that the converter added"


class Names:
    """What the tensors of one file are called, and what was done to them."""

    def __init__(self, metadata: Mapping[str, Any], names: Sequence[str]) -> None:
        """From the metadata of the file and its names, in its order."""
        self._metadata = metadata
        self._called = str(metadata.get("general.architecture"))
        self._known = ARCHITECTURES.get(self._called)
        wanted = {name: _translated(name, self._known) for name in names}
        taken = set(names)
        # a name that stands in the file already, or that two would have, is no translation
        self._new = {}
        for name, new in wanted.items():
            if new is not None and new not in taken:
                self._new[name] = new
                taken.add(new)
        self._old = {new: name for name, new in self._new.items()}
        self.notes = self._notes(names)

    def _notes(self, names: Sequence[str]) -> tuple[str, ...]:
        if self._known is None:
            return (f"names are GGUF's own: architecture {self._called!r} has no table of names",)
        kept = [name for name in names if name not in self._new]
        note = f"names of GGUF's {self._called!r} are given as Hugging Face's"
        if kept:
            more = f" and {len(kept) - _SHOWN} more" if len(kept) > _SHOWN else ""
            note += f", but for {', '.join(kept[:_SHOWN])}{more}"
        return (note,)

    def of(self, name: str) -> str:
        """The Hugging Face name of a tensor of the file, or its own."""
        return self._new.get(name, name)

    def change(self, new: str, shape: tuple[int, ...]) -> Change | None:
        """What was done to the tensor of this Hugging Face name and shape, None where nothing."""
        name, known = self._old.get(new), self._known
        if name is None or known is None:
            return None
        inner = name.rsplit(".", 1)[0].rsplit(".", 1)[-1]
        if known.adds_one and name.endswith("norm.weight"):
            return Change(added=1)
        if known.permutes and inner in ("attn_q", "attn_k"):
            return self._permuted(inner, shape)
        return None

    def _permuted(self, inner: str, shape: tuple[int, ...]) -> Change:
        key = f"{self._called}.attention.head_count"
        heads = self._metadata.get(key)
        if inner == "attn_k":
            heads = self._metadata.get(f"{key}_kv", heads)
        if type(heads) is not int or heads < 1:
            return Change(problem=f"its rows are permuted by heads, and {key} is not a count")
        if not shape or shape[0] % (2 * heads):
            return Change(
                problem=f"its rows are permuted by {heads} heads, and its shape is {shape}"
            )
        return Change(heads=heads)


def _translated(name: str, known: _Architecture | None) -> str | None:
    """The Hugging Face name, None where there is none."""
    if known is None:
        return None
    stem, _, leaf = name.rpartition(".")
    match = _BLOCK.fullmatch(stem)
    if leaf not in ("weight", "bias"):
        return None
    if match is None:
        return f"{known.top[stem]}.{leaf}" if stem in known.top else None
    if match[2] not in known.inner:
        return None
    return f"{known.block}.{match[1]}.{known.inner[match[2]]}.{leaf}"
