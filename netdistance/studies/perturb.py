"""perturb: how far do the outputs of one network move under layerwise relative noise?"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from netdistance.bounds.ladder import sweep_points
from netdistance.checkpoints import Checkpoint, open_checkpoint
from netdistance.errors import UsageError
from netdistance.networks.inputs import load_inputs, load_targets
from netdistance.networks.load import load_network
from netdistance.pairing.layers import layer_of
from netdistance.pairing.match import natural_key
from netdistance.probes.noise_sweep import NoiseSweep
from netdistance.progress import SILENT, Progress
from netdistance.report.document import Report, Scope, TensorRow, Verdict
from netdistance.report.provenance import provenance
from netdistance.report.verdicts import perturb_verdict

if TYPE_CHECKING:
    from netdistance.checkpoints.opening import Source

PathLike = str | os.PathLike[str]
# the noise that float64 can hold to six digits beside the weights
LEAST_NOISE = 1e-10
SCOPES: tuple[Scope, ...] = ("weights", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class PerturbOptions:
    """What perturb is asked. `model` names code that is run; `noise` keeps the user's spelling."""

    model: str
    inputs: PathLike
    targets: PathLike | None = None
    noise: tuple[str, ...] = ("0.01", "0.05", "0.2")
    draws: int = 16
    scope: Literal["weights", "all", "both"] = "both"
    certify: int = 16
    batch_size: int = 512
    device: str = "auto"
    seed: int = 0


def perturb(source: Source, options: PerturbOptions, *, progress: Progress = SILENT) -> Report:
    """The report of measured, attacked, estimated, certified and modelled deviation per level.

    Raises:
        CheckpointError: the file is unreadable, invalid, or does not fit the model.
        InputError: the model or its inputs cannot be used.
        UsageError: a noise level is no positive number.
        BoundViolationError: a certificate lies below a measurement.
    """
    levels = {text: _level(text) for text in options.noise}
    inputs = load_inputs(options.inputs)
    targets = load_targets(options.targets, len(inputs.values)) if options.targets else None
    with open_checkpoint(source) as checkpoint:
        network = load_network(options.model, device=options.device)
        sweep = NoiseSweep.of(
            network,
            network.state_from(checkpoint),
            inputs.values,
            targets,
            batch_size=options.batch_size,
            seed=options.seed,
            draws=options.draws,
        )
        checkpoint.verify_unchanged()
        source = provenance(options, checkpoint)
        rows = _tensor_rows(checkpoint)
    report = Report(
        study="perturb",
        provenance={**source, "inputs": inputs.note, "device": str(network.device)},
        verdict=Verdict(""),
        tensors=rows,
        reference_accuracy=sweep.reference_accuracy,
        sweep=sweep_points(
            sweep,
            levels,
            SCOPES if options.scope == "both" else (options.scope,),
            certify=options.certify,
            progress=progress,
        ),
    )
    return replace(report, verdict=Verdict(perturb_verdict(report)))


def _level(text: str) -> float:
    try:
        level = float(text)
    except ValueError:
        level = math.nan
    if not LEAST_NOISE <= level < math.inf:
        raise UsageError(
            f"--noise {text}: expected levels from {LEAST_NOISE:g} up, such as 0.01,0.05,0.2"
        )
    return level


def _tensor_rows(checkpoint: Checkpoint) -> tuple[TensorRow, ...]:
    specs = sorted(checkpoint.specs.values(), key=lambda spec: natural_key(spec.name))
    return tuple(TensorRow(s.name, s.shape, s.encoding, None, layer_of(s.name), {}) for s in specs)
