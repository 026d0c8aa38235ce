"""Models as users write them: printing, random, half precision, one output, failing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import netdistance
from tests.cli.invoke import Outcome, error_problem, invoke

MODELS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.layer = kind, nn.Linear(4, 3)
        if kind == "norm":
            self.norm = nn.BatchNorm1d(3)
    def forward(self, x):
        if self.kind == "prints":
            print("forward!")
        if self.kind == "fails":
            raise AssertionError("seven!")
        y = self.layer(x)
        if self.kind == "random":
            y = y + torch.randn(y.shape)
        if self.kind == "norm":
            y = self.norm(y)
        return y[:, 0] if self.kind == "one" else y

def make(kind):
    return lambda: Net(kind)

prints, fails, random, one, norm = (make(k) for k in ("prints", "fails", "random", "one", "norm"))
plain = make("plain")
half = lambda: Net("plain").half()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models.py").write_text(MODELS)
    generator = torch.Generator().manual_seed(0)
    layer = {
        "layer.weight": torch.randn(3, 4, generator=generator),
        "layer.bias": torch.randn(3, generator=generator),
    }
    save_file(layer, tmp_path / "plain.safetensors")
    norm = nn.BatchNorm1d(3).state_dict()
    del norm["num_batches_tracked"]
    save_file({**layer, **{f"norm.{k}": v for k, v in norm.items()}}, tmp_path / "norm.safetensors")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(6, 4)))
    return tmp_path


def perturb(folder: Path, model: str, *more: str, checkpoint: str = "plain") -> Outcome:
    return invoke(
        "perturb", folder / f"{checkpoint}.safetensors", "--model", f"{folder}/models.py:{model}",
        "--inputs", folder / "x.npy", "--noise", "0.01", "--draws", "2", "--certify", "2", *more,
    )  # fmt: skip


def test_what_a_model_prints_is_not_in_the_report(folder: Path) -> None:
    outcome = perturb(folder, "prints", "--json", "-")
    assert outcome.code == 0
    assert json.loads(outcome.out)["study"] == "perturb"
    assert "forward!" in outcome.err


@pytest.mark.parametrize(
    ("model", "words"),
    [("fails", "AssertionError: seven!"), ("random", "gives other outputs for the same inputs")],
)
def test_a_model_that_cannot_be_measured(folder: Path, model: str, words: str) -> None:
    assert error_problem(perturb(folder, model), 3, words) == ""


def test_half_precision_weights_take_the_inputs(folder: Path) -> None:
    assert perturb(folder, "half").code == 0


def test_an_output_without_a_class_axis(folder: Path) -> None:
    outcome = perturb(folder, "one")
    assert outcome.code == 0
    np.save(folder / "y.npy", np.zeros(6, np.int64))
    refused = perturb(folder, "one", "--targets", str(folder / "y.npy"))
    assert error_problem(refused, 3, "the network has one output") == ""


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range(folder: Path, label: int) -> None:
    np.save(folder / "y.npy", np.full(6, label))
    outcome = perturb(folder, "plain", "--targets", str(folder / "y.npy"))
    assert error_problem(outcome, 3, "expected 0 to 2") == ""


def test_a_file_without_the_batch_counter(folder: Path) -> None:
    outcome = perturb(folder, "norm", checkpoint="norm")
    assert outcome.code == 0
    assert "certificates are useful" in outcome.out


@pytest.mark.parametrize("level", ["1e-6", "1e-8", "1e-10"])
def test_noise_that_float32_cannot_hold(folder: Path, level: str) -> None:
    """Measured in float64: the size of the noise, and no attack above the certificate."""
    outcome = perturb(folder, "plain", "--json", "-", "--noise", level)
    assert outcome.code == 0
    for place in json.loads(outcome.out)["sweep"]:
        certificate = place["bounds"][0]["value"]["upper"]
        assert 0.1 < place["deviation"]["mean"]["value"] / float(level) < 10
        assert 0.1 * float(level) < place["attack"]["value"] <= certificate * (1 + 1e-6)


def test_synthetic_inputs_are_called_so(folder: Path) -> None:
    weights, model = folder / "plain.safetensors", f"{folder}/models.py:plain"
    drawn = ("--model", model, "--random-inputs", "5,4", "--certify", "2")
    for words in (("perturb", weights, "--draws", "2"), ("compare", weights, weights)):
        for form in ("--json", "--html", "--markdown"):
            outcome = invoke(*words, *drawn, form, "-")
            assert outcome.code == 0
            assert "synthetic: standard normal" in outcome.out
    with_targets = invoke("compare", weights, weights, *drawn, "--targets", folder / "x.npy")
    assert error_problem(with_targets, 2, "give --inputs, not --random-inputs") == ""


def test_a_model_from_python(folder: Path) -> None:
    module, x = nn.Linear(4, 3), torch.ones(5, 4)
    state = {"weight": module.weight.detach().clone(), "bias": torch.zeros(3)}
    report = netdistance.compare(
        module, state, netdistance.CompareOptions(model=module, inputs=x.numpy(), certify=2)
    )
    assert report.deviation is not None
    assert report.provenance["settings"]["model"] == "<Linear>"
    assert report.provenance["settings"]["inputs"] == "<ndarray>"
    options = netdistance.PerturbOptions(model=module, inputs=x, draws=2, certify=2)
    assert netdistance.perturb(module, options).sweep is not None


def test_targets_need_a_model(folder: Path) -> None:
    file = folder / "plain.safetensors"
    outcome = invoke("compare", file, file, "--targets", folder / "x.npy")
    assert error_problem(outcome, 2, "needs --model") == ""


def test_only_the_layers_asked_for_move(folder: Path) -> None:
    def mean(*options: str) -> float:
        outcome = perturb(folder, "plain", "--json", "-", "--scope", "all", *options)
        assert outcome.code == 0, outcome.err
        (place,) = json.loads(outcome.out)["sweep"]
        value = place["deviation"]["mean"]["value"]
        assert isinstance(value, float)
        return value

    both, weight, bias = mean(), mean("--layers", "*.weight"), mean("--layers", "*.bias")
    assert 0.0 < bias < weight < both < weight + bias
    assert mean("--layers", "*.weight", "--layers", "layer.b*") == both
    refused = perturb(folder, "plain", "--layers", "nothing.*")
    assert error_problem(refused, 2, "matches none of", "'layer.weight'") == ""


def test_names_of_a_checkpoint_are_made_to_match_the_model(folder: Path) -> None:
    state = load_file(folder / "plain.safetensors")
    other = {f"net.{name.replace('layer', 'first')}": tensor for name, tensor in state.items()}
    save_file({**other, "net.extra": torch.zeros(2)}, folder / "other.safetensors")
    refused = perturb(folder, "plain", checkpoint="other")
    assert error_problem(refused, 3, "--strip-prefix, --rename and --skip") == ""
    names = ("--strip-prefix", "net.", "--rename", "^first=layer", "--skip", "extra")
    told = perturb(folder, "plain", *names, "--json", "-", checkpoint="other")
    plain = perturb(folder, "plain", "--json", "-")
    assert json.loads(told.out)["sweep"] == json.loads(plain.out)["sweep"]
