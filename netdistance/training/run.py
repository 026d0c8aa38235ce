"""One training run: the network before and after, and what was measured on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netdistance.bounds.trust import log1p_sum
from netdistance.report.document import RunStatus
from netdistance.training.models import mlp
from netdistance.training.optimizers import Trains, find_optimizer
from netdistance.training.tasks import Task

BATCH = 128
EVALUATIONS = 20  # per run, besides the one before the first step
DIVERGED_FACTOR = 10.0  # a final loss beyond this multiple of the initial one has diverged

State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that decides the bits of a run."""

    task: str
    optimizer: str
    lr: float
    depth: int  # hidden layers
    width: int
    seed: int
    steps: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Losses and accuracies on the whole training and test sets; None where not finite."""

    step: int
    train_loss: float | None
    train_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended. `log1p_sum` is that of its relative changes since the start, if finite."""

    status: RunStatus
    final: Evaluation
    log1p_sum: float | None


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A run's result, and its network before and after."""

    result: RunResult
    initial_state: State
    final_state: State


def run_training(
    settings: RunSettings, task: Task, *, on_evaluation: Callable[[Evaluation], None]
) -> TrainedRun:
    """Train one network; a diverged run is a result, not an error.

    It stops at the first non-finite loss, and counts as diverged then, when a parameter is not
    finite at the end, and when the final training loss is over 10 x the initial one.
    The same settings give the same bits on the same machine and thread count.
    """
    model = mlp(
        inputs=task.train_inputs.shape[1],
        outputs=task.outputs,
        depth=settings.depth,
        width=settings.width,
        seed=_stream(settings.seed, 0),
    )
    optimizer = find_optimizer(settings.optimizer).build(model.parameters(), settings.lr)
    batches = _batches(len(task.train_inputs), seed=_stream(settings.seed, 1))
    initial_state = _copy_state(model)
    first = last = evaluate(model, task, step=0)
    on_evaluation(first)
    for stop in _evaluation_steps(settings.steps):
        step = _advance(model, optimizer, task, batches, start=last.step, stop=stop)
        last = evaluate(model, task, step=step)
        on_evaluation(last)
        if step < stop or last.train_loss is None:
            break
    final_state = _copy_state(model)
    finished = last.step == settings.steps and _is_finite(final_state)
    result = RunResult(
        status="finished" if finished and not _lost(first, last) else "diverged",
        final=last,
        log1p_sum=_log1p_sum(initial_state, final_state),
    )
    return TrainedRun(result, initial_state, final_state)


def evaluate(model: nn.Module, task: Task, *, step: int) -> Evaluation:
    """The model on both data sets."""
    with torch.no_grad():
        train, test = model(task.train_inputs), model(task.test_inputs)
        train_loss, train_accuracy = _judge(task, train, task.train_targets)
        test_loss, test_accuracy = _judge(task, test, task.test_targets)
    return Evaluation(step, train_loss, train_accuracy, test_loss, test_accuracy)


def _judge(task: Task, outputs: Tensor, targets: Tensor) -> tuple[float | None, float | None]:
    if not bool(outputs.isfinite().all()):
        return None, None
    loss = float(task.loss(outputs, targets))
    accuracy = None if task.accuracy is None else task.accuracy(outputs, targets)
    return (loss if math.isfinite(loss) else None), accuracy


def _advance(
    model: nn.Module,
    optimizer: Trains,
    task: Task,
    batches: Iterator[Tensor],
    *,
    start: int,
    stop: int,
) -> int:
    """Train from step `start`; the number of steps done, less than `stop` at a non-finite loss."""
    for step in range(start, stop):
        batch = next(batches)
        optimizer.zero_grad()
        loss = task.loss(model(task.train_inputs[batch]), task.train_targets[batch])
        if not math.isfinite(loss.item()):
            return step
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
    return stop


def _batches(examples: int, *, seed: int) -> Iterator[Tensor]:
    """Index batches without end: a fresh permutation per epoch, its last batch may be smaller."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.split(torch.randperm(examples, generator=generator), BATCH)


def _evaluation_steps(steps: int) -> list[int]:
    return sorted({max(1, round(steps * part / EVALUATIONS)) for part in range(1, EVALUATIONS + 1)})


def _stream(seed: int, stream: int) -> int:
    """A generator seed for one use of a run's seed: odd and even numbers never meet."""
    return 2 * seed + stream


def _copy_state(model: nn.Module) -> State:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _is_finite(state: State) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in state.values())


def _lost(first: Evaluation, last: Evaluation) -> bool:
    if first.train_loss is None or last.train_loss is None:
        return True
    return last.train_loss > DIVERGED_FACTOR * first.train_loss


def _log1p_sum(initial: State, final: State) -> float | None:
    """The sum of log(1 + |W - W_0|_F/|W_0|_F) over ndim >= 2; None where not finite."""
    matrices = [name for name, tensor in initial.items() if tensor.ndim >= 2]
    relative = [_relative_frobenius(initial[name], final[name]) for name in matrices]
    total = log1p_sum(relative)
    return total if math.isfinite(total) else None


def _relative_frobenius(reference: Tensor, changed: Tensor) -> float:
    before, after = reference.double(), changed.double()
    return float(torch.linalg.vector_norm(after - before) / torch.linalg.vector_norm(before))
