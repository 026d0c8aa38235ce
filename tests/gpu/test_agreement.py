"""CUDA gives what the CPU gives, within the error budget of each element type.

The same checks run from CPU to CPU, where nothing may differ: they show that the tests can pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from netdistance import CompareOptions, PerturbOptions, compare, demo, perturb
from netdistance.report.document import Report, to_document

# relative to the largest number of its kind: inference in another order of sums rounds otherwise
BUDGET = {"float64": 1e-10, "float32": 1e-3, "bfloat16": 0.2}
CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is available"),
    ],
)
over_devices = pytest.mark.parametrize("device", ["cpu", CUDA])


def inputs() -> np.ndarray:
    points: np.ndarray = np.load(demo.POINTS)[::10]
    return points


def numbers(value: Any, place: str = "") -> Mapping[str, float]:
    """Every number of a document that is a result, by its place."""
    if isinstance(value, Mapping):
        parts = [numbers(v, f"{place}.{k}") for k, v in value.items() if k != "provenance"]
    elif isinstance(value, list):
        parts = [numbers(v, f"{place}[{i}]") for i, v in enumerate(value)]
    else:
        found = isinstance(value, int | float) and not isinstance(value, bool)
        return {place: float(value)} if found else {}
    return {at: number for part in parts for at, number in part.items()}


def assert_agree(first: Report, second: Report, budget: float) -> None:
    here, there = numbers(to_document(first)), numbers(to_document(second))
    assert here.keys() == there.keys()
    for place, number in here.items():
        if "worst_input" not in place:
            assert there[place] == pytest.approx(number, rel=budget, abs=budget * 1e-2), place


def perturbed(device: str, dtype: str) -> Report:
    options = PerturbOptions(
        model=demo.MODEL, inputs=inputs(), noise=("0.05",), draws=4, certify=4,
        device=device, dtype=dtype,
    )  # fmt: skip
    return perturb(demo.TRAINED, options)


def compared(device: str, dtype: str) -> Report:
    options = CompareOptions(
        model=demo.MODEL, inputs=inputs(), certify=4, device=device, dtype=dtype
    )
    return compare(demo.TRAINED, demo.ROUNDED, options)


@over_devices
@pytest.mark.parametrize("dtype", BUDGET)
@pytest.mark.parametrize("study", [perturbed, compared])
def test_devices_agree(study: Callable[[str, str], Report], dtype: str, device: str) -> None:
    budget = 0.0 if device == "cpu" else BUDGET[dtype]
    assert_agree(study("cpu", dtype), study(device, dtype), budget)


@over_devices
@pytest.mark.parametrize("noise", ["0.1", "int8"])
def test_a_draw_is_the_same_noise_on_every_device(device: str, noise: str) -> None:
    from netdistance.probes.noise import unit_noise
    from netdistance.probes.noise_levels import noise_of

    unit = noise_of(noise).unit
    state = {"w": torch.ones(5, 7), "b": torch.ones(3)}
    here = unit_noise(state, ("w", "b"), unit, seed=3)
    there = unit_noise({n: t.to(device) for n, t in state.items()}, ("w", "b"), unit, seed=3)
    for name, noise in here.items():
        torch.testing.assert_close(there[name].cpu(), noise, rtol=1e-6, atol=0.0)
