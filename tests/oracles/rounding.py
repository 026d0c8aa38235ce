"""Rounding for real, and the nominal error by its definition: slow, one element after another."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

Energy = Callable[[np.ndarray], float]


def bf16_energy(weight: np.ndarray) -> float:
    """sum (2^(e - 7))^2 / 12 over nonzero x in [2^e, 2^(e + 1)): bfloat16 has 8 digits."""
    steps = (2.0 ** (math.frexp(abs(x))[1] - 8) for x in weight.ravel().tolist() if x)
    return math.fsum(step**2 for step in steps) / 12


def fp8_energy(weight: np.ndarray) -> float:
    """e4m3 (OCP 8-bit specification): 3 bits after the leading one, least exponent -6, top 448."""
    scale = float(np.abs(weight).max()) / 448
    exponents = (math.frexp(abs(x) / scale)[1] - 1 for x in weight.ravel().tolist() if x)
    return math.fsum((scale * 2.0 ** (max(e, -6) - 3)) ** 2 for e in exponents) / 12


def grid_energy(weight: np.ndarray, group: int | None, top: int) -> float:
    """Step max / top of each row, or of each group of a row."""
    energies = []
    for row in weight.reshape(weight.shape[0], -1).tolist():
        length = group or max(len(row), 1)
        for start in range(0, len(row), length):
            part = [abs(x) for x in row[start : start + length]]
            energies.append(sum(x > 0 for x in part) * (max(part) / top) ** 2)
    return math.fsum(energies) / 12


ENERGIES: dict[str, Energy] = {
    "rounding_multiple_bf16": bf16_energy,
    "rounding_multiple_fp8": fp8_energy,
    "rounding_multiple_int8": lambda weight: grid_energy(weight, None, 127),
    "rounding_multiple_int4": lambda weight: grid_energy(weight, 128, 7),
}


def rounded(weight: np.ndarray, name: str) -> np.ndarray:
    """The weight rounded to the format for real, by torch's casts or by rint."""
    if name == "rounding_multiple_bf16":
        return torch.from_numpy(weight).bfloat16().float().numpy()
    if name == "rounding_multiple_fp8":
        scale = np.abs(weight).max() / np.float32(448)
        codes = torch.from_numpy(weight / scale).to(torch.float8_e4m3fn)
        return codes.float().numpy() * scale
    group, top = (weight.shape[1], 127) if name.endswith("int8") else (128, 7)
    parts = weight.reshape(-1, group)
    step = np.abs(parts).max(axis=1, keepdims=True) / np.float32(top)
    return (np.rint(parts / step) * step).reshape(weight.shape)


def grid_steps(weight: np.ndarray, name: str) -> np.ndarray:
    """The step of each element in float64: max / 127 of its row, or max / 7 of its group of 128."""
    top = {"int8": 127, "int4": 7}[name]
    steps = []
    for row in weight.reshape(weight.shape[0], -1).tolist():
        length = len(row) if name == "int8" else 128
        for start in range(0, len(row), length):
            part = row[start : start + length]
            steps += [max(map(abs, part)) / top] * len(part)
    return np.array(steps).reshape(weight.shape)


def to_nearest(weight: np.ndarray, name: str) -> np.ndarray:
    """The weight in float64 rounded to the nearest whole number of steps; zeros stay."""
    steps = grid_steps(weight, name)
    codes = np.rint(np.divide(weight, steps, out=np.zeros(weight.shape), where=steps > 0))
    assert float(np.abs(codes).max(initial=0.0)) <= {"int8": 127, "int4": 7}[name]
    return codes * steps
