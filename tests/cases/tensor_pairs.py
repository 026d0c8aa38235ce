"""One table of tensor pairs, for every law that a metric has to keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LEAF = 1 << 16


@dataclass(frozen=True, slots=True)
class Case:
    """Two equally long 1-D arrays of floating point, made when they are needed."""

    name: str
    make: Callable[[], tuple[np.ndarray, np.ndarray]]


def draw(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size)


def near(size: int, change: float, kind: Any = np.float64, scale: float = 1.0) -> Case:
    """b is a, moved by a fraction of itself, both stored as `kind`."""

    def make() -> tuple[np.ndarray, np.ndarray]:
        a = scale * draw(size)
        return a.astype(kind), (a + change * scale * draw(size, 1)).astype(kind)

    return Case(f"{size} of {np.dtype(kind).name}, {scale:g}, moved by {change:g}", make)


def given(name: str, a: list[complex], b: list[complex], kind: Any = np.float64) -> Case:
    return Case(name, lambda: (np.array(a, kind), np.array(b, kind)))


PAIRS = (
    given("empty", [], []),
    given("one", [2.0], [3.0]),
    given("identical", [1.0, -2.0, 3.0], [1.0, -2.0, 3.0]),
    given("both zero", [0.0, -0.0], [-0.0, 0.0]),
    given("zero reference", [0.0, 0.0], [1.0, 0.0]),
    given("became zero", [1.0, 2.0], [0.0, 0.0]),
    given("opposite", [1.0, 2.0], [-1.0, -2.0]),
    given("orthogonal", [1.0, 0.0], [0.0, 1.0]),
    given("parallel", [1.0, 3.0], [2.0, 6.0]),
    given("last bit", [1.0, 1.0], [1.0, 1.0 + 2.0**-52]),
    given("smallest", [5e-324, 0.0], [1e-323, 0.0]),
    given("largest", [1.7e308, 1.7e308], [-1.7e308, 1.7e308]),
    given("far apart", [1e-200, 0.0], [1e200, 1.0]),
    given("tiny change beside a huge element", [1e200, 1e-200], [1e200, 3e-200]),
    given("NaN", [1.0, float("nan")], [1.0, 2.0]),
    given("infinity", [1.0, 2.0], [float("-inf"), 2.0]),
    given("complex", [1 + 2j, 3 - 4j], [1 + 2j, 4j], np.complex64),
    near(1000, 0.5),
    near(1000, 1e-3, np.float32),
    near(1000, 1e-7),
    near(1000, 1e-15),
    near(1000, 0.1, np.float16),
    near(777, 0.1, scale=1e-170),
    near(777, 0.1, scale=1e170),
    near(777, 0.1, scale=1e-310),
    near(777, 1.0, np.float32, scale=1e-40),
    near(LEAF + 1, 1e-2, np.float32),
)
# several leaves each, for the laws of splitting: too long for a slow twin
LONG = (
    near(LEAF + 1, 1e-2, np.float32),
    near(2 * LEAF, 1e-3),
    near(3 * LEAF + 17, 0.25, np.float32),
    near(2 * LEAF + 4096, 0.25, scale=1e150),
    near(2 * LEAF + 1, 0.25, scale=1e-160),
    Case("scales that differ", lambda: (np.geomspace(1e-250, 1e250, 4 * LEAF), np.ones(4 * LEAF))),
)
BY_NAME = {case.name: case for case in PAIRS}
