"""netdistance: how far apart are two neural networks, and how much does it matter?

The commands as Python calls: `compare`, `perturb`, `sensitivity`, `width`, `gradients`, `audit`
(and `simulate`, which is audit without a compressed copy) and `train`, each with its options;
`read_report` and `render` for what they return; and the parts that are useful alone. Importing
this package imports nothing heavy: a name is loaded when it is used. `__init__.pyi` says what
types they have.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "AuditOptions": "netdistance.studies.audit",
    "CompareOptions": "netdistance.studies.compare",
    "Estimate": "netdistance.quantities",
    "Exact": "netdistance.quantities",
    "GradientsOptions": "netdistance.studies.gradients",
    "Interval": "netdistance.quantities",
    "PerturbOptions": "netdistance.studies.perturb",
    "Quantity": "netdistance.quantities",
    "Report": "netdistance.report.document",
    "SensitivityOptions": "netdistance.studies.sensitivity",
    "SimulateOptions": "netdistance.studies.simulate",
    "Skipped": "netdistance.quantities",
    "Task": "netdistance.training.tasks.task",
    "TrainOptions": "netdistance.studies.train",
    "WidthOptions": "netdistance.studies.width",
    "audit": "netdistance.studies.audit",
    "compare": "netdistance.studies.compare",
    "conv_norm": "netdistance.linalg.conv_norm",
    "gradients": "netdistance.studies.gradients",
    "open_checkpoint": "netdistance.checkpoints",
    "perturb": "netdistance.studies.perturb",
    "point": "netdistance.quantities",
    "read_report": "netdistance.report.saved",
    "render": "netdistance.report.renderers",
    "render_fragment": "netdistance.report.fragment",
    "render_json": "netdistance.report.json",
    "render_text": "netdistance.report.text",
    "sensitivity": "netdistance.studies.sensitivity",
    "simulate": "netdistance.studies.simulate",
    "spectral_norm": "netdistance.linalg.spectral_norm",
    "train": "netdistance.studies.train",
    "width": "netdistance.studies.width",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Load an exported name from the room where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module 'netdistance' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The exported names, loaded or not, for completion in an editor or a notebook."""
    return sorted({*globals(), *_HOMES})
