"""What every study that runs a network is asked, and the network, inputs and targets of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netdistance.errors import InputError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from netdistance.networks.batch import Batch
    from netdistance.networks.build import Model
    from netdistance.networks.inputs import Inputs, InputSource
    from netdistance.networks.load import Network

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a network is run.

    `model` is a module, or `package.module:factory` or `file.py:factory`: naming it runs its code.
    `inputs` and `targets` are files or, from Python, arrays; `random_inputs` a shape such as
    "64,3,32,32" of synthetic inputs instead. `output` names the member of a structured output that
    counts. `dtype` is what the network computes in, its own if None. Certificates and attack cover
    the first `certify` inputs.
    """

    model: Model | None = None
    inputs: InputSource | None = None
    random_inputs: str | None = None
    targets: PathLike | Tensor | NDArray[Any] | None = None
    output: str | None = None
    dtype: str | None = None
    certify: int = 16
    batch_size: int = 512
    device: str = "auto"
    seed: int = 0

    def require_runnable(self) -> None:
        """Raise UsageError unless a model and inputs of one kind are given."""
        if self.inputs is not None and self.random_inputs is not None:
            raise UsageError("--inputs and --random-inputs exclude each other; give one")
        if self.model is None or (self.inputs is None and self.random_inputs is None):
            raise UsageError(
                "running the network needs --model FILE.py:FACTORY and --inputs FILE (or "
                "--random-inputs SHAPE)"
            )
        if self.targets is not None and self.inputs is None:
            raise UsageError("--targets judge real inputs: give --inputs, not --random-inputs")
        for name in ("inputs", "targets", "output", "random_inputs"):
            if isinstance(value := getattr(self, name), str) and not value:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} is empty; name something, or leave {flag} out")
        for name, least in (("certify", 0), ("batch_size", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is {getattr(self, name)}, expected {least} or more")

    @property
    def runs(self) -> bool:
        """Whether anything was said of running a network."""
        given = (self.model, self.inputs, self.random_inputs, self.targets)
        return any(value is not None for value in given)


@dataclass(frozen=True, slots=True)
class Run:
    """A network with what it runs on."""

    network: Network
    inputs: Batch  # (N, ...)
    targets: Tensor | None  # (N,)
    provenance: dict[str, Any]


def open_run(options: RunOptions) -> Run:
    """The network, inputs and targets that the options name.

    Raises:
        UsageError: no model or no inputs were given, or two kinds of them.
        InputError: one of them cannot be used.
    """
    options.require_runnable()
    # imported here: weights alone never import torch
    import torch

    from netdistance.networks.batch import padding_note
    from netdistance.networks.inputs import load_inputs, load_targets, random_inputs
    from netdistance.networks.load import load_network

    assert options.model is not None
    if options.random_inputs is not None:
        data = random_inputs(options.random_inputs, options.seed)
    elif _is_text(options.inputs):
        data = _texts(options)
    else:
        assert options.inputs is not None
        data = load_inputs(options.inputs)
    targets = None
    if options.targets is not None:
        targets = load_targets(options.targets, len(data.values))
    network = load_network(
        options.model, device=options.device, dtype=options.dtype, output=options.output
    )
    # the report of the weights may have been begun before torch was imported
    where = {
        "inputs": data.note,
        "device": str(network.device),
        "torch": str(torch.__version__),
    }
    if (padding := padding_note(data.values)) is not None:
        where["padding"] = padding
    return Run(network, data.values, targets, where)


def _is_text(source: InputSource | None) -> bool:
    return isinstance(source, str | os.PathLike) and os.fspath(source).endswith(".txt")


def _texts(options: RunOptions) -> Inputs:
    from netdistance.networks.build import is_hugging_face
    from netdistance.networks.hugging_face import read_texts, tokenize
    from netdistance.networks.inputs import Inputs

    assert isinstance(options.inputs, str | os.PathLike)
    if not (isinstance(options.model, str) and is_hugging_face(options.model)):
        raise InputError(
            f"{options.inputs}: a text needs the tokenizer of a Hugging Face --model; give arrays"
        )
    return Inputs(*tokenize(options.model, read_texts(options.inputs)))
