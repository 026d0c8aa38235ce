"""A LoRA adapter as a folder holds it: what it does to each tensor of a base.

Names are `base_model.model.<module>.lora_A.weight` and `.lora_B.weight`, for an embedding
`.lora_embedding_A` and `_B`; with `lora_bias` there is a `.lora_B.bias`. Every other tensor stands
in place of the base's own: `modules_to_save`, and trained biases. Source: huggingface/peft 0.21,
get_delta_weight in src/peft/tuners/lora/layer.py and src/peft/utils/save_and_load.py; Hu et al.,
LoRA, arXiv 2106.09685.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from netdistance.checkpoints.adapter_config import WEIGHTS, AdapterConfig, read_config
from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.checkpoints.low_rank import Factor, LowRank
from netdistance.checkpoints.opening import open_arrays
from netdistance.errors import CheckpointError

_PREFIX = re.compile(r"^base_model\.(model\.)?")
# an adapter's own name may stand in the middle, as in a state dict: lora_A.default.weight
_PART = re.compile(r"^(.+)\.lora_(embedding_)?([AB])(?:\.[^.]+)??(?:\.(weight|bias))?$")
# a base saved without the head has names without its first word or words
_MOST_WORDS_LESS = 2


class Adapter:
    """The tensors of an adapter, opened; use it as a context manager.

    `changes` has what is multiplied and added by the name of the tensor it is added to, `replaced`
    the adapter's tensor that stands in place of the base's own. Names are those of the model that
    was trained; `fitted` gives them as a base has them.
    """

    def __init__(self, folder: Path, file: Checkpoint, config: AdapterConfig) -> None:
        """Sort the tensors. Raises CheckpointError for one that is no part of plain LoRA."""
        self.folder, self.file, self.config = folder, file, config
        self.pairs: dict[str, dict[str, str]] = {}
        self.replaced: dict[str, str] = {}
        for name in file.specs:
            self._sort(name)
        if not self.pairs and not self.replaced:
            raise CheckpointError(file.path, "holds no tensors of an adapter")

    def _sort(self, name: str) -> None:
        bare = _PREFIX.sub("", name).replace(".base_layer.", ".").replace(".modules_to_save.", ".")
        part = _PART.match(bare)
        if part is None:
            if "lora_" in bare or "trainable_tokens" in bare:
                what = "is no part of plain LoRA (A, B and their bias)"
                raise CheckpointError(self.file.path, what, tensor=name)
            if bare in self.replaced:
                raise CheckpointError(self.file.path, f"stands for {bare!r} twice", tensor=name)
            self.replaced[bare] = name
            return
        module, embedding, letter, kind = part.groups()
        key = f"{letter}.bias" if kind == "bias" else letter
        target = f"{module}.bias" if kind == "bias" else f"{module}.weight"
        parts = self.pairs.setdefault(target, {})
        if key in parts or (embedding and kind):
            raise CheckpointError(self.file.path, "stands twice for one module", tensor=name)
        parts[key] = name
        if embedding:
            parts["embedding"] = name

    @property
    def targets(self) -> Iterator[str]:
        """The tensors that it changes, each once."""
        return iter(dict.fromkeys((*self.pairs, *self.replaced)))

    def fitted(self, base: Mapping[str, TensorSpec]) -> dict[str, str]:
        """Each target's name as the base has it: the same, or with words before it less or more.

        One rule goes for all targets; what fits none keeps its name.

        Raises:
            CheckpointError: the base has none of them.
        """
        targets = list(self.targets)
        rules = [
            {t: t.split(".", words)[-1] for t in targets} for words in range(_MOST_WORDS_LESS + 1)
        ]
        ends = [name for name in base if name.endswith(f".{targets[0]}")]
        rules += [{t: name.removesuffix(targets[0]) + t for t in targets} for name in ends[:1]]
        best = max(rules, key=lambda rule: sum(name in base for name in rule.values()))
        if not any(name in base for name in best.values()):
            what = f"the base has none of its {len(targets):,} targets, such as {targets[0]!r}"
            raise CheckpointError(self.folder, what)
        found = {t: name if name in base else t for t, name in best.items()}
        return found if len(set(found.values())) == len(found) else {t: t for t in targets}

    def change(self, target: str, shape: tuple[int, ...]) -> LowRank | str | None:
        """What is added to a target of this shape: None for nothing, text for why it cannot be."""
        parts = self.pairs.get(target)
        if parts is None:
            return None
        module = target.rpartition(".")[0]
        scale = self.config.scale_of(module)
        if "B.bias" in parts:
            return LowRank.of_bias(self.file, parts["B.bias"], scale, shape)
        for letter in "AB":
            if letter not in parts:
                return f"the adapter has lora_{'AB'.replace(letter, '')} of it, no lora_{letter}"
        rank, specs = self.config.rank_of(module), self.file.specs
        if specs[parts["A"]].shape[:1] != (rank,):
            found = specs[parts["A"]].shape
            return f"its lora_A has shape {found}, and the configuration says rank {rank}"
        factors = Factor(self.file, parts["A"]), Factor(self.file, parts["B"])
        turned = "embedding" in parts or self.config.fan_in_fan_out
        return LowRank.of(*factors, scale, shape, turned=turned)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.file.close()


def open_adapter(folder: Path) -> Adapter:
    """The adapter in a folder, its configuration read and its tensors unread.

    Raises:
        CheckpointError: it cannot be read, or is not plain LoRA.
    """
    config = read_config(folder)
    path = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if path is None:
        raise CheckpointError(folder, f"holds none of {', '.join(WEIGHTS)}")
    file = open_arrays(path)
    try:
        return Adapter(folder, file, config)
    except BaseException:
        file.close()
        raise
