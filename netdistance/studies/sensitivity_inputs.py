"""The part of sensitivity that runs the network: how far outputs move per unit of input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netdistance.bounds.input_sensitivity import input_output
from netdistance.checkpoints import Checkpoint
from netdistance.progress import Progress
from netdistance.report.document import BoundRow, InputOutput
from netdistance.studies.run_options import RunOptions, open_run


@dataclass(frozen=True, slots=True)
class OverInputs:
    """What running the network adds to the report."""

    part: InputOutput
    row: BoundRow
    provenance: dict[str, Any]


def over_inputs(checkpoint: Checkpoint, options: RunOptions, *, progress: Progress) -> OverInputs:
    """The certified bound over the graph, and what was measured at the first `certify` inputs.

    Raises:
        CheckpointError: the checkpoint does not fit the model.
        InputError: the network or the inputs cannot be used.
        BoundViolationError: the certificate lies below what was measured.
    """
    opened = open_run(options)
    part, row = input_output(
        opened.network,
        opened.network.state_from(checkpoint),
        opened.inputs[: options.certify],
        batch_size=options.batch_size,
        progress=progress,
    )
    return OverInputs(part, row, opened.provenance)
