"""Conversions of models that transformers makes, against what its own modules compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from netdistance import CompareOptions, compare
from netdistance.report.document import Report
from tests.cli.invoke import invoke

State = dict[str, torch.Tensor]
SIZES: dict[str, Any] = {
    "vocab_size": 48, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0,
}  # fmt: skip


def drawn_like(module: nn.Module) -> State:
    """Its state with every number drawn: fresh norms are all one, which tells nothing."""
    draw = torch.Generator().manual_seed(0)
    return {n: torch.randn(t.shape, generator=draw) for n, t in module.state_dict().items()}


def compared(a: State, b: State) -> Report:
    return compare(a, b, CompareOptions(conversions=True))


def assert_all_identical(report: Report, tensors: int) -> None:
    account = report.pairing
    assert account is not None
    assert (account.only_a, account.only_b, account.reshaped, account.ambiguous) == ((),) * 4
    assert (account.compared, account.identical) == (tensors, tensors)


def test_gpt2_with_linear_layers() -> None:
    from transformers import GPT2Config, GPT2Model

    sizes = {"vocab_size": 48, "n_positions": 16, "n_embd": 32, "n_layer": 2, "n_head": 4}
    stored = drawn_like(GPT2Model(GPT2Config(**sizes)))
    linear: State = {}
    for name, value in stored.items():
        if "c_attn" in name:
            parts = value.split(32, dim=-1)
            for part, own in zip(parts, ("q_proj", "k_proj", "v_proj"), strict=True):
                linear[name.replace("c_attn", own)] = part.T if part.ndim == 2 else part
        else:
            is_conv1d = ".c_" in name and value.ndim == 2
            linear[name] = value.T.contiguous() if is_conv1d else value
    linear = {name: value.contiguous() for name, value in linear.items()}
    assert_all_identical(compared(linear, stored), len(linear))
    assert_all_identical(compared(stored, linear), len(stored))


def test_phi3_against_llama_under_another_prefix() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

    fused = drawn_like(Phi3ForCausalLM(Phi3Config(**SIZES)))
    split: State = {}
    for name, value in fused.items():
        if "qkv_proj" in name:
            parts = dict(zip("qkv", value.split([32, 16, 16]), strict=True))
            split |= {name.replace("qkv", key): part.clone() for key, part in parts.items()}
        elif "gate_up_proj" in name:
            gate, up = value.chunk(2)
            split[name.replace("gate_up", "gate")] = gate.clone()
            split[name.replace("gate_up", "up")] = up.clone()
        else:
            split[name] = value
    assert split.keys() == LlamaForCausalLM(LlamaConfig(**SIZES)).state_dict().keys()
    assert_all_identical(compared(split, fused), len(split))
    wrapped = {f"module.{name}": value for name, value in fused.items()}
    assert_all_identical(compared(split, wrapped), len(split))


def test_mixtral_with_an_expert_to_a_tensor() -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    sizes = SIZES | {"num_local_experts": 4, "num_experts_per_tok": 2}
    stacked = drawn_like(MixtralForCausalLM(MixtralConfig(**sizes)))
    split: State = {}
    for name, value in stacked.items():
        if not name.endswith(("gate_up_proj", "down_proj")):
            split[name] = value
            continue
        where = name.rpartition(".")[0]
        for number, expert in enumerate(value):
            named = {"w2": expert}
            if name.endswith("gate_up_proj"):
                named = dict(zip(("w1", "w3"), expert.chunk(2), strict=True))
            for own, weight in named.items():
                split[f"{where}.{number}.{own}.weight"] = weight.clone()
    assert len(split) > len(stacked)
    assert_all_identical(compared(split, stacked), len(split))
    assert_all_identical(compared(stacked, split), len(stacked))


def llama_cpp(state: State) -> State:
    """Names and rows as convert_hf_to_gguf.py writes them; its permute is typed from there."""

    def permute(weight: torch.Tensor, heads: int) -> torch.Tensor:
        halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
        return halves.swapaxes(1, 2).reshape(weight.shape)

    names = {
        "model.layers.": "blk.", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
        "post_attention_layernorm": "ffn_norm", "input_layernorm": "attn_norm",
        "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    }  # fmt: skip
    written: State = {}
    for name, value in state.items():
        heads = 4 if "q_proj" in name else 2 if "k_proj" in name else 0
        for old, new in names.items():
            name = name.replace(old, new)
        written[name] = permute(value, heads) if heads else value
    return written


def test_llama_as_llama_cpp_has_it() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    state = drawn_like(LlamaForCausalLM(LlamaConfig(**SIZES)))
    report = compared(state, llama_cpp(state))
    assert_all_identical(report, len(state))
    told = {row.name: row.transform for row in report.tensors}
    assert told["model.layers.1.self_attn.q_proj.weight"] == (
        "rotary permutation, 4 heads stored in pairs, from blk.1.attn_q.weight"
    )


@pytest.mark.parametrize("conversions", [True, False])
def test_the_outputs_of_a_converted_file_are_those_of_the_original(
    tmp_path: Path, conversions: bool
) -> None:
    draw = np.random.default_rng(0)
    weights = [torch.tensor(draw.standard_normal((8, 8)), dtype=torch.float32) for _ in range(2)]
    a = {f"{i}.weight": weight for i, weight in zip((0, 2), weights, strict=True)}
    save_file(a, tmp_path / "a.safetensors")
    save_file(
        {f"module.{name}": weight.T.contiguous() for name, weight in a.items()},
        tmp_path / "b.safetensors",
    )
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    layers = [nn.Linear(8, 8, bias=False) for _ in range(2)]\n"
        "    return nn.Sequential(layers[0], nn.ReLU(), layers[1])\n"
    )
    np.save(tmp_path / "x.npy", draw.standard_normal((4, 8)).astype(np.float32))
    outcome = invoke(
        "compare", tmp_path / "a.safetensors", tmp_path / "b.safetensors",
        "--model", f"{tmp_path / 'net.py'}:build", "--inputs", tmp_path / "x.npy",
        *(["--conversions"] if conversions else []),
    )  # fmt: skip
    if conversions:
        assert (outcome.code, outcome.err) == (0, "")
        assert "The outputs move by 0%" in outcome.out
        assert "2 tensors of b matched by conversion: 2 transposed." in outcome.out
    else:
        assert outcome.code == 4
        assert "--strip-prefix 'module.'" in outcome.err
