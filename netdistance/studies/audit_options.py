"""What an audit is asked beyond the two files: one object for the command and the Python call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from netdistance.errors import UsageError
from netdistance.report.audit_rows import AuditVerdict
from netdistance.report.thresholds import Condition
from netdistance.studies.compare_options import CompareOptions
from netdistance.studies.run_options import PathLike

_MEASURED = ("measured", "gain", "deviation", "relative_output_deviation")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOptions(CompareOptions):
    """What audit is asked beyond the two files; outputs are measured where a model is given.

    `adapter` is the folder of a LoRA adapter that b is said to hold: a then stands for a with it.
    `keep` is how many layers may stand in the list of those to keep in high precision. `fail_on`
    are verdicts that must not occur, neither they nor a worse one.
    """

    conversions: bool = True
    adapter: PathLike | None = None
    keep: int = 5
    fail_on: tuple[AuditVerdict, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what Python allows and the command line does not.

        Raises:
            UsageError: one string where several are expected, an unknown verdict, or less than 0.
        """
        # a dataclass with slots is made anew, which an argumentless super() does not see
        CompareOptions.__post_init__(self)
        if isinstance(self.fail_on, str):
            raise UsageError("fail_on is several strings: write fail_on=('...',)")
        known = get_args(AuditVerdict)
        for word in self.fail_on:
            if word not in known:
                raise UsageError(f"no verdict is called {word!r}; there are {', '.join(known)}")
        if self.keep < 0:
            raise UsageError(f"keep is {self.keep}, expected 0 or more")

    def require_consistent(self) -> None:
        """Raise UsageError where one option needs another."""
        CompareOptions.require_consistent(self)
        for condition in map(Condition.parse, self.fail_if):
            if condition.metric in _MEASURED and not self.runs:
                raise UsageError(
                    f"--fail-if {condition.expression!r}: needs --model and --inputs; add them"
                )
