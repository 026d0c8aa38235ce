"""One training run: what decides it, and how it goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netdistance.errors import UsageError, first_line
from netdistance.report.run_rows import CurvePoint, RunStatus
from netdistance.training.evaluation import Evaluation, Evaluator, copy_state, outputs_of
from netdistance.training.models import build_network
from netdistance.training.optimizers import Optimizers, find_optimizer
from netdistance.training.step_trust import StepTrust
from netdistance.training.tasks import Task
from netdistance.training.tasks.own_code import own_code
from netdistance.training.weight_norms import State

BATCH = 128
OWN = "own"  # the network that a file of the user brings with its task
EVALUATIONS = 20  # per run, besides the one before the first step
MEASURED_STEPS = 5  # between two evaluations: a measured step copies every weight
DIVERGED_FACTOR = 10.0  # a final loss beyond this multiple of the initial one has diverged


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Everything that decides the bits of a run."""

    task: str
    data: str  # the fingerprint of its examples
    network: str
    init: str
    depth: int  # hidden layers
    width: int
    optimizer: str
    lr: float
    lr_decay: float  # factor of the learning rate after each epoch
    batch: int
    seed: int
    steps: int


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended, and what was measured on the way: from step 0 to its last."""

    status: RunStatus
    curve: tuple[CurvePoint, ...]

    @property
    def final(self) -> CurvePoint:
        """The last evaluation."""
        return self.curve[-1]


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A run's result, and its network before and after."""

    result: RunResult
    initial_state: State
    final_state: State


# told of each evaluation, and of the network's state there
Listener = Callable[[Evaluation, State], None]


def run_training(settings: RunSettings, task: Task, listener: Listener) -> TrainedRun:
    """Train one network; a diverged run is a result, not an error.

    It stops at the first non-finite loss, and counts as diverged then, when a parameter is not
    finite at the end, and when the final training loss is over 10 x the initial one.
    The same settings give the same bits on the same machine and thread count.

    Raises:
        InputError: the task file's own network fails.
    """
    with torch.random.fork_rng(devices=[]):
        # of a user's own network: dropout draws from torch's generator, which is put back after
        torch.default_generator.manual_seed(-1 - settings.seed)  # of no other stream
        return _train(settings, task, listener)


def _train(settings: RunSettings, task: Task, listener: Listener) -> TrainedRun:
    model = network_of(settings, task)
    trainer = _Trainer.of(settings, task, model)
    evaluator = Evaluator.of(task, model)
    curve: list[CurvePoint] = []

    def look() -> CurvePoint:
        evaluation, state = evaluator.evaluate(trainer.done)
        listener(evaluation, state)
        curve.append(evaluation.point)
        return evaluation.point

    look()
    for stop in _evaluation_steps(settings.steps):
        trainer.advance(stop, evaluator.steps)
        if look().train_loss is None or trainer.done < stop:
            break
    finished = trainer.done == settings.steps and _is_finite(model)
    lost = _lost(curve[0].train_loss, curve[-1].train_loss)
    status: RunStatus = "finished" if finished and not lost else "diverged"
    return TrainedRun(RunResult(status, tuple(curve)), evaluator.start, copy_state(model))


@dataclass(slots=True)
class _Trainer:
    """A network, what moves it, and how many steps were done."""

    task: Task
    model: nn.Module
    optimizers: Optimizers
    batches: Iterator[Tensor]
    epoch: int  # steps
    lr_decay: float
    done: int = 0

    @classmethod
    def of(cls, settings: RunSettings, task: Task, model: nn.Module) -> _Trainer:
        examples = len(task.train_inputs)
        return cls(
            task,
            model,
            find_optimizer(settings.optimizer).build(model.parameters(), settings.lr),
            _batches(examples, settings.batch, seed=_stream(settings.seed, 1)),
            -(-examples // settings.batch),
            settings.lr_decay,
        )

    def advance(self, stop: int, measured: StepTrust) -> None:
        """Train up to `stop` steps in all, or until a loss that is not finite."""
        every = max(1, (stop - self.done) // MEASURED_STEPS)
        while self.done < stop:
            if not self._backward():
                return
            # counted back from `stop`, so that its own step is one of them
            with own_code(self.task, "its parameters cannot be moved"):
                self._step(measured if (stop - self.done - 1) % every == 0 else None)
            self.done += 1
            if self.done % self.epoch == 0 and self.lr_decay != 1.0:
                self._decay()

    def _step(self, measured: StepTrust | None) -> None:
        if measured is not None:
            measured.step(self.optimizers)
            return
        for optimizer in self.optimizers:
            optimizer.step()

    def _backward(self) -> bool:
        """The gradients of the next batch, unless its loss is not finite."""
        batch = next(self.batches)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        outputs = outputs_of(self.model, self.task, self.task.train_inputs[batch])
        with own_code(self.task, "its loss or its gradient fails"):
            loss = self.task.loss(outputs, self.task.train_targets[batch])
            if not math.isfinite(loss.item()):
                return False
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return True

    def _decay(self) -> None:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] *= self.lr_decay


def require_trainable(plan: Sequence[RunSettings], task: Task) -> None:
    """Build the network and every optimiser of a plan once, so that no run is the first to fail.

    Raises:
        UsageError: there is no such network, it does not take the inputs of this task, or an
            optimiser does not take its parameters.
        InputError: the task file's own network cannot be built.
    """
    for settings in {run.optimizer: run for run in plan}.values():
        parameters = network_of(settings, task).parameters()
        try:
            find_optimizer(settings.optimizer).build(parameters, settings.lr)
        except (ValueError, RuntimeError, TypeError) as error:
            what = f"does not take the parameters of {settings.network}: {first_line(error)}"
            raise UsageError(f"optimizer {settings.optimizer} {what}") from error


def network_of(settings: RunSettings, task: Task) -> nn.Module:
    """The network of a run before its first step.

    Raises:
        UsageError: there is no such network, or not for the inputs of this task.
        InputError: the task file's own network cannot be built.
    """
    return build_network(
        settings.network,
        task,
        depth=settings.depth,
        width=settings.width,
        init=settings.init,
        seed=_stream(settings.seed, 0),
    )


def _batches(examples: int, size: int, *, seed: int) -> Iterator[Tensor]:
    """Index batches without end: a fresh permutation per epoch, its last batch may be smaller."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.split(torch.randperm(examples, generator=generator), size)


def _evaluation_steps(steps: int) -> list[int]:
    return sorted({max(1, round(steps * part / EVALUATIONS)) for part in range(1, EVALUATIONS + 1)})


def _stream(seed: int, stream: int) -> int:
    """A generator seed for one use of a run's seed: odd and even numbers never meet."""
    return 2 * seed + stream


def _is_finite(model: nn.Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def _lost(first: float | None, last: float | None) -> bool:
    if first is None or last is None:
        return True
    # ten times a loss below zero, as a log-density may have, is no measure
    return last > DIVERGED_FACTOR * first > 0.0
