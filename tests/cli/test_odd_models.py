"""Models that read, mix, overwrite or lose what they are given: the truth, or a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import netdistance
from netdistance import CompareOptions, PerturbOptions, Skipped
from netdistance.errors import InputError, UsageError
from netdistance.report.document import Report
from tests.cli.invoke import error_problem, invoke

X = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


class Odd(nn.Module):
    """A layer with something odd around it."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.a, self.b = kind, nn.Linear(6, 6), nn.Linear(6, 5)
        self.register_buffer("count", torch.tensor(1))
        self.norm = nn.BatchNorm1d(6) if kind == "norm" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.a(x))
        if self.kind == "mixes":
            h = h + h.mean(0, keepdim=True)
        if self.kind == "detached":
            h = h.detach()
        y: Tensor = self.b(h.relu())
        if self.kind == "exits":
            raise SystemExit(7)
        scaled = y * int(self.count) if self.kind == "counts" else y
        answers = {"integers": scaled.argmax(1), "truths": scaled > 0, "nothing": scaled[:, :0]}
        return answers.get(self.kind, scaled.detach() if self.kind == "detached" else scaled)


def states(kind: str) -> tuple[nn.Module, dict[str, Tensor], dict[str, Tensor]]:
    module = Odd(kind)
    generator = torch.Generator().manual_seed(1)
    a = {
        n: torch.randn(t.shape, generator=generator) / 3 if t.ndim and "norm" not in n else t
        for n, t in module.state_dict().items()
    }
    return module, a, {name: tensor.clone() for name, tensor in a.items()}


def compared(kind: str, change: Any, **options: Any) -> Report:
    module, a, b = states(kind)
    change(b)
    settings = CompareOptions(model=module, inputs=X, certify=4, **options)
    return netdistance.compare(a, b, settings)


def certificate(report: Report) -> Any:
    return next(row.value for row in report.bounds if row.standing == "certified")


def test_an_integer_that_a_forward_may_read_ends_the_certificate() -> None:
    report = compared("counts", lambda b: b.update(count=torch.tensor(3)))
    assert certificate(report) == Skipped("count holds integers or truth values that differ")
    assert report.deviation is not None and report.deviation[0].value.value == pytest.approx(2.0)


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_running_statistics_that_are_none_end_the_certificate(value: float) -> None:
    report = compared("norm", lambda b: b["norm.running_var"].fill_(value))
    assert isinstance(certificate(report), Skipped)


def test_an_output_that_is_not_finite_is_no_answer() -> None:
    def spoil(b: dict[str, Tensor]) -> None:
        b["b.weight"][2] = float("nan")

    report = compared("plain", spoil)
    found = {row.measure: row.value for row in report.deviation or ()}
    assert found["top1_agreement"].value == 0.0
    assert isinstance(found["kl_divergence"], Skipped)


@pytest.mark.parametrize("study", ["compare", "perturb"])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("mixes", "with other inputs beside them"),
        ("exits", "SystemExit: 7"),
        ("integers", "returns strided int64 of shape"),
        ("truths", "returns strided bool"),
        ("nothing", "shape (8, 0)"),
    ],
)
def test_what_cannot_be_measured_is_said(study: str, kind: str, words: str) -> None:
    module, a, b = states(kind)
    with pytest.raises(InputError) as caught:
        if study == "compare":
            netdistance.compare(a, b, CompareOptions(model=module, inputs=X))
        else:
            netdistance.perturb(a, PerturbOptions(model=module, inputs=X, draws=2))
    assert words in str(caught.value)


def test_without_a_gradient_there_is_no_first_order() -> None:
    module, a, _ = states("detached")
    options = PerturbOptions(model=module, inputs=X, draws=2, certify=0, noise=("0.1",))
    report = netdistance.perturb(a, options)
    for place in report.sweep or ():
        row = next(row for row in place.bounds if row.name == "first_order_rms")
        assert row.value == Skipped("the forward gives no gradient")


