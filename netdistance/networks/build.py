"""What builds a network: a module, a factory by its name, or a Hugging Face folder."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from netdistance.errors import InputError, UsageError, first_line
from netdistance.networks.factory import made_by
from netdistance.networks.hugging_face import build_hugging_face

Model = str | nn.Module


def built(spec: Model) -> tuple[str, nn.Module]:
    """A name for the network, and the network: a module of the caller's is copied.

    Raises:
        UsageError: the spec is empty in part, or neither a name nor a module.
        InputError: the module, factory or folder cannot be used, or a layer of the network computes
            from more than its own input and tensors.
    """
    if isinstance(spec, nn.Module):
        name = f"<{type(spec).__name__}>"
        try:
            network = copy.deepcopy(spec)
        except Exception as error:  # the user's own code may raise anything
            what = f"{type(error).__name__}: {first_line(error)}"
            raise InputError(f"{name}: cannot be copied: {what}; give a factory's name") from error
    elif isinstance(spec, str):
        name, network = spec, _built(spec)
    else:
        expected = "expected a torch.nn.Module, or text such as 'file.py:factory'"
        raise UsageError(f"model is {_kind(spec)}, {expected}")
    _require_own_outputs(name, network)
    return name, network


def _kind(spec: Any) -> str:
    """What someone gave in place of a module, and what may have been meant."""
    if isinstance(spec, type):
        return f"the class {spec.__name__}, not an instance of it (write {spec.__name__}(...))"
    if callable(spec):
        return "a function, not what it returns (call it)"
    return f"of type {type(spec).__name__}"


def _require_own_outputs(name: str, network: nn.Module) -> None:
    """Refuse layers whose outputs are not those of their own input and of a state's tensors.

    Raises:
        InputError: batch norm by the batch itself, or state that is no tensor of the checkpoint.
    """
    for place, module in network.named_modules():
        where = f"{name}: {place or 'the network'} ({type(module).__name__})"
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise InputError(
                f"{where} has track_running_stats=False: it normalises an input by the others of "
                "its batch, so that no output is that of its own input; use running statistics, or "
                "a norm of each input such as GroupNorm or LayerNorm"
            )
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            raise InputError(
                f"{where} has an extra state, which is not taken from a checkpoint, so that what "
                "runs might not be what was saved; expected tensors alone: keep it in buffers"
            )


def _built(spec: str) -> nn.Module:
    if is_hugging_face(spec):
        return build_hugging_face(spec)
    network = made_by(spec, "--model")  # its initial weights are never used
    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise InputError(f"{spec}: returned a {kind}, expected a torch.nn.Module")
    return network


def is_hugging_face(spec: Model) -> bool:
    """Whether a model is a folder or hub id rather than a factory or a module."""
    return isinstance(spec, str) and bool(spec) and ":" not in spec and not spec.endswith(".py")
