"""Weights stored in fewer bits, one file per encoding: packed tensors to the numbers they mean."""

from netdistance.checkpoints.encodings.base import Encoding
from netdistance.checkpoints.encodings.bitsandbytes_4bit import BITSANDBYTES_4BIT
from netdistance.checkpoints.encodings.bitsandbytes_int8 import BITSANDBYTES_INT8
from netdistance.checkpoints.encodings.fp8_block import FP8_BLOCK
from netdistance.checkpoints.encodings.mxfp4 import MXFP4

# where two would claim one tensor, the first has it
ENCODINGS: tuple[Encoding, ...] = (FP8_BLOCK, MXFP4, BITSANDBYTES_4BIT, BITSANDBYTES_INT8)
