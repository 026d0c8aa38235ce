"""The tensors of a study that runs a network, with nothing measured of each alone."""

from __future__ import annotations

from netdistance.checkpoints import Checkpoint
from netdistance.pairing.layers import layer_of
from netdistance.pairing.match import natural_key
from netdistance.report.document import TensorRow


def tensor_rows(a: Checkpoint, b: Checkpoint | None = None) -> tuple[TensorRow, ...]:
    """A row for each tensor of a, in name order, with its encoding in b where there is one."""
    specs = sorted(a.specs.values(), key=lambda spec: natural_key(spec.name))
    others = {} if b is None else b.specs
    return tuple(
        TensorRow(
            spec.name,
            spec.shape,
            spec.encoding,
            others[spec.name].encoding if spec.name in others else None,
            layer_of(spec.name),
            {},
        )
        for spec in specs
    )
