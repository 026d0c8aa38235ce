"""What of a task decides the shapes of its networks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from netdistance.training.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and outputs of a network. Tokens are counted from 0, below `vocabulary`."""

    inputs: tuple[int, ...]  # of one example: numbers, or channels x height x width, or tokens
    outputs: int
    vocabulary: int | None = None  # None where inputs are no tokens
    per_token: bool = False  # whether every token has outputs of its own

    @classmethod
    def of(cls, task: Task) -> Signature:
        """The signature that the examples of a task have."""
        vocabulary = None
        if not task.train_inputs.is_floating_point():
            vocabulary = 1 + int(max(task.train_inputs.max(), task.test_inputs.max()))
        per_token = vocabulary is not None and task.train_targets.shape == task.train_inputs.shape
        return cls(tuple(task.train_inputs.shape[1:]), task.outputs, vocabulary, per_token)

    @property
    def features(self) -> int:
        """The numbers of one example."""
        return math.prod(self.inputs)
