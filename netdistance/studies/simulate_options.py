"""What a simulation of compression is asked: schemes, a budget, and a file to write."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from netdistance.errors import UsageError
from netdistance.report.thresholds import Condition
from netdistance.studies.run_options import PathLike, RunOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateOptions(RunOptions):
    """Which `schemes` to simulate, as `compression.schemes` spells them.

    `budget` is how far the outputs may move on average, relative: 0.05 or "5%". `write` is a
    safetensors file for the assignment that the budget chose, or for the only scheme. The others
    are for the checkpoint's names and the gate, as in `CompareOptions`.
    """

    schemes: tuple[str, ...] = ()
    budget: float | str | None = None
    write: PathLike | None = None
    strip_prefix: str = ""
    rename: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    fail_if: tuple[str, ...] = ()

    def require_consistent(self) -> None:
        """Raise UsageError where one option needs another, or cannot be read."""
        if self.runs:
            self.require_runnable()
        if self.limit is not None and not self.runs:
            raise UsageError("--budget is of the outputs: it needs --model and --inputs")
        if self.write is not None:
            if self.budget is None and len(self.schemes) != 1:
                raise UsageError("--write needs a --budget that chooses, or one scheme alone")
            if not os.fspath(self.write).endswith(".safetensors"):
                raise UsageError(f"--write {self.write}: expected a name in .safetensors")
        for condition in map(Condition.parse, self.fail_if):
            of_chosen = condition.metric in ("relative_output_deviation", "bits_per_weight")
            if of_chosen and self.budget is None and len(self.schemes) != 1:
                what = "judges what was chosen: give --budget, or one scheme"
                raise UsageError(f"--fail-if {condition.expression!r}: {what}")

    @property
    def limit(self) -> float | None:
        """The budget as a fraction.

        Raises:
            UsageError: it is no number above 0.
        """
        if self.budget is None:
            return None
        text = str(self.budget).strip()
        try:
            number = float(text.removesuffix("%")) / (100.0 if text.endswith("%") else 1.0)
        except ValueError:
            number = math.nan
        if not 0.0 < number < math.inf:
            raise UsageError(f"--budget {text!r}: expected a deviation above 0, such as 0.05 or 5%")
        return number
