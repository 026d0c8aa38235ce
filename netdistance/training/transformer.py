"""A small causal transformer over tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the name that torch's own documents use

from netdistance.training.initial import RELU_GAIN, LayerMaker

_HEAD_WIDTH = 16  # or more: as many heads as that allows


class Transformer(nn.Module):
    """Blocks of causal attention and an MLP, each added to its input, normalised before.

    Pre-LayerNorm (Xiong et al. 2020, arXiv 2002.04745), a GELU MLP four times as wide, learned
    positions, no dropout. Tokens (N, T) give (N, T, outputs) where `per_token`, and the last
    token's (N, outputs) otherwise.
    """

    def __init__(
        self,
        make: LayerMaker,
        *,
        vocabulary: int,
        context: int,
        depth: int,
        width: int,
        outputs: int,
        per_token: bool,
    ) -> None:
        super().__init__()
        self.per_token = per_token
        self.tokens = make.embedding(vocabulary, width)
        self.positions = make.embedding(context, width)
        self.blocks = nn.Sequential(*(_Block(make, width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = make.linear(width, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits: each place's are those of its own token and the ones before it."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        seen = self.blocks(self.tokens(tokens) + self.positions(places))
        logits: Tensor = self.head(self.norm(seen if self.per_token else seen[:, -1]))
        return logits


class _Block(nn.Module):
    def __init__(self, make: LayerMaker, width: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = _Attention(make, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            make.linear(width, 4 * width, gain=RELU_GAIN),
            nn.GELU(),
            make.linear(4 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        added: Tensor = x + self.mlp(self.mlp_norm(x))
        return added


class _Attention(nn.Module):
    def __init__(self, make: LayerMaker, width: int) -> None:
        super().__init__()
        self.heads = head_count(width)
        self.query_key_value = make.linear(width, 3 * width)
        self.out = make.linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        split = self.query_key_value(x).unflatten(-1, (3, self.heads, -1))  # (N, T, 3, heads, d)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (N, heads, T, d)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


def head_count(width: int) -> int:
    """The largest number of heads of at least 16 that divides the width; 1 below 32.

    >>> [head_count(width) for width in (8, 32, 50, 64)]
    [1, 2, 2, 4]
    """
    most = max(1, width // _HEAD_WIDTH)
    return next(heads for heads in range(most, 0, -1) if width % heads == 0)
