"""A text alone and beside a longer one: padding changes no number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import netdistance
from netdistance import CompareOptions, PerturbOptions
from netdistance.networks.batch import Arguments, counted_positions, without_padding
from netdistance.networks.load import load_network
from netdistance.probes.layer_deviation import layer_deviation
from netdistance.quantities import Estimate
from netdistance.report.document import Report

SHORT = [3, 1, 4]
LONG = [2, 7, 1, 8, 2, 8]


class Tagger(nn.Module):
    """Scores of 5 classes for each token, from the tokens before it; one layer runs time-first."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.head = nn.Embedding(9, 6), nn.Linear(6, 6), nn.Linear(6, 5)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        h = self.embed(input_ids) * attention_mask.unsqueeze(-1).to(self.embed.weight.dtype)
        mixed = self.mix(h.cumsum(1).transpose(0, 1)).transpose(0, 1)
        out: Tensor = self.head(torch.tanh(mixed))
        return out


def states() -> tuple[nn.Module, dict[str, Tensor], dict[str, Tensor]]:
    module, generator = Tagger(), torch.Generator().manual_seed(3)
    own = module.state_dict()
    a = {n: torch.randn(t.shape, generator=generator, dtype=torch.float64) for n, t in own.items()}
    b = {n: t + 0.3 * torch.randn(t.shape, generator=generator).double() for n, t in a.items()}
    return module, a, b


def padded(texts: list[list[int]], fill: int, kind: type = np.int64) -> dict[str, Any]:
    longest = max(map(len, texts))
    rows = [text + [fill] * (longest - len(text)) for text in texts]
    mask = [[1] * len(text) + [0] * (longest - len(text)) for text in texts]
    return {"input_ids": np.array(rows), "attention_mask": np.array(mask, kind)}


def compared(inputs: dict[str, Any], **options: Any) -> Report:
    module, a, b = states()
    settings = CompareOptions(model=module, inputs=inputs, dtype="float64", **options)
    return netdistance.compare(a, b, settings)


def measures(report: Report) -> dict[str, tuple[float, dict[str, float]]]:
    """Every measure of the outputs: its mean and quantiles."""
    return {
        row.measure: (row.value.value, dict(row.quantiles))
        for row in report.deviation or ()
        if isinstance(row.value, Estimate)
    }


@pytest.mark.parametrize("fill", [0, 5])
@pytest.mark.parametrize("kind", [np.int64, np.bool_, np.float32])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_text_alone_has_the_numbers_it_has_beside_a_longer_one(
    tmp_path: Any, fill: int, kind: type, batch_size: int
) -> None:
    alone, both = padded([SHORT], fill, kind), padded([SHORT, LONG], fill, kind)
    both = {name: value[[0, 0]] for name, value in both.items()}  # the short one, padded, twice
    alone = {name: value[[0, 0]] for name, value in alone.items()}
    np.save(tmp_path / "short.npy", np.array([[1, 4, -100]] * 2))
    np.save(tmp_path / "long.npy", np.array([[1, 4, -100, 0, 2, 2]] * 2))
    reports = [
        compared(inputs, targets=tmp_path / f"{name}.npy", batch_size=batch_size)
        for inputs, name in ((alone, "short"), (both, "long"))
    ]
    first, second = map(measures, reports)
    assert {"kl_divergence", "top1_agreement", "loss_a", "perplexity_b", "accuracy_a"} <= set(first)
    assert first.keys() == second.keys()
    for name, (mean, quantiles) in first.items():
        if name != "rank_correlation":
            assert second[name][0] == pytest.approx(mean, rel=1e-9), name
            assert second[name][1] == pytest.approx(quantiles, rel=1e-9), name
    for x, y in zip(reports[0].layers or (), reports[1].layers or (), strict=True):
        assert x.name == y.name
        for left, right in (
            (x.relative_activation, y.relative_activation),
            (x.injected, y.injected),
        ):
            assert isinstance(left, Estimate) and isinstance(right, Estimate), x.name
            assert right.value == pytest.approx(left.value, rel=1e-9)
    assert "padding" not in reports[0].provenance
    assert "6 of 12 positions" in reports[1].provenance["padding"]
    assert "6 of 12 positions" in " ".join(str(reports[1]).split())


def test_what_stands_at_padding_changes_nothing() -> None:
    reports = [compared(padded([SHORT, LONG], fill)) for fill in (0, 6)]
    assert reports[0].deviation == reports[1].deviation
    assert reports[0].layers == reports[1].layers
    assert reports[0].attribution == reports[1].attribution


def test_a_label_at_padding_does_not_count(tmp_path: Any) -> None:
    labels = np.array([[1, 4, 0, 0, 0, 0], [0, 1, 2, 3, 4, 0]])
    np.save(tmp_path / "filled.npy", labels)
    labels[0, 3:] = -100
    np.save(tmp_path / "ignored.npy", labels)
    inputs = padded([SHORT, LONG], 0)
    first, second = (
        measures(compared(inputs, targets=tmp_path / f"{name}.npy"))
        for name in ("filled", "ignored")
    )
    assert first == second


def test_perturb_leaves_padding_out() -> None:
    module, a, _ = states()
    sweeps = []
    for inputs in (padded([SHORT], 0), {n: v[:1] for n, v in padded([SHORT, LONG], 7).items()}):
        options = PerturbOptions(
            model=module, inputs=inputs, dtype="float64", draws=2, noise=("0.05",), certify=1
        )
        sweeps.append(netdistance.perturb(a, options).sweep or ())
    for x, y in zip(*sweeps, strict=True):
        assert y.deviation.quantiles == pytest.approx(x.deviation.quantiles, rel=1e-9)
        assert y.attack.value == pytest.approx(x.attack.value, rel=1e-6)  # type: ignore[union-attr]


def test_only_one_row_a_token_is_masked() -> None:
    """An output of (N, T) may be T scores, and an encoder's mask is none of a decoder's output."""
    mask = torch.tensor([[1, 0], [1, 1]])
    batch = Arguments({"input_ids": mask, "attention_mask": mask})
    ones = torch.ones(2, 2, 3)
    assert without_padding(ones, batch).sum((1, 2)).tolist() == [3.0, 6.0]
    assert torch.equal(without_padding(ones[..., 0], batch), ones[..., 0])
    assert torch.equal(without_padding(torch.ones(2, 4, 3), batch), torch.ones(2, 4, 3))
    decoded = Arguments({**batch.tensors, "decoder_input_ids": mask})
    assert counted_positions(decoded) is None
    assert counted_positions(torch.ones(2, 2)) is None
    lost = torch.full((2, 2, 3), torch.nan)
    assert without_padding(lost, batch)[0, 1].tolist() == [0.0] * 3


def test_layers_without_padding_by_hand() -> None:
    module, a, b = states()
    inputs = {n: torch.from_numpy(v) for n, v in padded([SHORT, LONG], 0).items()}
    network = load_network(module, device="cpu", dtype="float64")
    rows = layer_deviation(network, a, b, Arguments(inputs), batch_size=2)
    (head,) = (row for row in rows if row.name == "head")
    assert isinstance(head.relative_activation, Estimate)
    relative = []
    for text in (SHORT, LONG):
        tokens, ones = torch.tensor([text]), torch.ones(1, len(text))
        x, y = (torch.func.functional_call(network.module, s, (tokens, ones)) for s in (a, b))
        relative.append(float((y - x).norm() / x.norm()))
    assert head.relative_activation.value == pytest.approx(sum(relative) / 2, rel=1e-9)