class Scale(nn.Module):
    """A layer that multiplies its argument in place."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((6,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(self.gamma)


def test_layers_that_work_in_place_are_measured_as_they_are() -> None:
    module = nn.Sequential(nn.Linear(6, 6), Scale(), nn.Linear(6, 5))
    a = {n: t.detach().clone() for n, t in module.state_dict().items()}
    b = {n: t + 0.1 * torch.sin(torch.arange(t.numel())).reshape(t.shape) for n, t in a.items()}
    report = netdistance.compare(a, b, CompareOptions(model=module, inputs=X, dtype="float64"))

    def activations(state: dict[str, Tensor]) -> list[Tensor]:
        s = {n: t.double() for n, t in state.items()}
        first = X.double() @ s["0.weight"].T + s["0.bias"]
        second = first * s["1.gamma"]
        return [first, second, second @ s["2.weight"].T + s["2.bias"]]

    for row, x, y in zip(report.layers or (), activations(a), activations(b), strict=True):
        expected = ((y - x).norm(dim=1) / x.norm(dim=1)).mean()
        assert row.relative_activation.value == pytest.approx(float(expected), rel=1e-9), row.name


class Stubborn(nn.Linear):
    """Its train gives nothing back, as many overrides forget to."""

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        super().train(mode)


def test_a_train_without_a_return_is_no_problem() -> None:
    module = Stubborn(6, 5)
    report = netdistance.compare(module, module, CompareOptions(model=module, inputs=X, certify=1))
    assert report.deviation is not None
    with pytest.raises(InputError, match="cannot be put to use"):
        netdistance.compare(
            module, module, CompareOptions(model=nn.LazyLinear(5), inputs=X, certify=1)
        )
    with pytest.raises(UsageError, match="expected one of float64"):
        netdistance.compare(module, module, CompareOptions(model=module, inputs=X, dtype="zork"))


class Tokens(nn.Module):
    """Scores of 7 classes for each of 4 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(9, 6), nn.Linear(6, 7)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.head(self.embed(tokens))
        return out


def test_labels_of_tokens(tmp_path: Path) -> None:
    torch.save(Tokens().state_dict(), tmp_path / "a.pt")
    torch.save(Tokens().state_dict(), tmp_path / "b.pt")
    np.save(tmp_path / "x.npy", np.arange(20).reshape(5, 4) % 9)
    np.save(tmp_path / "y.npy", np.arange(20).reshape(5, 4) % 7)
    model = ("--model", f"{__name__}:Tokens", "--inputs", tmp_path / "x.npy")
    labels = ("--targets", tmp_path / "y.npy", "--certify", "1")
    outcome = invoke(
        "compare", tmp_path / "a.pt", tmp_path / "b.pt", *model, *labels, "--json", "-"
    )
    assert outcome.code == 0, outcome.err
    assert "perplexity_a" in {row["measure"] for row in json.loads(outcome.out)["deviation"]}
    refused = invoke("perturb", tmp_path / "a.pt", *model, *labels)
    assert error_problem(refused, 3, "compare takes those of tokens") == ""


def test_a_label_of_minus_100_does_not_count(tmp_path: Path) -> None:
    module, a, _ = states("plain")
    b = {n: t + 0.4 * torch.sin(torch.arange(t.numel())).reshape(t.shape) for n, t in a.items()}
    labels, x = np.arange(8) % 5, X.double()
    labels[[1, 4, 5]] = -100
    np.save(tmp_path / "y.npy", labels)
    right = [
        float((torch.func.functional_call(module.double(), s, (x,)).argmax(1).numpy() == labels)[
            labels != -100].mean()) for s in ({n: t.double() for n, t in w.items()} for w in (a, b))
    ]  # fmt: skip
    given = {"model": module, "inputs": X, "targets": tmp_path / "y.npy", "certify": 1}
    report = netdistance.compare(a, b, CompareOptions(**given))
    found = {row.measure: row.value for row in report.deviation or ()}
    assert [found[f"accuracy_{side}"].value for side in "ab"] == pytest.approx(right)
    swept = netdistance.perturb(a, PerturbOptions(**given, draws=2, noise=("1e-4",)))
    assert swept.reference_accuracy == found["accuracy_a"]
    assert [place.accuracy.value for place in swept.sweep or ()] == pytest.approx([right[0]] * 2)
    np.save(tmp_path / "y.npy", np.full(8, -100))
    with pytest.raises(InputError, match="every label is -100"):
        netdistance.perturb(a, PerturbOptions(**given))
    np.save(tmp_path / "y.npy", np.full(8, -1))
    with pytest.raises(InputError, match=r"labels from -1 to -1, expected 0 to 4.*-100: does not"):
        netdistance.perturb(a, PerturbOptions(**given))


def test_noise_beyond_what_float16_holds_is_usage(tmp_path: Path) -> None:
    outcome = invoke(
        "perturb", tmp_path / "a", "--model", "m.py:f", "--inputs", "x.npy", "--noise", "7e4"
    )
    assert error_problem(outcome, 2, "from 1e-10 to 10000") == ""
