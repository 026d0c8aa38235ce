"""perturb: how far do the outputs of one network move under noise in its weights?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from netdistance.bounds.ladder import sweep_points
from netdistance.checkpoints import open_checkpoint
from netdistance.errors import UsageError
from netdistance.pairing.rename import renamed, rules_for_pair
from netdistance.probes.noise_levels import noise_of
from netdistance.probes.noise_sweep import NoiseSweep
from netdistance.progress import SILENT, Progress
from netdistance.report.document import Report, Scope, Verdict
from netdistance.report.provenance import provenance
from netdistance.report.verdicts import perturb_verdict
from netdistance.studies.run_options import RunOptions, open_run
from netdistance.studies.tensor_rows import tensor_rows

if TYPE_CHECKING:
    from netdistance.checkpoints.opening import Source

SCOPES: tuple[Scope, ...] = ("weights", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class PerturbOptions(RunOptions):
    """What perturb is asked; `noise` keeps the user's spelling: relative levels and formats.

    Only parameters that a glob of `layers` matches move, where there is one. `spectral` adds
    spectral trust, from proved norms of each weight and of its farthest change. `strip_prefix`,
    `rename` and `skip` are for the checkpoint's names, as in `CompareOptions`.
    """

    noise: tuple[str, ...] = ("0.01", "0.05", "0.2")
    draws: int = 16
    scope: Literal["weights", "all", "both"] = "both"
    layers: tuple[str, ...] = ()
    spectral: bool = False
    strip_prefix: str = ""
    rename: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


def perturb(source: Source, options: PerturbOptions, *, progress: Progress = SILENT) -> Report:
    """The report of measured, attacked, estimated, certified and modelled deviation per level.

    Raises:
        CheckpointError: the file is unreadable, invalid, or does not fit the model.
        InputError: the model or its inputs cannot be used.
        UsageError: a noise is neither a level in range nor a format.
        BoundViolationError: a certificate lies below a measurement.
    """
    noises = tuple(noise_of(text) for text in dict.fromkeys(options.noise))
    options.require_runnable()
    _, rules = rules_for_pair(options.strip_prefix, options.rename, (), options.skip)
    with open_checkpoint(source) as file:
        checkpoint, opened = renamed(file, rules), open_run(options)
        sweep = NoiseSweep.of(
            opened.network,
            opened.network.state_from(checkpoint),
            opened.inputs,
            opened.targets,
            batch_size=options.batch_size,
            seed=options.seed,
            draws=options.draws,
            layers=options.layers,
        )
        checkpoint.verify_unchanged()
        source = provenance(options, checkpoint)
        rows = tensor_rows(checkpoint)
    report = Report(
        study="perturb",
        provenance={**source, **opened.provenance},
        verdict=Verdict(""),
        tensors=rows,
        reference_accuracy=sweep.reference_accuracy,
        sweep=sweep_points(
            sweep,
            noises,
            _scopes(options, sweep),
            certify=options.certify,
            spectral=options.spectral,
            progress=progress,
        ),
    )
    return replace(report, verdict=Verdict(perturb_verdict(report)))


def _scopes(options: PerturbOptions, sweep: NoiseSweep) -> tuple[Scope, ...]:
    """The scopes in which one of the named layers moves.

    Raises:
        UsageError: there is none.
    """
    asked = SCOPES if options.scope == "both" else (options.scope,)
    moving = tuple(scope for scope in asked if sweep.names(scope) or not options.layers)
    if not moving:
        what = "matches no tensor with two or more axes; give --scope all"
        raise UsageError(f"--layers {' '.join(options.layers)}: {what}")
    return moving
