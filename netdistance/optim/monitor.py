"""How far each step of an optimiser moved each tensor, relative to the tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from netdistance.optim.base import real
from netdistance.optim.norms import frobenius, widened

Listener = Callable[[dict[str, float], float], object]


class RelativeStepMonitor:
    """After every step of any torch optimiser: |W_new - W_old|_F / |W_old|_F of each tensor.

    `listener(relative, log1p_sum)` gets these by name, and the deep relative trust of the step as
    sum_l log(1 + r_l) over the tensors with two or more dimensions: expm1 of it is the product
    less 1. Trust is a model of the network's change (arXiv 2002.03432), not a bound on it.

    `names` is the module that is trained, or pairs of name and parameter. A parameter of the
    optimiser that it does not name is called by its place, as in "group 0, parameter 2".

    Measured from the numbers as stored, so that rounding to the parameter's dtype shows. A tensor
    that stays is 0; one that leaves 0 is infinite; complex ones count as pairs. During a step
    there is a second copy of every parameter that requires a gradient; none stays after it. The
    norms wait for the device, so a monitored step is no step to time or to capture.

    It watches from its creation until `remove`, or to the end of a `with`.

    >>> import torch
    >>> weight = nn.Parameter(torch.tensor([[3.0, 4.0]]))
    >>> weight.grad = torch.tensor([[0.0, 5.0]])
    >>> optimizer = torch.optim.SGD([weight], lr=1.0)
    >>> with RelativeStepMonitor(optimizer, [("weight", weight)], print):
    ...     optimizer.step()
    {'weight': 1.0} 0.6931471805599453
    """

    def __init__(
        self,
        optimizer: Optimizer,
        names: nn.Module | Iterable[tuple[str, Tensor]],
        listener: Listener,
    ) -> None:
        pairs = names.named_parameters() if isinstance(names, nn.Module) else names
        self._names = {id(parameter): name for name, parameter in pairs}
        self._listener = listener
        self._before: list[tuple[str, Tensor, Tensor]] = []  # name, parameter, its copy
        self._handles = [
            optimizer.register_step_pre_hook(self._remember),
            optimizer.register_step_post_hook(self._report),
        ]

    def __enter__(self) -> Self:
        """The monitor, which watches already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop watching."""
        self.remove()

    def remove(self) -> None:
        """Stop watching; may be called again."""
        for handle in self._handles:
            handle.remove()
        self._before = []

    # the hooks of torch get the arguments of step, which say nothing here
    def _remember(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._before = [
            (self._names.get(id(parameter), place), parameter, parameter.detach().clone())
            for place, parameter in _places(optimizer)
            if parameter.requires_grad and parameter.numel() > 0
        ]

    def _report(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        before, self._before = self._before, []
        relative = {name: _relative_step(old, new.detach()) for name, new, old in before}
        weights = [relative[name] for name, new, _ in before if new.ndim >= 2]
        self._listener(relative, math.fsum(map(math.log1p, weights)))


def _places(optimizer: Optimizer) -> Iterable[tuple[str, Tensor]]:
    for number, group in enumerate(optimizer.param_groups):
        for place, parameter in enumerate(group["params"]):
            yield f"group {number}, parameter {place}", parameter


def _relative_step(old: Tensor, new: Tensor) -> float:
    old, new = widened(real(old)), widened(real(new))
    moved, norm = frobenius(new - old), frobenius(old)
    if norm == 0.0:
        return 0.0 if moved == 0.0 else math.inf
    return moved / norm
