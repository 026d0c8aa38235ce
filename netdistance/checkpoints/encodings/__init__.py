"""Weights stored in fewer bits, one file per encoding: packed tensors to the numbers they mean."""

from netdistance.checkpoints.encodings.awq import AWQ
from netdistance.checkpoints.encodings.base import Encoding
from netdistance.checkpoints.encodings.bitsandbytes_4bit import BITSANDBYTES_4BIT
from netdistance.checkpoints.encodings.bitsandbytes_int8 import BITSANDBYTES_INT8
from netdistance.checkpoints.encodings.compressed_tensors import COMPRESSED_TENSORS
from netdistance.checkpoints.encodings.fp8_block import FP8_BLOCK
from netdistance.checkpoints.encodings.gguf_blocks import GGUF_BLOCKS
from netdistance.checkpoints.encodings.gptq import GPTQ
from netdistance.checkpoints.encodings.mxfp4 import MXFP4
from netdistance.checkpoints.encodings.nvfp4 import NVFP4
from netdistance.checkpoints.encodings.scaled import SCALED

# where two would claim one tensor, the first has it
ENCODINGS: tuple[Encoding, ...] = (
    GGUF_BLOCKS,
    FP8_BLOCK,
    GPTQ,
    AWQ,
    COMPRESSED_TENSORS,
    MXFP4,
    BITSANDBYTES_4BIT,
    BITSANDBYTES_INT8,
    SCALED,
    NVFP4,
)
