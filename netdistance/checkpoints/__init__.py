"""Files to named arrays, streamed: one file per format."""

from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.checkpoints.opening import FORMATS, open_checkpoint

__all__ = ["FORMATS", "Checkpoint", "TensorSpec", "open_checkpoint"]
