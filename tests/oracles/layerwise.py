"""Fromage, LARS and LAMB typed from their papers, in float64."""

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


def lars_loop(weight, gradients, lr, *, momentum, weight_decay):
    """LARS typed from arXiv 1708.03888, Algorithm 1, in float64; lr is gamma times eta there."""
    weight = np.asarray(weight, dtype=np.float64)
    velocity = np.zeros_like(weight)
    for gradient in np.asarray(gradients, dtype=np.float64):
        norm = np.linalg.norm(weight.ravel())
        local = norm / (np.linalg.norm(gradient.ravel()) + weight_decay * norm)
        velocity = momentum * velocity + lr * local * (gradient + weight_decay * weight)
        weight = weight - velocity
    return weight


def lamb_loop(weight, gradients, lr, *, betas, eps, weight_decay, clamp=None):
    """LAMB typed from arXiv 1904.00962, Algorithm 2, in float64."""
    weight = np.asarray(weight, dtype=np.float64)
    first, second = np.zeros_like(weight), np.zeros_like(weight)
    for t, gradient in enumerate(np.asarray(gradients, dtype=np.float64), start=1):
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        ratio = first / (1 - betas[0] ** t) / (np.sqrt(second / (1 - betas[1] ** t)) + eps)
        update = ratio + weight_decay * weight
        phi = np.linalg.norm(weight.ravel())
        phi = phi if clamp is None else np.clip(phi, *clamp)
        weight = weight - lr * phi / np.linalg.norm(update.ravel()) * update
    return weight
