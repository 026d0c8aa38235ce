"""A network from a spec, a state from a checkpoint, and what each refuses in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from netdistance.checkpoints import open_checkpoint
from netdistance.errors import CheckpointError, InputError, NetDistanceError, UsageError
from netdistance.networks.load import Network, choose_device, load_network
from tests.cases.networks import SUPPORTED, Case, mlp

SOURCE = """
import sys
from torch import nn

number = 3
build = lambda: nn.Sequential(nn.Linear(3, 2), nn.Dropout())
def needs(width): return nn.Linear(width, 2)
def fails(): raise ValueError("no data\\nsecond line")
def leaves(): sys.exit(3)
def weights(): return {}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(SOURCE)
    return path


def test_file_and_factory(file: Path) -> None:
    network = load_network(f"{file}:build", device="cpu")
    assert network.parameters == ("0.weight", "0.bias")
    assert not network.module.training
    assert not any(p.requires_grad for p in network.module.parameters())


def test_package_and_factory() -> None:
    assert len(load_network("netdistance.demo.network:build", device="cpu").parameters) == 6


def test_a_class_is_a_factory_and_a_file_may_hold_dataclasses(tmp_path: Path) -> None:
    path = tmp_path / "classy.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from torch import nn\n@dataclass\nclass C:\n    x: int = 2\n"
        "class Net(nn.Linear):\n    def __init__(self): super().__init__(C().x, 1)\n"
    )
    assert load_network(f"{path}:Net", device="cpu").parameters == ("weight", "bias")


@pytest.mark.parametrize("spec", ["net.py", "net.py:", ":build", ""])
def test_a_spec_without_both_parts_is_usage(spec: str) -> None:
    with pytest.raises(UsageError, match=r"expected file\.py:factory"):
        load_network(spec, device="cpu")


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("absent", "no callable 'absent'"),
        ("number", "no callable 'number'"),
        ("needs", "TypeError"),
        ("fails", "ValueError: no data"),
        ("leaves", "SystemExit: 3"),
        ("weights", "returned a dict"),
    ],
)
def test_factories_that_fail(file: Path, factory: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_network(f"{file}:{factory}", device="cpu")
    assert words in str(caught.value)
    assert_one_line(caught.value, file.name)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import absent_package_of_no_one", "ModuleNotFoundError"),
        ("def build(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit('usage:\\nmore')", "SystemExit: usage:"),
    ],
)
def test_files_that_cannot_be_imported(tmp_path: Path, source: str, words: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(source)
    with pytest.raises(InputError) as caught:
        load_network(f"{path}:build", device="cpu")
    assert words in str(caught.value)
    assert_one_line(caught.value, "broken.py")


def test_absent_files_and_packages(tmp_path: Path) -> None:
    for spec in (f"{tmp_path}/none.py:build", f"{tmp_path}:build", "no.such.package:build"):
        with pytest.raises(InputError) as caught:
            load_network(spec, device="cpu")
        assert_one_line(caught.value, spec.rpartition(":")[0])


def assert_one_line(error: NetDistanceError, name: str) -> None:
    assert "\n" not in str(error) and name in str(error)


def test_devices() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        assert choose_device("auto") == torch.device("cpu")
        with pytest.raises(UsageError, match="--device cuda"):
            choose_device("cuda")


def test_the_module_is_not_on_the_path(file: Path) -> None:
    before = list(sys.path)
    load_network(f"{file}:build", device="cpu")
    assert sys.path == before


@pytest.fixture
def network() -> Network:
    return Case("net", mlp(3, 4, 2), (3,)).network()


def stored(folder: Path, tensors: dict[str, Tensor]) -> Path:
    path = folder / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def test_state_in_the_dtype_of_the_network(tmp_path: Path, network: Network) -> None:
    weights = {name: tensor.double() + 1 for name, tensor in network.module.state_dict().items()}
    with open_checkpoint(stored(tmp_path, weights)) as checkpoint:
        state = network.state_from(checkpoint)
    assert list(state) == list(network.module.state_dict())
    assert all(state[n].dtype == torch.float32 for n in state)
    assert all(torch.equal(state[n], weights[n].float()) for n in state)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda w: {n: t for n, t in w.items() if n != "2.bias"}, "missing '2.bias'"),
        (lambda w: w | {"more": torch.zeros(1)}, "unexpected 'more'"),
        (lambda w: {f"module.{n}": t for n, t in w.items()}, "missing '0.bias', '0.weight'"),
        (lambda w: w | {"0.weight": torch.zeros(3, 4)}, "tensor '0.weight': has shape (3, 4)"),
        (lambda w: w | {"0.bias": torch.zeros(4, 1)}, "expects (4,)"),
    ],
)
def test_state_is_strict(tmp_path: Path, network: Network, edit: object, words: str) -> None:
    assert callable(edit)
    path = stored(tmp_path, edit(dict(network.module.state_dict())))
    with open_checkpoint(path) as checkpoint, pytest.raises(CheckpointError) as caught:
        network.state_from(checkpoint)
    assert words in str(caught.value)
    assert_one_line(caught.value, "weights.safetensors")


