"""Which layer a tensor belongs to."""

from __future__ import annotations

import pytest

from netdistance.pairing.layers import layer_of


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("0.weight", "0"),
        ("encoder.layer.3.bias", "encoder.layer.3"),
        ("weight", "weight"),
        ("", ""),
        (".", "."),
        (".weight", ".weight"),
        ("0.", "0"),
        ("a..b", "a."),
    ],
)
def test_a_layer_is_the_name_without_its_last_part(name: str, layer: str) -> None:
    assert layer_of(name) == layer
