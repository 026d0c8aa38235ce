"""The report's JSON as scripts rely on it: which keys, and which kind of number each is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

KINDS = {
    "exact": {"kind", "value"},
    "interval": {"kind", "lower", "upper", "confidence"},
    "estimate": {"kind", "value", "stderr"},
    "skipped": {"kind", "reason"},
}
BOUND = {"name", "standing", "over", "inputs", "value", "measured", "assumptions"}
STANDINGS = {
    "norms_certificate": {("certified", "ball"), ("certified", "known")},
    "ball_certificate": {("certified", "ball")},
    "box_certificate": {("certified", "ball")},
    "known_change_certificate": {("certified", "known")},
    "neuron_certificate": {("certified", "ball"), ("certified", "known")},
    "first_order_rms": {("estimated", "draws")},
    "first_order_worst": {("estimated", "ball")},
    "deep_relative_trust": {("modelled", "ball"), ("modelled", "known"), ("modelled", "draws")},
    "max_relative_step": {("modelled", "known")},
    "loss_change": {("estimated", "known")},
    "spectral_trust": {("modelled", "ball"), ("modelled", "known")},
}


def strict(text: str) -> dict[str, Any]:
    """The document, refused where it holds NaN or Infinity."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    document: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return document


def without_provenance(text: str) -> dict[str, Any]:
    """The part of a document that two runs must share."""
    document = strict(text)
    del document["provenance"]
    return document


def kind(quantity: Mapping[str, Any]) -> str:
    """The kind of a quantity, once it has exactly the keys of that kind."""
    found = str(quantity["kind"])
    assert set(quantity) == KINDS[found], quantity
    return found


def check_bound(row: Mapping[str, Any]) -> None:
    """A bounds row: its keys, standing and kinds, and no certificate below its measurement."""
    optional = {
        "modelled": {"log1p_sum", "log10"}, "certified": {"top1_unchanged"}, "estimated": set(),
    }[row["standing"]]  # fmt: skip
    assert BOUND <= set(row) <= BOUND | optional, set(row)
    assert row["assumptions"] and all(isinstance(text, str) for text in row["assumptions"])
    assert (row["standing"], row["over"]) in STANDINGS[row["name"]]
    if row["standing"] == "certified" and kind(row["value"]) != "skipped":
        assert kind(row["value"]) == "interval"
        assert row["value"]["lower"] == 0.0
        assert row["value"]["upper"] >= row["measured"]["value"]
    if row["standing"] == "modelled":
        # a product of proved intervals is one, unless nothing moves
        kinds = {"interval", "exact"} if row["name"] == "spectral_trust" else {"exact"}
        assert kind(row["value"]) in kinds | {"skipped"}
        assert "not a bound" in row["assumptions"][0]
    if row["standing"] == "estimated":
        # the worst is one number found by ascent, and the root mean square has a standard error;
        # the loss is measured over all inputs, and what bounds it is sampled
        expected = {
            "first_order_worst": ("exact", "exact"),
            "first_order_rms": ("estimate", "estimate"),
            "loss_change": ("estimate", "exact"),
        }
        kinds = kind(row["value"]), kind(row["measured"])
        assert kinds == expected[row["name"]] or "skipped" in kinds


def check_quantiles(quantiles: Mapping[str, float]) -> None:
    """Three plain numbers in order."""
    assert list(quantiles) == ["0.5", "0.9", "1.0"]
    assert list(quantiles.values()) == sorted(quantiles.values())
