"""One step of Fromage typed from the paper, in float64."""

import math

import numpy as np
import torch
from torch import nn


def formula(weight, gradient, lr, *, correction=True):
    """W <- (W - eta |W|_F/|g|_F g) / sqrt(1 + eta^2): arXiv 2002.03432, Algorithm 1."""
    weight = np.asarray(weight, dtype=np.float64)
    gradient = np.asarray(gradient, dtype=np.float64)
    norms = math.sqrt((weight**2).sum()) / math.sqrt((gradient**2).sum())
    moved = weight - lr * norms * gradient
    return moved / math.sqrt(1.0 + lr**2) if correction else moved


def parameter(values, gradient, dtype=torch.float64):
    result = nn.Parameter(torch.as_tensor(values).to(dtype))
    result.grad = torch.as_tensor(gradient).to(dtype)
    return result


def random_pair(*shape, seed=0, scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    return parameter(
        weight, scale * torch.randn(shape, generator=generator, dtype=torch.float64), dtype
    )
