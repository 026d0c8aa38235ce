"""netdistance: how far apart are two neural networks, and how much does it matter?

The commands as Python calls: `compare`, `perturb`, `train`, each with its options, and
`spectral_norm`. Importing this package imports nothing heavy: a name is loaded when it is used.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "CompareOptions": "netdistance.studies.compare",
    "PerturbOptions": "netdistance.studies.perturb",
    "SensitivityOptions": "netdistance.studies.sensitivity",
    "TrainOptions": "netdistance.studies.train",
    "compare": "netdistance.studies.compare",
    "conv_norm": "netdistance.linalg.conv_norm",
    "open_checkpoint": "netdistance.checkpoints",
    "perturb": "netdistance.studies.perturb",
    "render_json": "netdistance.report.json",
    "render_text": "netdistance.report.text",
    "sensitivity": "netdistance.studies.sensitivity",
    "spectral_norm": "netdistance.linalg.spectral_norm",
    "train": "netdistance.studies.train",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Load an exported name from the room where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module 'netdistance' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
