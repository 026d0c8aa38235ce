"""width: how far may the weights of a network move before its loss has risen by a tolerance?"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netdistance.checkpoints import Checkpoint, open_checkpoint
from netdistance.errors import UsageError
from netdistance.pairing.rename import renamed, rules_for_pair
from netdistance.probes.curvature import curvature
from netdistance.probes.mean_loss import MeanLoss
from netdistance.probes.minimum_width import Minimum
from netdistance.probes.noise import perturbed_names, require_matched
from netdistance.probes.width_rows import Radii, measure_width, ratios, rows_of
from netdistance.progress import SILENT, Progress
from netdistance.report.document import Report, Scope, Verdict
from netdistance.report.provenance import provenance
from netdistance.report.width_rows import Against, Criterion, Curvature, WidthRow
from netdistance.report.width_text import width_verdict
from netdistance.studies.run_options import Run, RunOptions, open_run
from netdistance.studies.tensor_rows import tensor_rows

if TYPE_CHECKING:
    from netdistance.checkpoints.opening import Source
    from netdistance.quantities import Quantity

# a rise of the mean loss in nats, a fall of the accuracy as a fraction of the inputs
TOLERANCES: dict[Criterion, float] = {"loss": 0.1, "accuracy": 0.01}
# float32 rounds a loss of 1 by 1e-7, and a rise as small would be that
LEAST_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthOptions(RunOptions):
    """What width is asked; `against` is a second checkpoint of the same network.

    The criterion fails where the mean loss has risen (`loss`), or the accuracy has fallen
    (`accuracy`), by more than `tolerance`: 0.1 nats or 0.01 of the inputs if None. `layer_draws` 0
    leaves out the layers alone, `eigenvalues` 0 the curvature. `scope`, `layers` and the names are
    as in `PerturbOptions`.
    """

    against: Source | None = None
    criterion: Criterion = "loss"
    tolerance: float | None = None
    draws: int = 16
    layer_draws: int = 4
    scope: Scope = "weights"
    layers: tuple[str, ...] = ()
    eigenvalues: int = 3
    strip_prefix: str = ""
    rename: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def require_consistent(self) -> None:
        """Raise UsageError unless there are labels, and every number is in its range."""
        self.require_runnable()
        if self.targets is None:
            raise UsageError("width needs --targets FILE: a class label for each input")
        if self.tolerance is not None and not LEAST_TOLERANCE <= self.tolerance < math.inf:
            what = f"expected a number of at least {LEAST_TOLERANCE:g}"
            raise UsageError(f"--tolerance {self.tolerance:g}: {what}")
        for name, least in (("draws", 2), ("layer_draws", 0), ("eigenvalues", 0)):
            if getattr(self, name) < least:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} {getattr(self, name)}: expected {least} or more")


def width(source: Source, options: WidthOptions, *, progress: Progress = SILENT) -> Report:
    """The report of random and worst found radii of a minimum, and of the curvature of its loss.

    Raises:
        CheckpointError: a file is unreadable, invalid, or does not fit the model.
        InputError: the model, its inputs or their labels cannot be used.
        UsageError: no labels, a number out of range, or globs that match nothing.
    """
    options.require_consistent()
    _, rules = rules_for_pair(options.strip_prefix, options.rename, (), options.skip)
    with ExitStack() as stack:
        sources = (source,) if options.against is None else (source, options.against)
        files = [renamed(stack.enter_context(open_checkpoint(s)), rules) for s in sources]
        opened = open_run(options)
        found = [_one(file, opened, options, progress) for file in files]
        made_by = provenance(options, *files)
        tensors = tensor_rows(*files)
    report = Report(
        study="width",
        provenance={**made_by, **opened.provenance},
        verdict=Verdict(""),
        tensors=tensors,
        reference_loss=found[0].loss,
        reference_accuracy=found[0].accuracy,
        width=found[0].rows,
        curvature=found[0].curvature,
        against=_against(*found) if len(found) == 2 else None,
    )
    return replace(report, verdict=Verdict(width_verdict(report)))


@dataclass(frozen=True, slots=True)
class _Width:
    """What was measured of one checkpoint."""

    loss: Quantity
    accuracy: Quantity
    radii: tuple[Radii, ...]
    rows: tuple[WidthRow, ...]
    curvature: Curvature | None


def _one(checkpoint: Checkpoint, run: Run, options: WidthOptions, progress: Progress) -> _Width:
    state, size = run.network.state_from(checkpoint), options.batch_size
    checkpoint.verify_unchanged()
    require_matched(run.network, state, options.layers)
    names = perturbed_names(run.network, state, options.scope, options.layers)
    if not names:
        raise UsageError(f"{run.network.name}: no parameter of scope {options.scope} to move")
    assert run.targets is not None
    loss = MeanLoss.of(run.network, state, run.inputs, run.targets, batch_size=size)
    tolerance = options.tolerance or TOLERANCES[options.criterion]
    minimum = Minimum.of(loss, options.criterion, tolerance)
    draws, seed = options.draws, options.seed
    radii = measure_width(
        minimum, names, draws=draws, layer_draws=options.layer_draws, seed=seed, progress=progress
    )
    bent = None
    if options.eigenvalues:
        bent = curvature(
            loss, names, eigenvalues=options.eigenvalues, draws=draws, seed=seed, progress=progress
        )
    return _Width(*loss.reference(), radii, rows_of(radii, minimum), bent)


def _against(a: _Width, b: _Width) -> Against:
    return Against(b.loss, b.accuracy, b.rows, ratios(a.radii, b.radii), b.curvature)
