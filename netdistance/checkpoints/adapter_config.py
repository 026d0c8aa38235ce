"""adapter_config.json of a LoRA adapter: which scale each layer has, and what is refused.

Source: LoraConfig of huggingface/peft 0.21 (src/peft/tuners/lora/config.py), and its rule for
patterns, get_pattern_key in src/peft/utils/other.py. The file is anybody's: nothing is believed.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netdistance.checkpoints.base import brief
from netdistance.checkpoints.json_text import json_object
from netdistance.errors import CheckpointError

_CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_MOST_BYTES = 1 << 22
_MOST_RANK = 1 << 20
# variants whose change of a weight is not scale x B A, or is not of the weight alone
_VARIANTS = (
    *("use_dora", "use_qalora", "use_bdlora", "kasa_config", "monteclora_config", "arrow_config"),
    *("alora_invocation_tokens", "layer_replication", "trainable_token_indices", "megatron_config"),
    "target_parameters",
)
# these change the base as well when the adapter is made, so that base + change is not the model
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
# a pattern is a regular expression of anybody's, and the ways to match multiply: with the length of
# a name for each repetition, and by the alternatives of a group. Two repetitions leave room for a
# group of three: at most 20 ms on a name of 200 characters, where a third repetition takes a second
_REPETITION, _ALTERNATIVE = re.compile(r"(?<!\()[*+?{]"), re.compile(r"[(|]")
_WEIGHT, _MOST_CHOICES, _MOST_CHOICES_IN_ALL, _MOST_PATTERN = 5, 13, 64, 200
_REPEATED_GROUP = re.compile(r"\)[*+?{]")
# one for each module of the largest mixtures of experts; to match a plain name takes 0.5 us
_MOST_PATTERNS = 1 << 16


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """What of the configuration decides how A and B make a change."""

    rank: int
    alpha: float
    rank_pattern: Mapping[re.Pattern[str], Any]
    alpha_pattern: Mapping[re.Pattern[str], Any]
    by_root: bool  # scale alpha / sqrt(rank): rank-stabilised LoRA, arXiv 2312.03732
    fan_in_fan_out: bool

    def rank_of(self, module: str) -> int:
        """The rank that the module should have."""
        rank: int = _matching(self.rank_pattern, module, self.rank)
        return rank

    def scale_of(self, module: str) -> float:
        """What B A is multiplied by."""
        rank = self.rank_of(module)
        alpha: float = _matching(self.alpha_pattern, module, self.alpha)
        return alpha / (math.sqrt(rank) if self.by_root else rank)


def is_adapter(path: Path) -> bool:
    """Whether a folder holds an adapter, which means nothing without its base."""
    # os.path answers no where nothing can be asked, as for a path with a NUL
    return os.path.isfile(path / _CONFIG) and any(os.path.isfile(path / w) for w in WEIGHTS)


def read_config(folder: Path) -> AdapterConfig:
    """The configuration of the adapter in a folder.

    Raises:
        CheckpointError: it cannot be read, is not of LoRA, or asks for a variant that is not plain
            LoRA, such as `use_dora`.
    """
    path = folder / _CONFIG
    found = _json(path)
    kind = found.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(path, f"peft_type is {brief(kind)}, and LORA is what can be added")
    for key in _VARIANTS:
        if found.get(key):
            raise CheckpointError(
                path, f"{key} is set: what it does to a weight is not scale x B A"
            )
    start = found.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        what = f"init_lora_weights is {brief(start)}, which changes the base too"
        raise CheckpointError(path, f"{what}: save the adapter converted to plain LoRA")
    return AdapterConfig(
        rank=_rank(path, "r", found.get("r")),
        alpha=_number(path, "lora_alpha", found.get("lora_alpha")),
        rank_pattern=_pattern(path, "rank_pattern", found, _rank),
        alpha_pattern=_pattern(path, "alpha_pattern", found, _number),
        by_root=found.get("use_rslora") is True,
        fan_in_fan_out=found.get("fan_in_fan_out") is True,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CheckpointError(path, "too large for a configuration")
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointError(path, str(error.strerror).lower()) from error
    return json_object(raw, path, "invalid configuration")


def _rank(path: Path, key: str, value: object) -> int:
    # bool is an int in Python
    if type(value) is int and 0 < value <= _MOST_RANK:
        return value
    raise CheckpointError(path, f"{key} is {brief(value)}, expected a rank above 0")


def _number(path: Path, key: str, value: object) -> float:
    if type(value) in (int, float) and -1e30 < value < 1e30:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    raise CheckpointError(path, f"{key} is {brief(value)}, expected a finite number")


def _pattern(
    path: Path, key: str, found: Mapping[str, Any], check: Any
) -> Mapping[re.Pattern[str], Any]:
    patterns = found.get(key) or {}
    if not isinstance(patterns, dict):
        raise CheckpointError(path, f"{key} is {brief(patterns)}, expected names with values")
    choices = sum(len(_REPETITION.findall(p)) + p.count("(") for p in patterns)
    if len(patterns) > _MOST_PATTERNS or choices > _MOST_CHOICES_IN_ALL:
        what = "are more patterns, repetitions and groups than are matched for anybody"
        raise CheckpointError(path, f"{key}: {len(patterns)} {what}")
    compiled = {}
    for pattern, value in patterns.items():
        check(path, f"{key}[{brief(pattern)}]", value)
        if not _is_simple(pattern):
            what = "has too many repetitions and groups for a pattern that nobody vouches for"
            raise CheckpointError(path, f"{key}: {brief(pattern)} {what}")
        compiled[_compiled(path, key, pattern)] = value
    return compiled


def _is_simple(pattern: str) -> bool:
    """Whether no name takes long to match."""
    repetitions, alternatives = _REPETITION.findall(pattern), _ALTERNATIVE.findall(pattern)
    choices = _WEIGHT * len(repetitions) + len(alternatives)
    is_short = len(pattern) <= _MOST_PATTERN and choices <= _MOST_CHOICES
    return is_short and not _REPEATED_GROUP.search(pattern)


def _compiled(path: Path, key: str, pattern: str) -> re.Pattern[str]:
    """The pattern for the end of a module's path, from a dot on."""
    try:
        re.compile(pattern)  # by itself too: what opens a group has to close it
        return re.compile(rf"(.*\.)?({pattern})$")
    except (re.error, RecursionError, OverflowError) as error:
        what = f"{key}: {brief(pattern)} is no regular expression"
        raise CheckpointError(path, f"{what} for the end of a name: {error}") from None


def _matching(patterns: Mapping[re.Pattern[str], Any], module: str, otherwise: Any) -> Any:
    """The value of the first pattern that the module's path matches."""
    found = (value for pattern, value in patterns.items() if pattern.match(module[-_MOST_PATTERN:]))
    return next(found, otherwise)
