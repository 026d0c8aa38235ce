"""sensitivity: how much can each weight of one checkpoint stretch its input?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netdistance.bounds.spectral_product import spectral_product
from netdistance.checkpoints import Checkpoint, open_checkpoint
from netdistance.checkpoints.base import TensorSpec
from netdistance.distances.structure import MOST_ELEMENTS, norm_and_rank, too_large
from netdistance.errors import NothingComparableError, UsageError
from netdistance.pairing.layers import layer_of
from netdistance.pairing.match import natural_key, pair_tensors
from netdistance.pairing.rename import renamed, rules_for_pair
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Skipped
from netdistance.report.document import LayerNorm, Report, Sensitivity, TensorRow, Verdict
from netdistance.report.provenance import provenance
from netdistance.report.sensitivity_text import sensitivity_verdict
from netdistance.studies.run_options import RunOptions

if TYPE_CHECKING:
    from netdistance.checkpoints.opening import Source
    from netdistance.studies.sensitivity_inputs import OverInputs


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityOptions(RunOptions):
    """What sensitivity is asked; the network is run where a model is given.

    `strip_prefix`, `rename` and `skip` are for the checkpoint's names, as in `CompareOptions`. A
    tensor of more than `most_elements` is skipped, for memory, beyond 2^28 always.
    """

    strip_prefix: str = ""
    rename: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    most_elements: int = MOST_ELEMENTS

    def require_consistent(self) -> None:
        """Raise UsageError where options contradict each other, or labels are given."""
        if self.targets is not None:
            raise UsageError("targets: sensitivity judges no answers; leave them out")
        if self.runs:
            self.require_runnable()


def sensitivity(
    source: Source, options: SensitivityOptions | None = None, *, progress: Progress = SILENT
) -> Report:
    """The report of every weight's proved spectral norm and stable rank, and of their product.

    Weights are the floating-point tensors with two or more axes. A matrix has its largest singular
    value; more axes are read as a convolution, whose norm at stride 1 over all input sizes is an
    upper bound for every stride, zero padding, dilation and group count (`linalg.weight_norm`).
    That each norm lies in its interval is proved. That their product bounds how far outputs move
    per unit of input is `modelled`: it ignores branches, normalisation and the rest of the graph.
    With a model, `report.sensitivity.input_output` holds a bound over its graph for every two
    inputs, the Jacobian's norm at the first `certify` inputs, and the largest ratio found.

    Raises:
        CheckpointError: the file is unreadable or invalid, or does not fit the model.
        NothingComparableError: it holds no weight.
        InputError: the model or its inputs cannot be used.
        UsageError: `model` without `inputs`, or targets.
        BoundViolationError: the bound lies below what was measured.
    """
    options = options or SensitivityOptions()
    options.require_consistent()
    _, rules = rules_for_pair(options.strip_prefix, options.rename, (), options.skip)
    with open_checkpoint(source) as file:
        checkpoint = renamed(file, rules)
        run = _run(checkpoint, options, progress) if options.runs else None
        specs = _weights(checkpoint)
        tied = _tied(checkpoint)
        layers: dict[str, LayerNorm] = {}
        with progress.task("spectral norms", sum(spec.elements for spec in specs)) as advance:
            for spec in specs:
                layers[spec.name] = _layer(checkpoint, spec, options)
                advance(spec.elements)
        checkpoint.verify_unchanged()
        made_by = provenance(options, checkpoint)
    product = spectral_product(list(layers.values()), tied, ran=run is not None)
    assert product.log10 is not None
    report = Report(
        study="sensitivity",
        provenance={**made_by, **(run.provenance if run else {})},
        verdict=Verdict(""),
        tensors=tuple(
            TensorRow(s.name, s.shape, s.encoding, None, layer_of(s.name), {}, tied.get(s.name))
            for s in specs
        ),
        bounds=(product, *((run.row,) if run else ())),
        sensitivity=Sensitivity(product.log10, tuple(layers.values()), run.part if run else None),
    )
    return replace(report, verdict=Verdict(sensitivity_verdict(report)))


def _run(checkpoint: Checkpoint, options: SensitivityOptions, progress: Progress) -> OverInputs:
    # imported here: weights alone never import torch
    from netdistance.studies.sensitivity_inputs import over_inputs

    return over_inputs(checkpoint, options, progress=progress)


def _weights(checkpoint: Checkpoint) -> list[TensorSpec]:
    """Weights in name order, with those that might be weights if they could be read."""
    found = [
        spec
        for spec in checkpoint.specs.values()
        if spec.is_weight or (spec.unreadable is not None and len(spec.shape) >= 2)
    ]
    if not found:
        what = "holds no floating-point tensor with two or more axes, and so no weight to measure"
        raise NothingComparableError(f"{checkpoint.path}: {what}")
    return sorted(found, key=lambda spec: natural_key(spec.name))


def _tied(checkpoint: Checkpoint) -> dict[str, str]:
    """The weights whose elements another weight has, and that weight's name."""
    specs, ties = checkpoint.specs, checkpoint.ties
    pairs = pair_tensors(specs, specs, ties_a=ties, ties_b=ties).pairs if ties else ()
    return {pair.name: pair.tied_to for pair in pairs if pair.tied_to is not None}


def _layer(checkpoint: Checkpoint, spec: TensorSpec, options: SensitivityOptions) -> LayerNorm:
    reason = spec.unreadable
    if reason is None and spec.elements > options.most_elements:
        reason = too_large(spec.elements, options.most_elements)
    if reason is not None:
        return LayerNorm(spec.name, Skipped(reason), Skipped(reason))
    return LayerNorm(spec.name, *norm_and_rank(checkpoint.read(spec.name)))