TIED = next(case for case in SUPPORTED if case.name == "shared parameter")


@pytest.mark.parametrize("absent", ["0.weight", "2.weight", None])
def test_a_tied_tensor_is_stored_under_any_of_its_names(tmp_path: Path, absent: str | None) -> None:
    network, inputs = TIED.network(), TIED.inputs(0)
    whole = TIED.state(network, 3)
    kept = {name: tensor.clone() for name, tensor in whole.items() if name != absent}
    with open_checkpoint(stored(tmp_path, kept)) as checkpoint:
        state = network.state_from(checkpoint)
    assert state.keys() == whole.keys()
    assert torch.equal(network(state, inputs), network(whole, inputs))


def test_names_of_one_tensor_must_agree(tmp_path: Path) -> None:
    network = TIED.network()
    state = TIED.state(network, 3) | {"2.weight": torch.zeros(5, 5)}
    differs = pytest.raises(CheckpointError, match=r"'2\.weight': differs from '0\.weight'")
    with open_checkpoint(stored(tmp_path, state)) as checkpoint, differs:
        network.state_from(checkpoint)


def test_nan_weights_load(tmp_path: Path, network: Network) -> None:
    weights = dict(network.module.state_dict()) | {"0.bias": torch.full((4,), torch.nan)}
    with open_checkpoint(stored(tmp_path, weights)) as checkpoint:
        assert network.state_from(checkpoint)["0.bias"].isnan().all()


class InPlace(nn.Module):
    """Normalises its input where it lies."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.a(x.sub_(1.0).div_(2.0))
        return out


@pytest.mark.parametrize(
    "case", [*SUPPORTED, Case("in place", InPlace, (3,))], ids=lambda c: c.name
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_a_call_changes_neither_state_nor_inputs_nor_module(case: Case) -> None:
    network = case.network()
    state, inputs = case.state(network, 0), case.inputs(0)
    kept = {name: tensor.clone() for name, tensor in state.items()}
    own = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    first, second = network(state, inputs), network(state, inputs)
    assert torch.equal(first, second)
    assert torch.equal(inputs, case.inputs(0))
    assert all(torch.equal(state[name], kept[name]) for name in kept)
    after = network.module.state_dict()
    assert all(torch.equal(after[name], own[name]) for name in own)


class Returning(nn.Module):
    """Gives back what it is told to make of its input."""

    def __init__(self, make: object) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: Tensor) -> object:
        assert callable(self.make)
        return self.make(x)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x: (x, x), "returns a tuple"),
        (lambda x: x.sum(), "expected the batch as first axis"),
        (lambda x: x[:1], "expected the batch as first axis"),
        (lambda x: x @ torch.zeros(7, 7), "cannot run on float32 inputs of shape (2, 3)"),
    ],
)
def test_outputs_that_are_no_batch(make: object, words: str) -> None:
    network = Network(Returning(make), "net", torch.device("cpu"))
    with pytest.raises(InputError) as caught:
        network({}, torch.zeros(2, 3))
    assert words in str(caught.value)
    assert_one_line(caught.value, "net")
