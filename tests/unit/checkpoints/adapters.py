"""Adapters that peft made, or that look as if it had."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class Tiny(nn.Module):
    """One of each kind of layer that LoRA knows."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.first = nn.Linear(6, 9)
        self.square = nn.Linear(9, 9)
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(9, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.square(self.first(self.embed(x))))


def by_peft(folder: Path, **settings: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Base and merged weights of a trained-looking adapter, which is saved in the folder."""
    from peft import LoraConfig, get_peft_model

    generator = torch.Generator().manual_seed(0)
    model = Tiny()
    for parameter in model.parameters():
        parameter.data.normal_(generator=generator)
    base = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    defaults = {"r": 3, "lora_alpha": 5, "target_modules": ["first", "square", "conv", "embed"]}
    adapted = get_peft_model(model, LoraConfig(**(defaults | settings)))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter.normal_(0, 0.3, generator=generator)
    with warnings.catch_warnings():  # peft takes the bias of B for a matrix that was cut
        warnings.simplefilter("ignore")
        adapted.save_pretrained(folder)
    return base, adapted.merge_and_unload().state_dict()


def write(folder: Path, tensors: dict[str, Tensor], **config: Any) -> Path:
    """An adapter of these tensors, A and B of `l` where none are given."""
    folder.mkdir(exist_ok=True)
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 4} | config
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def pair(module: str, outputs: int, inputs: int, rank: int = 2) -> dict[str, Tensor]:
    """A and B of one linear layer."""
    generator = torch.Generator().manual_seed(0)
    name = f"base_model.model.{module}"
    return {
        f"{name}.lora_A.weight": torch.randn(rank, inputs, generator=generator),
        f"{name}.lora_B.weight": torch.randn(outputs, rank, generator=generator),
    }


def tensors_of(folder: Path) -> dict[str, Tensor]:
    """What the adapter's file holds."""
    return load_file(folder / "adapter_model.safetensors")
