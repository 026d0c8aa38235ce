"""What compare is asked beyond the two files: one object for the command and the Python call."""

from __future__ import annotations

from dataclasses import dataclass

from netdistance.bounds.trust import SPECTRAL_TRUST
from netdistance.distances.relative import SUM_METRICS
from netdistance.errors import UsageError
from netdistance.report.thresholds import Condition
from netdistance.studies.run_options import RunOptions

# numbers that are in a report only where an option asks for them
_ASKED_FOR = {
    **{metric.name: "all_metrics" for metric in SUM_METRICS if not metric.default},
    SPECTRAL_TRUST.name: "spectral",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions(RunOptions):
    """What compare is asked beyond the two files; outputs are compared where a model is given.

    `rename` is of `REGEX=REPLACEMENT`, for b's names; `strip_prefix`, `only` and `skip` are for
    both sides'. `all_metrics` adds sign flips, sparsity and the relative maximum; `spectral` adds
    spectral distances and stable ranks, which hold two whole tensors at a time. `conversions` also
    matches what converters rename, fuse, split, transpose and permute (`pairing.conversions`).
    """

    all_metrics: bool = False
    spectral: bool = False
    conversions: bool = False
    threads: int | None = None
    strip_prefix: str = ""
    rename: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    fail_if: tuple[str, ...] = ()
    require_all: bool = False

    def __post_init__(self) -> None:
        """Refuse what Python allows and the command line does not.

        Raises:
            UsageError: one string where several are expected, or no thread.
        """
        for name in ("rename", "only", "skip", "fail_if"):
            if isinstance(getattr(self, name), str):
                raise UsageError(f"{name} is several strings: write {name}=('...',)")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"threads is {self.threads}, expected 1 or more")

    def require_consistent(self) -> None:
        """Raise UsageError where one option needs another."""
        if self.runs:
            self.require_runnable()
        for condition in map(Condition.parse, self.fail_if):
            option = _ASKED_FOR.get(condition.metric)
            if option is not None and not getattr(self, option):
                flag = f"--{option.replace('_', '-')}"
                raise UsageError(f"--fail-if {condition.expression!r}: needs {flag}; add it")
