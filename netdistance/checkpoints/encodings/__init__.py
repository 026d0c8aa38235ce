"""Weights stored in fewer bits, one file per encoding: packed tensors to the numbers they mean."""

from netdistance.checkpoints.encodings.base import Encoding
from netdistance.checkpoints.encodings.fp8_block import FP8_BLOCK
from netdistance.checkpoints.encodings.gguf_blocks import GGUF_BLOCKS

# where two would claim one tensor, the first has it
ENCODINGS: tuple[Encoding, ...] = (FP8_BLOCK, GGUF_BLOCKS)
