"""The `quantization_config` that names the layouts of a file for compressed-tensors' readers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netdistance.compression.base import Scheme
from netdistance.compression.containers import Container
from netdistance.compression.integers import Integers


def quantization_config(
    weights: Mapping[str, tuple[Scheme | None, Container | None]],
) -> dict[str, Any]:
    """A group for each scheme, with the modules that have it as targets.

    Every container is one of compressed-tensors' own. Source: its QuantizationConfig.
    """
    groups: dict[str, dict[str, Any]] = {}
    for name, (scheme, container) in weights.items():
        assert scheme is not None and container is not None
        group = groups.setdefault(scheme.name, _group(scheme, str(container.config)))
        group["targets"].append(name.removesuffix("weight").removesuffix("."))
    formats = {group["format"] for group in groups.values()}
    return {
        "quant_method": "compressed-tensors",
        "format": formats.pop() if len(formats) == 1 else "mixed-precision",
        "quantization_status": "compressed",
        "config_groups": {f"group_{i}": group for i, group in enumerate(groups.values())},
        "ignore": [],
    }


def _group(scheme: Scheme, format_name: str) -> dict[str, Any]:
    is_integer = isinstance(scheme, Integers)
    weights: dict[str, Any] = {
        "num_bits": scheme.width if isinstance(scheme, Integers) else 8,
        "type": "int" if is_integer else "float",
        "symmetric": True,
        "dynamic": False,
        "strategy": "channel" if is_integer else "tensor",
    }
    if isinstance(scheme, Integers) and scheme.group is not None:
        weights |= {"strategy": "group", "group_size": scheme.group}
    return {"targets": [], "weights": weights, "format": format_name}
