"""How far certificates are above the worst that a search finds, by depth; and the estimate.

Trained ReLU networks of width 128 and balls of relative noise, as in docs/concepts/certificates.md.
A ratio of 1 would be a certificate that is reached. The search gives a lower end of the worst case,
so that a ratio is an upper end of how loose the certificate is.
"""

from __future__ import annotations

import statistics
from itertools import pairwise

import torch
from torch import Tensor, nn

from netdistance.bounds.attack import worst_found
from netdistance.bounds.certificates import Certifier
from netdistance.bounds.estimates import at_level, first_order
from netdistance.networks.load import Network, load_network
from netdistance.probes.deviation import Reference
from netdistance.probes.noise import perturbed_names, relative
from netdistance.probes.noise_sweep import NoiseSweep
from netdistance.quantities import Estimate, Interval

DEPTHS = (3, 6, 16)
LEVELS = (1e-5, 1e-3, 1e-2)
NOISE = (1e-3, 1e-2, 1e-1)
_WIDTH, _FEATURES, _CLASSES, _INPUTS, _DRAWS = 128, 64, 10, 4, 1024
_SHORT = {"norms_certificate": "R1", "ball_certificate": "R2", "neuron_certificate": "R4"}


def examples(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points around ten centres in 64 dimensions, (count, 64), and the numbers of the centres."""
    centres = torch.randn(_CLASSES, _FEATURES, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, _CLASSES, (count,), generator=generator)
    noise = torch.randn(count, _FEATURES, generator=generator)
    return centres[labels] + noise, labels


def trained(depth: int, *, steps: int = 600) -> Network:
    """A ReLU network of `depth` weight matrices, trained by Adam until it fits its examples."""
    widths = [_FEATURES, *[_WIDTH] * (depth - 1), _CLASSES]
    layers: list[nn.Module] = []
    generator = torch.Generator().manual_seed(depth)
    for fan_in, fan_out in pairwise(widths):
        linear = nn.Linear(fan_in, fan_out)
        with torch.no_grad():
            weight = torch.randn(fan_out, fan_in, generator=generator)
            linear.weight.copy_(weight * (2.0 / fan_in) ** 0.5)
            linear.bias.zero_()
        layers += [linear, nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    points, labels = examples(4096, seed=1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for batch in torch.randint(0, len(points), (steps, 128), generator=generator):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(points[batch]), labels[batch])
        torch.autograd.backward(loss)
        optimizer.step()
    return load_network(network, device="cpu", dtype="float64")


def certified_over_worst(network: Network, level: float) -> dict[str, float]:
    """The median over four inputs of every certificate over the worst found, weights alone."""
    state = network.module.state_dict()
    names, inputs = perturbed_names(network, state, "weights"), examples(_INPUTS, seed=2)[0]
    ratios: dict[str, list[float]] = {}
    for one in torch.split(inputs.double(), 1):
        reference = Reference.of(network(state, one).detach())
        found = worst_found(
            network, state, reference, one, names, relative(level), seed=0, steps=60
        )
        for rung in Certifier.of(network, state, one).ball(level, names).rungs:
            assert isinstance(rung.value, Interval), rung.value
            ratios.setdefault(_SHORT[rung.name], []).append(rung.value.upper / float(found))
    return {name: statistics.median(values) for name, values in ratios.items()}


def estimate_over_measured(network: Network, level: float) -> float:
    """The first-order RMS over the measured one, of 1,024 draws and probes on 64 inputs."""
    state, inputs = network.module.state_dict(), examples(64, seed=3)[0].double()
    sweep = NoiseSweep.of(network, state, inputs, None, batch_size=64, seed=0, draws=_DRAWS)
    names = sweep.names("weights")
    effect = first_order(network, state, inputs, names, batch_size=64, seed=0, probes=_DRAWS)
    estimated = at_level(effect.rms(names), level)
    noise = relative(level)
    deviations = sweep.measure((noise,), ("weights",))[noise.text, "weights"].deviations
    measured = torch.stack(deviations).square().mean().sqrt()
    assert isinstance(estimated, Estimate)
    return estimated.value / float(measured)


def tightness() -> dict[str, float]:
    """Certified over worst found at each depth and level, and estimated over measured RMS."""
    found: dict[str, float] = {}
    for depth in DEPTHS:
        network = trained(depth)
        for level in LEVELS:
            for name, ratio in certified_over_worst(network, level).items():
                found[f"depth_{depth}_noise_{level:g}_{name}"] = ratio
        for level in NOISE:
            ratio = estimate_over_measured(network, level)
            found[f"depth_{depth}_noise_{level:g}_estimate"] = ratio
    return found
