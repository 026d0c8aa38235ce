"""`netdistance sensitivity` with a model and inputs: JSON, text, every form, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from netdistance import SensitivityOptions, demo, sensitivity
from netdistance.errors import UsageError
from netdistance.networks.affine import Norms
from netdistance.quantities import Interval
from netdistance.report.document import Report
from netdistance.report.renderers import RENDERERS
from tests.cli.contract import kind, strict, without_provenance
from tests.cli.golden import golden_problem, wide_lines
from tests.cli.invoke import Outcome, error_problem, invoke
from tests.formats.written import safetensors

MODEL = ("--model", demo.MODEL)
POINTS = ("--inputs", demo.POINTS)
KEYS = {"inputs", "certified", "jacobian", "jacobian_quantiles", "found"}


def ran(*options: str | Path, model: str = demo.MODEL) -> Outcome:
    return invoke("sensitivity", demo.TRAINED, "--model", model, *POINTS, *options)


def test_the_document() -> None:
    outcome = ran("--certify", "5", "--json", "-")
    assert (outcome.code, outcome.err) == (0, "")
    report = strict(outcome.out)
    assert set(report["sensitivity"]) == {"log10_product", "layers", "input_output"}
    part = report["sensitivity"]["input_output"]
    assert set(part) == KEYS and part["inputs"] == 5
    assert (kind(part["certified"]), kind(part["jacobian"])) == ("interval", "interval")
    assert kind(part["found"]) == "exact"
    assert list(part["jacobian_quantiles"]) == ["0.0", "0.5", "0.9", "1.0"]
    assert part["jacobian_quantiles"]["1.0"] == part["jacobian"]["upper"]
    assert part["found"]["value"] <= part["certified"]["upper"]
    product, certificate = report["bounds"]
    assert product["name"] == "spectral_product" and product["standing"] == "modelled"
    assert "needs --model" not in product["measured"]["reason"]
    assert (certificate["name"], certificate["standing"]) == ("input_lipschitz", "certified")
    assert (certificate["over"], certificate["inputs"]) == ("known", None)
    # a chain of matrices: the graph says no more than the product of the norms
    assert certificate["log10"]["upper"] == pytest.approx(product["log10"]["upper"], abs=1e-8)
    assert report["provenance"]["inputs"] == "float32 1000x2"


def test_two_runs_differ_in_provenance_alone() -> None:
    first, second = (ran("--certify", "3", "--json", "-").out for _ in range(2))
    assert without_provenance(first) == without_provenance(second)


def test_text() -> None:
    outcome = ran()
    assert (outcome.code, outcome.err) == (0, "")
    assert wide_lines(outcome.out) == []
    assert golden_problem("sensitivity_model.txt", outcome.out) == ""


def test_a_softmax_is_named_and_the_rest_measured() -> None:
    outcome = ran("--certify", "1", model="tests.cli.models:softmax")
    assert (outcome.code, wide_lines(outcome.out)) == (0, [])
    assert "At this input small changes move" in outcome.out.replace("\n", " ")
    assert "nothing is certified for every two inputs" in outcome.out.replace("\n", " ")
    assert "certified skipped: operator 5 (Softmax) has no rule" in outcome.out


def test_tokens_have_no_unit(tmp_path: Path) -> None:
    np.save(tmp_path / "tokens.npy", np.arange(6).reshape(2, 3))
    torch.save(nn.Embedding(7, 4).state_dict(), tmp_path / "embedding.pt")
    outcome = invoke(
        "sensitivity", tmp_path / "embedding.pt", "--model", f"{__name__}:embedding",
        "--inputs", tmp_path / "tokens.npy", "--plot", tmp_path / "f.png",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    first = outcome.out.replace("\n", " ")
    assert first.startswith("How far outputs move per unit of input has no number: the inputs are")


def embedding() -> nn.Module:
    """One that takes tokens."""
    return nn.Embedding(7, 4)


def test_a_constant_beyond_float64_is_told_by_its_logarithm(tmp_path: Path) -> None:
    """x + a chain that is 0, which the graph does not know; certified at most 10^310."""
    path, x = tmp_path / "chain.safetensors", tmp_path / "x.npy"
    weights = {"a": np.diag([10.0, 0.0]), "b": np.diag([0.0, 10.0])}
    path.write_bytes(safetensors({f"{n}.weight": w for n, w in weights.items()}))
    np.save(x, np.ones((1, 2)))
    options = ("--model", f"{__name__}:Chain", "--inputs", x, "--dtype", "float64")
    outcome = invoke("sensitivity", path, *options, "--plot", tmp_path / "f.svg")
    assert outcome.code == 0, outcome.err
    assert "≤ 10^310.01" in outcome.out and "certified skipped: exceeds float64" in outcome.out


class Chain(nn.Module):
    """x + b(a(... b(a(x))))."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x
        for _ in range(155):
            h = self.b(self.a(h))
        return x + h


