"""Networks that run and cannot be differentiated: perturb reports what needs no gradient."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import netdistance
from netdistance import PerturbOptions, Skipped
from netdistance.quantities import Estimate, Interval
from tests.cli.invoke import invoke

X = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


class _OneWay(torch.autograd.Function):
    """tanh that no one wrote a backward for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.tanh()


class OneWay(nn.Module):
    """A kind of forward that gives no gradient, between two layers."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.a, self.b = kind, nn.Linear(6, 6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "no_grad":
            with torch.no_grad():
                return self.scores(x)
        if self.kind == "inference":
            with torch.inference_mode():
                return self.scores(x)
        if self.kind == "in place":
            self.a.weight.clamp_(-9.0, 9.0)
        return self.scores(x)

    def scores(self, x: Tensor) -> Tensor:
        h = self.a(x)
        middle = _OneWay.apply(h) if self.kind == "custom" else h.relu()
        out: Tensor = self.b(middle)
        return out


REASONS = {
    "no_grad": "the forward gives no gradient",
    "inference": "the forward gives no gradient",
    "in place": "the forward fails with a gradient: .*in-place",
    "custom": "the backward fails: NotImplementedError",
}


@pytest.mark.parametrize("kind", REASONS)
def test_what_needs_a_gradient_is_skipped_and_the_rest_is_there(kind: str) -> None:
    module = OneWay(kind)
    options = PerturbOptions(model=module, inputs=X, draws=3, certify=2, noise=("0.1",))
    report = netdistance.perturb(module, options)
    for place in report.sweep or ():
        bounds = {row.name: row for row in place.bounds}
        assert isinstance(place.deviation.mean, Estimate) and place.deviation.mean.value > 0.0
        estimates = [bounds[f"first_order_{kind}"].value for kind in ("rms", "worst")]
        for quantity in (place.attack, *estimates):
            assert isinstance(quantity, Skipped)
            assert re.search(REASONS[kind], quantity.reason)
        assert isinstance(bounds["ball_certificate"].measured, netdistance.Exact)
        if kind == "no_grad":
            assert isinstance(bounds["ball_certificate"].value, Interval)
    assert "worst found skipped: the " in netdistance.render_text(report)
    assert netdistance.render_fragment(report)


def build() -> nn.Module:
    return OneWay("custom")


def test_the_command_reports(tmp_path: Path) -> None:
    torch.save(build().state_dict(), tmp_path / "a.pt")
    np.save(tmp_path / "x.npy", X.numpy())
    words = ("--model", f"{__name__}:build", "--inputs", tmp_path / "x.npy", "--draws", "2")
    figure = tmp_path / "f.svg"
    outcome = invoke("perturb", tmp_path / "a.pt", *words, "--plot", figure)
    assert outcome.code == 0, outcome.err
    assert "estimated skipped: the backward fails" in outcome.out
