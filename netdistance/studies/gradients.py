"""gradients: how far may I step before the gradient that told me where to go has broken down?"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netdistance.checkpoints import Checkpoint, open_checkpoint
from netdistance.errors import UsageError
from netdistance.pairing.rename import renamed, rules_for_pair
from netdistance.probes.gradient_breakdown import Start
from netdistance.probes.gradient_rows import along_noise, along_pair, along_step, left_behind
from netdistance.probes.mean_loss import MeanLoss
from netdistance.probes.noise import perturbed_names, require_matched
from netdistance.probes.noise_levels import LEAST_NOISE, MOST_NOISE
from netdistance.progress import SILENT, Progress
from netdistance.report.document import Report, Scope, Verdict
from netdistance.report.gradients_text import gradients_verdict
from netdistance.report.provenance import provenance
from netdistance.studies.run_options import Run, RunOptions, open_run
from netdistance.studies.tensor_rows import tensor_rows

if TYPE_CHECKING:
    from netdistance.checkpoints.opening import Source
    from netdistance.networks.load import State


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientsOptions(RunOptions):
    """What gradients is asked; sizes in `relative_step` are fractions of each tensor's norm.

    `scope`, `layers` and the names are as in `PerturbOptions`.
    """

    relative_step: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1)
    draws: int = 8
    scope: Scope = "weights"
    layers: tuple[str, ...] = ()
    strip_prefix: str = ""
    rename: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def require_consistent(self) -> None:
        """Raise UsageError unless there are labels, sizes in range, and two draws or more."""
        self.require_runnable()
        if self.targets is None:
            raise UsageError("gradients needs --targets FILE: a class label for each input")
        for size in self.relative_step or (0.0,):
            if not LEAST_NOISE <= size <= MOST_NOISE:
                what = f"expected numbers from {LEAST_NOISE:g} to {MOST_NOISE:g}"
                raise UsageError(f"--relative-step {size:g}: {what}")
        if self.draws < 2:
            raise UsageError(f"--draws {self.draws}: expected 2 or more")


def gradients(
    a: Source,
    options: GradientsOptions,
    *,
    b: Source | None = None,
    progress: Progress = SILENT,
) -> Report:
    """The report of how the gradient of a's loss changes down itself, under noise, and toward b.

    Raises:
        CheckpointError: a file is unreadable, invalid, or does not fit the model.
        InputError: the model, its inputs or their labels cannot be used, or there is no gradient.
        UsageError: no labels, a number out of range, or globs that match nothing.
    """
    options.require_consistent()
    _, rules = rules_for_pair(options.strip_prefix, options.rename, (), options.skip)
    with ExitStack() as stack:
        sources = (a,) if b is None else (a, b)
        files = [renamed(stack.enter_context(open_checkpoint(s)), rules) for s in sources]
        run = open_run(options)
        states = [_state(run, file) for file in files]
        made_by, tensors = provenance(options, *files), tensor_rows(*files)
    start, sizes = _start(run, states[0], options), sorted(set(options.relative_step))
    points, descent = along_step(start, sizes, progress)
    noise = along_noise(start, sizes, draws=options.draws, seed=options.seed, progress=progress)
    pair, toward = along_pair(start, states[1], progress) if b is not None else ((), None)
    loss, accuracy = start.loss.reference()
    report = Report(
        study="gradients",
        provenance={**made_by, **run.provenance},
        verdict=Verdict(""),
        tensors=tensors,
        reference_loss=loss,
        reference_accuracy=accuracy,
        gradients=(*points, *noise, *pair),
        descent=(descent,) if toward is None else (descent, toward),
    )
    stays = left_behind(start, *states) if b is not None else ()
    return replace(report, verdict=Verdict(gradients_verdict(report, stays)))


def _state(run: Run, checkpoint: Checkpoint) -> State:
    state = run.network.state_from(checkpoint)
    checkpoint.verify_unchanged()
    return state


def _start(run: Run, state: State, options: GradientsOptions) -> Start:
    require_matched(run.network, state, options.layers)
    moved = perturbed_names(run.network, state, options.scope, options.layers)
    if not moved:
        raise UsageError(f"{run.network.name}: no parameter of scope {options.scope} to move")
    assert run.targets is not None
    size = options.batch_size
    loss = MeanLoss.of(run.network, state, run.inputs, run.targets, batch_size=size)
    return Start.of(loss, moved)
