"""The constants of activations, against a dense search for a steeper slope."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from netdistance.networks.rules.activation import ACTIVATIONS
from netdistance.networks.rules.base import Edge

# slopes between neighbours round
ROUNDING = 1e-7
SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "gelu": ({}, {"approximate": "tanh"}),
    "leaky_relu": ({}, {"negative_slope": -0.5}, {"negative_slope": 3.0}),
    "elu": ({}, {"alpha": 2.5}, {"alpha": -1.5}),
    "celu": ({}, {"alpha": 0.2}, {"alpha": 3.0}),
    "hardtanh": ({}, {"min_val": -3.0, "max_val": 0.5}),
    "clamp": ({"min": -1.0}, {"min": 1.0, "max": -1.0}),
    "clip": ({"max": 1.0},),
    "softshrink": ({}, {"lambd": 2.0}),
    "softplus": ({}, {"beta": 3.0}, {"beta": 0.5}),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_no_slope_exceeds_an_activations_constant(name: str) -> None:
    entry = ACTIVATIONS[name]
    fine = torch.linspace(-24.0, 24.0, 2_400_001, dtype=torch.float64)
    spelled = (functional, torch, torch.special)
    function = next(getattr(place, name) for place in spelled if hasattr(place, name))
    for settings in SETTINGS.get(name, ({},)):
        constant = entry.constant(**entry.settings | settings)
        assert constant is not None
        for x in (fine, 1e-3 * fine, 100.0 * fine):
            values = function(x, **settings)
            allowed = constant * x.diff() * (1.0 + ROUNDING) + 1e-14 * values.abs().amax()
            # torch's softplus drops by log1p(exp(-20)) / beta at its threshold
            jump = 3e-9 / settings.get("beta", 1.0) if name == "softplus" else 0.0
            assert bool((values.diff().abs() <= allowed + jump).all())
        steepest = float((function(fine, **settings).diff() / fine.diff()).abs().max())
        assert settings.get("min", -9) > settings.get("max", 9) or steepest >= 0.999 * constant


def test_softplus_jumps_at_its_threshold_only() -> None:
    """At x = 0.1 / 2 torch's softplus falls by log1p(exp(-0.1)) / 2, however small the step."""
    entry, settings = ACTIVATIONS["softplus"], {"beta": 2.0, "threshold": 0.1}
    x, step = torch.tensor([[0.05, 1.0, -1.0]], dtype=torch.float64), 1e-6
    moved = functional.softplus(x + step, 2.0, 0.1) - functional.softplus(x, 2.0, 0.1)
    assert entry.jump is not None
    jumps = [
        float(entry.jump(Edge(values, torch.full((1,), step, dtype=torch.float64)), **settings))
        for values in (x, x + 0.01)
    ]
    assert float(moved.abs().max()) > 0.3
    assert float(moved.norm()) <= 2.0 * step + jumps[0] <= 1.001 * float(moved.norm())
    assert jumps[1] == 0.0
