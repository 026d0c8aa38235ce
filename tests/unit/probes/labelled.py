"""Small labelled problems: a network, its weights and a mean loss to move them under."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netdistance.networks.load import Network
from netdistance.probes.mean_loss import MeanLoss
from netdistance.probes.minimum_width import Minimum
from netdistance.report.width_rows import Criterion


def loss_of(
    module: nn.Module, state: dict[str, Tensor], inputs: Tensor, targets: Tensor, size: int = 7
) -> MeanLoss:
    """The mean loss of a module with these weights; batches of 7, which divide nothing."""
    module = module.eval().requires_grad_(False)
    network = Network(module.to(inputs.dtype), "test", torch.device("cpu"))
    return MeanLoss.of(network, state, inputs, targets, batch_size=size)


def relu_problem(
    *, bias: bool = False, dtype: torch.dtype = torch.float64, factors: tuple[float, ...] = ()
) -> MeanLoss:
    """4-6-5-3 with ReLU on 20 points, labelled as it answers but for two of them.

    `factors` multiply the weights one after another.
    """
    module = nn.Sequential(
        nn.Linear(4, 6, bias=bias), nn.ReLU(), nn.Linear(6, 5, bias=bias), nn.ReLU(),
        nn.Linear(5, 3, bias=bias),
    ).to(dtype)  # fmt: skip
    generator = torch.Generator().manual_seed(3)
    state = {}
    for name, own in module.state_dict().items():
        state[name] = torch.randn(own.shape, generator=generator, dtype=torch.float64).to(dtype)
    inputs = torch.randn((20, 4), generator=generator, dtype=torch.float64).to(dtype)
    module.load_state_dict(state)
    targets = module(inputs).argmax(1)
    targets[:2] = (targets[:2] + 1) % 3
    for name, factor in zip([n for n in state if n.endswith("weight")], factors, strict=False):
        state[name] = state[name] * factor
    return loss_of(module, state, inputs, targets)


def linear_problem() -> MeanLoss:
    """One point, two classes, one matrix: loss log(1 + exp(-m)), m the margin of the label."""
    module = nn.Linear(3, 2, bias=False).double()
    weight = torch.tensor([[1.0, 0.5, -0.5], [-0.5, 0.25, 0.5]], dtype=torch.float64)
    point = torch.tensor([[1.0, 2.0, 0.5]], dtype=torch.float64)
    return loss_of(module, {"weight": weight}, point, torch.tensor([0]))


def minimum_of(loss: MeanLoss, tolerance: float = 0.1, criterion: Criterion = "loss") -> Minimum:
    """The minimum with a criterion."""
    return Minimum.of(loss, criterion, tolerance)
