"""A runnable network: an architecture from the user's code, weights from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from netdistance.checkpoints.base import Checkpoint
from netdistance.errors import CheckpointError, InputError, UsageError, first_line
from netdistance.networks.batch import Batch, shape_of, without_padding
from netdistance.networks.build import Model, built
from netdistance.networks.members import member

# what a network can be told to compute in
DTYPES = {name: getattr(torch, name) for name in ("float64", "float32", "bfloat16", "float16")}
State = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Network:
    """An architecture in eval mode. Its own weights are never used: each call is given a state."""

    module: nn.Module
    name: str
    device: torch.device
    output: str | None = None  # which member of a structured output counts

    def __call__(self, state: State, inputs: Batch) -> Tensor:
        """The output for a batch, with the weights of `state`; neither is changed.

        It is 0 at positions of padding (`batch.without_padding`).

        Raises:
            InputError: the network does not accept the inputs, or returns no tensor.
        """
        # a module with several names is given its tensors once: torch would not put its own back
        once = {name for name, _ in self.module.named_modules()}
        own = {name: t for name, t in state.items() if name.rpartition(".")[0] in once}
        arguments, named = _forward_arguments(inputs, state)
        try:
            with _exact_kernels(self.device):
                returned = torch.func.functional_call(
                    self.module, own, arguments, named, tie_weights=False
                )
        except (Exception, SystemExit) as error:  # the user's own code may raise anything
            if _is_out_of_memory(error):
                smaller = max(1, len(inputs) // 4)
                what = f"out of memory with {len(inputs)} inputs at once"
                hint = f"try --batch-size {smaller}" if len(inputs) > 1 else "use a smaller input"
                raise InputError(f"{self.name}: {what}; {hint}") from error
            what = f"{type(error).__name__}: {first_line(error)}"
            raise InputError(f"{self.name}: cannot run on {shape_of(inputs)}: {what}") from error
        output = member(returned, self.output, self.name)
        if output.shape[:1] != (len(inputs),):
            raise InputError(
                f"{self.name}: returns shape {tuple(output.shape)} for {len(inputs)} inputs, "
                "expected the batch as first axis"
            )
        if not output.is_floating_point() or output.layout != torch.strided or not output.numel():
            kind = f"{output.layout} {output.dtype}".replace("torch.", "")
            raise InputError(
                f"{self.name}: returns {kind} of shape {tuple(output.shape)}, expected numbers of "
                "floating point, such as scores"
            )
        return without_padding(output, inputs) if output.ndim > 1 else output.unsqueeze(1)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Floating-point parameters by first name, tied ones once; buffers are not among them."""
        named = self.module.named_parameters()
        return tuple(name for name, tensor in named if tensor.is_floating_point())

    @property
    def ties(self) -> dict[str, str]:
        """Every parameter's and buffer's name to the first of its tensor: itself unless tied."""
        first: dict[int, str] = {}
        named: chain[tuple[str, Tensor]] = chain(
            self.module.named_parameters(remove_duplicate=False),
            self.module.named_buffers(remove_duplicate=False),
        )
        return {name: first.setdefault(id(tensor), name) for name, tensor in named}

    def state_from(
        self, checkpoint: Checkpoint, otherwise: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The checkpoint's tensors on this network's device, in the dtypes of the network.

        A tensor with several names may be stored under any of them. What it lacks is taken from
        `otherwise`, where that is given.

        Raises:
            CheckpointError: a name is missing or unexpected, a shape differs, or names that are one
                tensor hold different values.
        """
        own, ties = self.module.state_dict(), self.ties
        stored: dict[str, str] = {}
        for name in (name for name in own if name in checkpoint.specs):
            stored.setdefault(ties.get(name, name), name)
        # files from before torch 0.4.1 do not have this counter, which no eval forward reads
        absent = {name for name in own if name.endswith("num_batches_tracked")} - set(stored)
        lacking = self.lacking(checkpoint)
        missing = lacking - (otherwise or {}).keys()
        extra = checkpoint.specs.keys() - own.keys() - self._stored_buffers(checkpoint)
        if missing or extra:
            raise CheckpointError(
                checkpoint.path,
                f"does not fit {self.name}: missing {few(missing)}; unexpected {few(extra)}; "
                "see --strip-prefix, --rename and --skip",
            )
        instead = {name: own[name] for name in absent}
        instead |= {name: otherwise[name] for name in lacking} if otherwise else {}
        state: dict[str, Tensor] = {}
        for name in (name for name in own if name in checkpoint.specs):
            first = stored[ties.get(name, name)]
            tensor = self._read(checkpoint, name, own[name])
            if name != first and not torch.equal(state[first], tensor):
                what = f"differs from {first!r}, but in {self.name} they are one tensor"
                raise CheckpointError(checkpoint.path, what, tensor=name)
            state.setdefault(first, tensor)
        return {
            name: instead[name] if name in instead else state[stored[ties.get(name, name)]]
            for name in own
        }

    def lacking(self, checkpoint: Checkpoint) -> set[str]:
        """Names of the network's state that the checkpoint has under none of their names."""
        ties = self.ties
        stored = {ties.get(name, name) for name in checkpoint.specs}
        names = {name for name in self.module.state_dict() if ties.get(name, name) not in stored}
        return {name for name in names if not name.endswith("num_batches_tracked")}

    def _stored_buffers(self, checkpoint: Checkpoint) -> set[str]:
        """Names of buffers that the network makes itself, where the file has the same values.

        Older versions of a library stored what newer ones do not, such as position numbers.
        """
        made = dict(self.module.named_buffers())
        return {
            name
            for name in checkpoint.specs.keys() & (made.keys() - self.module.state_dict().keys())
            if checkpoint.specs[name].shape == tuple(made[name].shape)
            and torch.equal(self._read(checkpoint, name, made[name]), made[name])
        }

    def _read(self, checkpoint: Checkpoint, name: str, target: Tensor) -> Tensor:
        if (found := checkpoint.specs[name].shape) != tuple(target.shape):
            what = f"has shape {found}, but {self.name} expects {tuple(target.shape)}"
            raise CheckpointError(checkpoint.path, what, tensor=name)
        return torch.from_numpy(checkpoint.read(name)).to(self.device, target.dtype)


def load_network(
    spec: Model, *, device: str = "auto", dtype: str | None = None, output: str | None = None
) -> Network:
    """The network that `file.py:factory` or `package.module:factory` builds. This runs its code.

    Without a colon it is a Hugging Face folder, or a hub id that is cached. A module is copied: the
    caller's stays as it is. `dtype` is what it computes in, its own if None; `output` the member of
    a structured output that counts.

    Raises:
        UsageError: the spec is empty in part, no name and no module, or the device is absent.
        InputError: the module, factory or folder cannot be imported, or returns no torch.nn.Module.
    """
    where = choose_device(device)
    name, network = built(spec)
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
    try:
        network.eval()
        network.requires_grad_(False)
        network = network.to(where, DTYPES[dtype]) if dtype else network.to(where)
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        what = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"{name}: cannot be put to use: {what}") from error
    return Network(network, name, where, output)


def choose_device(name: str) -> torch.device:
    """The torch device for auto, cpu or cuda."""
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device {name!r}: expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: no CUDA device is available; use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _forward_arguments(inputs: Batch, state: State) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Copies for a forward, which may work in place; floats in the dtype of the first weight."""
    weights = (tensor.dtype for tensor in state.values() if tensor.is_floating_point())
    dtype = next(weights, None)

    def own(tensor: Tensor) -> Tensor:
        return (tensor.to(dtype) if tensor.is_floating_point() else tensor).clone()

    if isinstance(inputs, Tensor):
        return (own(inputs),), {}
    return (), {name: own(tensor) for name, tensor in inputs.tensors.items()}


@contextmanager
def _exact_kernels(device: torch.device) -> Iterator[None]:
    """On CUDA: no TF32, whose products keep 10 bits, and the same kernels in every run."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _is_out_of_memory(error: BaseException) -> bool:
    # the CPU's allocator raises a plain RuntimeError
    known = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, known) or "can't allocate memory" in str(error)


def few(names: set[str]) -> str:
    """The first three names, and how many more there are."""
    if not names:
        return "none"
    shown = ", ".join(repr(name) for name in sorted(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
