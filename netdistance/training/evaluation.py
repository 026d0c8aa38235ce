"""What is measured of a network while it trains: its losses, and how far its weights have come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import torch
from torch import Tensor, nn

from netdistance.bounds.trust import log1p_sum, trust_from_log1p_sum
from netdistance.errors import InputError
from netdistance.optim.base import real
from netdistance.quantities import Quantity, Skipped
from netdistance.report.run_rows import CurvePoint
from netdistance.training.step_trust import StepTrust
from netdistance.training.tasks import Task
from netdistance.training.tasks.own_code import own_code
from netdistance.training.weight_norms import State, WeightNorms, growth, weight_norms

# labels that an evaluation judges at most, of each data set: a drawn part, the same in every run
JUDGED = 20_000
_AT_ONCE = 1_000  # examples
_DRAW_SEED = 0

Judgement = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A point of the curve, and the norms of every weight there."""

    point: CurvePoint
    weights: tuple[WeightNorms, ...]


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Judges one network on the examples of its task, against the state that it started from."""

    task: Task
    model: nn.Module
    steps: StepTrust
    weights: tuple[str, ...]  # the parameters with two or more axes, tied ones once
    start: State
    start_norms: tuple[WeightNorms, ...]
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, task: Task, model: nn.Module) -> Evaluator:
        """The evaluator of a network as it stands at the start."""
        start = copy_state(model)
        train = judged_examples(task.train_inputs, task.train_targets)
        test = judged_examples(task.test_inputs, task.test_targets)
        named = model.named_parameters()
        weights = tuple(name for name, parameter in named if parameter.ndim >= 2)
        norms = weight_norms(start, weights)
        return cls(task, model, StepTrust(model), weights, start, norms, train, test)

    def evaluate(self, step: int) -> tuple[Evaluation, State]:
        """What is measured of the network as it stands after that many steps, and its state."""
        self.model.eval()
        train, test = (judge(self.model, self.task, *part) for part in (self.train, self.test))
        self.model.train()
        now = copy_state(self.model)
        norms = weight_norms(now, self.weights)
        point = CurvePoint(
            step,
            *train,
            *test,
            _trust(self.start, now, self.weights),
            *self.steps.take(),
            *(
                growth(self.start_norms, norms, attrgetter(name))
                for name in ("frobenius_norm", "largest_singular_value", "median_singular_value")
            ),
        )
        return Evaluation(point, norms), now


def judge(model: nn.Module, task: Task, inputs: Tensor, targets: Tensor) -> Judgement:
    """The mean loss and the accuracy over all of these examples; None where not finite."""
    judged = []
    with torch.no_grad():
        for part, labels in zip(
            *(torch.split(t, _AT_ONCE) for t in (inputs, targets)), strict=True
        ):
            found = _judge_part(model, task, part, labels)
            if found is None:
                return None, None
            judged.append(found)
    losses, accuracies = zip(*judged, strict=True)
    return _finite_mean(losses, len(inputs)), _finite_mean(accuracies, len(inputs))


def _judge_part(
    model: nn.Module, task: Task, inputs: Tensor, targets: Tensor
) -> tuple[float, float] | None:
    """The sums of losses and of right answers, NaN without an accuracy; None if not finite."""
    outputs = outputs_of(model, task, inputs)
    if not bool(outputs.isfinite().all()):
        return None
    with own_code(task, "its loss or accuracy fails"):
        loss = float(task.loss(outputs, targets))
        accuracy = math.nan if task.accuracy is None else float(task.accuracy(outputs, targets))
    return len(inputs) * loss, len(inputs) * accuracy


def _finite_mean(sums: Sequence[float], count: int) -> float | None:
    return math.fsum(sums) / count if all(map(math.isfinite, sums)) else None


def outputs_of(model: nn.Module, task: Task, inputs: Tensor) -> Tensor:
    """The network's outputs.

    Raises:
        InputError: the task file's own network raised, or gave no tensor of floating point.
    """
    with own_code(task, f"its network cannot run on {tuple(inputs.shape)}"):
        outputs = model(inputs)
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point():
        raise InputError(f"task {task.name}: its network gave no tensor of floating point")
    return outputs


def judged_examples(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """At most `JUDGED` labels: all examples, or some, the same in every run, drawn once each."""
    count = max(1, JUDGED * len(targets) // targets.numel())
    if len(inputs) <= count:
        return inputs, targets
    generator = torch.Generator().manual_seed(_DRAW_SEED)
    chosen = torch.randperm(len(inputs), generator=generator)[:count]
    return inputs[chosen], targets[chosen]


def data_note(task: Task) -> str:
    """What a reader should know of the examples, in words; empty where there is nothing."""
    notes = [task.note] if task.note else []
    for name, inputs, targets in (
        ("training", task.train_inputs, task.train_targets),
        ("test", task.test_inputs, task.test_targets),
    ):
        judged = len(judged_examples(inputs, targets)[0])
        if judged < len(inputs):
            notes.append(
                f"{name} results are of {judged:,} of {len(inputs):,} examples, drawn once"
            )
    return "; ".join(notes)


def copy_state(model: nn.Module) -> State:
    """The tensors of a network by name, copied."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _trust(start: State, now: State, weights: Sequence[str]) -> Quantity:
    """Deep relative trust from one state to another."""
    if not weights:
        return Skipped("no parameter has two or more axes")
    relative = []
    for name in weights:
        before, after = (real(state[name]).double() for state in (start, now))
        norm = torch.linalg.vector_norm(before)
        if not float(norm) > 0.0:
            return Skipped(f"{name} was zero at the start, and has no relative change")
        relative.append(float(torch.linalg.vector_norm(after - before) / norm))
        if not math.isfinite(relative[-1]):
            return Skipped(f"{name} is not finite")
    return trust_from_log1p_sum(log1p_sum(relative))
