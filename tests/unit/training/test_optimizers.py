"""Every optimiser that a comparison can name moves a network, and is what its settings say."""

import pytest
import torch
from torch import nn

from netdistance.optim import LAMB, LARS, Fromage
from netdistance.training.models import mlp
from netdistance.training.optimizers import OPTIMIZERS, find_optimizer

NAMES = [choice.name for choice in OPTIMIZERS]


def test_the_names():
    assert NAMES == ["fromage", "lars", "lamb", "sgd", "adamw", "muon"]
    assert all(choice.settings for choice in OPTIMIZERS)


def a_step(name, model, lr=0.01):
    optimizers = find_optimizer(name).build(model.parameters(), lr)
    model(torch.linspace(-1.0, 1.0, 12).reshape(6, 2)).square().mean().backward()
    for optimizer in optimizers:
        optimizer.step()
    return optimizers


@pytest.mark.parametrize("name", NAMES)
def test_each_moves_every_parameter(name):
    model = mlp(inputs=2, outputs=1, depth=2, width=8, seed=0)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizers = a_step(name, model)
    for old, new in zip(before, model.parameters(), strict=True):
        assert not torch.equal(old, new)
        assert bool(new.isfinite().all())
    for optimizer in optimizers:
        optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_muon_has_the_matrices_and_adamw_the_rest_with_the_same_lr():
    model = mlp(inputs=2, outputs=1, depth=2, width=8, seed=0)
    muon, adamw = find_optimizer("muon").build(model.parameters(), 0.02)
    assert isinstance(muon, torch.optim.Muon)
    assert isinstance(adamw, torch.optim.AdamW)
    for optimizer, kind in ((muon, "weight"), (adamw, "bias")):
        (group,) = optimizer.param_groups
        own = [p for name, p in model.named_parameters() if name.endswith(kind)]
        assert [id(p) for p in group["params"]] == [id(p) for p in own]
        assert group["lr"] == 0.02
    assert (muon.param_groups[0]["weight_decay"], muon.param_groups[0]["momentum"]) == (0.1, 0.95)
    assert adamw.param_groups[0]["weight_decay"] == 0.01


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        (nn.Linear(2, 3, bias=False), [torch.optim.Muon]),
        (nn.PReLU(), [torch.optim.AdamW]),
    ],
    ids=["matrices", "no matrix"],
)
def test_muon_without_a_rest_or_without_a_matrix(model, kinds):
    assert [type(optimizer) for optimizer in a_step("muon", model)] == kinds


@pytest.mark.parametrize(("name", "kind"), [("fromage", Fromage), ("lars", LARS), ("lamb", LAMB)])
def test_the_package_s_own(name, kind):
    (optimizer,) = find_optimizer(name).build(nn.Linear(2, 3).parameters(), 0.02)
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["lr"] == 0.02