def with_model() -> Report:
    options = SensitivityOptions(model=demo.MODEL, inputs=demo.POINTS, certify=2)
    return sensitivity(demo.TRAINED, options)


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda renderer: renderer.name)
def test_every_form_holds_it(renderer: object) -> None:
    report = with_model()
    assert report.sensitivity is not None and report.sensitivity.input_output is not None
    found = report.sensitivity.input_output.found
    first, second = (renderer.render(report) for _ in range(2))  # type: ignore[attr-defined]
    assert first == second
    if renderer.name in ("csv", "json"):  # type: ignore[attr-defined]
        assert repr(found.value).encode() in first  # type: ignore[union-attr]
    if renderer.name in ("html", "markdown", "svg"):  # type: ignore[attr-defined]
        assert b"certified" in first


def test_the_rows_of_weights_say_nothing_of_inputs() -> None:
    outcome = ran("--certify", "2", "--csv", "-")
    header, *lines = outcome.out.splitlines()
    place = header.split(",").index("inputs")
    weights = [line for line in lines if line.startswith("sensitivity.layers,")]
    assert weights and all(line.split(",")[place] == "" for line in weights)
    assert any(line.startswith("sensitivity.input_output,") for line in lines)


def test_names_are_stripped_for_the_model(tmp_path: Path) -> None:
    state = {f"module.{n}": t for n, t in demo_state().items()}
    torch.save(state, tmp_path / "wrapped.pt")
    options = ("sensitivity", tmp_path / "wrapped.pt", *MODEL, *POINTS, "--certify", "1")
    assert error_problem(invoke(*options), 3, "--strip-prefix") == ""
    outcome = invoke(*options, "--strip-prefix", "module.")
    assert outcome.code == 0 and "\n2.weight " in outcome.out


def demo_state() -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(demo.TRAINED)


def test_what_is_refused(tmp_path: Path) -> None:
    alone = invoke("sensitivity", demo.TRAINED, *MODEL)
    assert error_problem(alone, 2, "--model", "--inputs") == ""
    assert error_problem(ran("--targets", demo.LABELS), 2, "--targets") == ""
    over = invoke("sensitivity", demo.TRAINED, *MODEL, *POINTS, "--json", demo.POINTS)
    assert error_problem(over, 2, "also an input") == ""
    with pytest.raises(UsageError, match="judges no answers"):
        sensitivity(demo.TRAINED, SensitivityOptions(targets=demo.LABELS))


def test_a_violation_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Norms, "upper", lambda self, layer: 1e-3)
    assert error_problem(ran("--certify", "1"), 70, "input_lipschitz", "measured") == ""


def test_the_confidence_of_a_norm_reaches_the_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Norms, "confidence", property(lambda self: 0.875))
    report = with_model()
    assert report.sensitivity is not None and report.sensitivity.input_output is not None
    certified = report.sensitivity.input_output.certified
    assert isinstance(certified, Interval) and certified.confidence == 0.875
    log10 = report.bounds[1].log10
    assert isinstance(log10, Interval) and log10.confidence == 0.875
