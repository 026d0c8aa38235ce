"""What AutoGPTQ and AutoAWQ store for a linear layer: `qweight`, `qzeros` and `scales`.

Both use these names, and the shapes tell them apart: GPTQ packs a weight along its inputs, so that
its columns are the outputs, as the columns of the scales; AWQ packs 8 outputs into a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netdistance.checkpoints.encodings.base import Stored
from netdistance.checkpoints.encodings.packed import RefusedError, require_float, require_readable

SUFFIX = ".qweight"
_NAMES = ("qweight", "qzeros", "scales", "g_idx")


@dataclass(frozen=True, slots=True)
class Layer:
    """The packed tensors of the layer `name`."""

    stored: Stored
    name: str

    @property
    def parts(self) -> tuple[str, ...]:
        """Those of its tensors that are there."""
        own = (f"{self.name}.{part}" for part in _NAMES)
        return tuple(name for name in own if name in self.stored.specs)

    def shape(self, part: str) -> tuple[int, ...]:
        """The shape of one of them, () where it is not there."""
        spec = self.stored.specs.get(f"{self.name}.{part}")
        return spec.shape if spec is not None else ()

    @property
    def is_awq(self) -> bool:
        """Whether AWQ packed it, by the shapes, and by the configuration where they do not say."""
        packed, scales = self.shape("qweight"), self.shape("scales")
        if len(packed) == len(scales) == 2 and packed[1] == scales[1]:
            return False
        if (len(packed) == len(scales) == 2 and 8 * packed[1] == scales[1]) or self.is_gemv:
            return True
        return self.stored.config.get("quant_method") == "awq" or "w_bit" in self.stored.config

    @property
    def is_gemv(self) -> bool:
        """Whether its shapes are those of AWQ's layout GEMV: a row for each output."""
        packed, scales = self.shape("qweight"), self.shape("scales")
        return len(packed) == len(scales) == 2 and packed[0] == scales[0]

    def require_parts(self) -> tuple[int, int]:
        """(groups, outputs) of scales that fit packed integers.

        Raises:
            RefusedError: a tensor is missing, or of another type or rank.
        """
        for part in _NAMES[:3]:
            if f"{self.name}.{part}" not in self.stored.specs:
                raise RefusedError(f"'{self.name}.{part}' is not in the file")
            if len(shape := self.shape(part)) != 2 or 0 in shape:
                raise RefusedError(f"'{self.name}.{part}' has shape {shape}, expected a matrix")
        for part in ("qweight", "qzeros"):
            spec = self.stored.specs[f"{self.name}.{part}"]
            if spec.encoding != "I32":
                raise RefusedError(f"{spec.name!r} is {spec.encoding}, expected I32")
        require_float(self.stored, f"{self.name}.scales")
        require_readable(self.stored, self.parts)
        groups, outputs = self.shape("scales")
        return groups, outputs


def layers(stored: Stored, *, awq: bool) -> Iterator[Layer]:
    """The layers that AWQ packed, or those that GPTQ did.

    A `qweight` that is no integers and has no scales beside it is another's, and stays as it is.
    """
    for name in stored.with_suffix(SUFFIX):
        layer = Layer(stored, name)
        is_packed = stored.specs[name + SUFFIX].encoding == "I32" or layer.shape("scales")
        if is_packed and layer.is_awq == awq:
            yield layer


def group_of(inputs: int, groups: int, size: object) -> int:
    """How many inputs share a scale, of a configured `group_size` or of the shapes alone.

    Raises:
        RefusedError: the two disagree.
    """
    if type(size) is int and (size == -1 or size > 0):
        group = inputs if size == -1 else size
        if -(-inputs // group) != groups:
            raise RefusedError(
                f"the configuration says groups of {size}, and {inputs} inputs have {groups} scales"
            )
        return min(group, inputs)
    if inputs % groups:
        raise RefusedError(f"{inputs} inputs are not {groups} groups of one size")
    return inputs // groups
