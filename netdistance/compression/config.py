"""The `quantization_config` that names the layouts of a file for compressed-tensors' readers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netdistance.compression.base import Scheme
from netdistance.compression.containers import Container
from netdistance.compression.rounded import Rounded
from netdistance.grids.integers import Symmetric


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
    assert isinstance(scheme, Rounded)
    is_integer, group = isinstance(scheme.quantiser.code, Symmetric), scheme.quantiser.cut.group
    weights: dict[str, Any] = {
        "num_bits": scheme.width,
        "type": "int" if is_integer else "float",
        "symmetric": True,
        "dynamic": False,
        "strategy": "channel" if is_integer else "tensor",
    }
    if group is not None:
        weights |= {"strategy": "group", "group_size": group}
    return {"targets": [], "weights": weights, "format": format_name}
