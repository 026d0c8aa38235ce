"""compare under other names: prefixes, renamings, globs, and what is suggested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.cli.invoke import invoke

NAMES = ("conv.weight", "conv.bias", "head.weight")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    tensors = {name: np.full((2, 3), 1.0 + i, np.float32) for i, name in enumerate(NAMES)}
    save_file(tensors, tmp_path / "a.safetensors")
    save_file({f"module.{n}": t for n, t in tensors.items()}, tmp_path / "b.safetensors")
    return str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")


def test_nothing_alike_suggests_the_prefix(pair: tuple[str, str]) -> None:
    outcome = invoke("compare", *pair)
    assert outcome.code == 4
    assert "Try --strip-prefix 'module.', which would match 3 more" in outcome.err


def test_a_few_alike_suggest_it_in_the_verdict(pair: tuple[str, str], tmp_path: Path) -> None:
    extra = {"shared": np.zeros(3, np.float32)}
    for name, prefix in (("c", ""), ("d", "module.")):
        tensors = {f"{prefix}{n}": np.ones((2, 3), np.float32) for n in NAMES}
        save_file({**tensors, **extra}, tmp_path / f"{name}.safetensors")
    outcome = invoke("compare", str(tmp_path / "c.safetensors"), str(tmp_path / "d.safetensors"))
    assert outcome.code == 0
    assert "Try --strip-prefix 'module.'" in " ".join(outcome.out.split())


@pytest.mark.parametrize(
    "options", [("--strip-prefix", "module."), ("--rename", r"^module\.=")], ids=str
)
def test_the_names_are_made_to_match(pair: tuple[str, str], options: tuple[str, ...]) -> None:
    outcome = invoke("compare", *pair, *options)
    assert (outcome.code, outcome.err) == (0, "")
    assert "3 tensors compared" in outcome.out and "3 identical; none unmatched" in outcome.out


def test_only_and_skip(pair: tuple[str, str]) -> None:
    outcome = invoke(
        "compare", *pair, "--strip-prefix", "module.", "--only", "conv.*", "--skip", "*.bias",
        "--require-all",
    )  # fmt: skip
    assert outcome.code == 0
    assert "1 tensor compared" in outcome.out


def test_a_renaming_that_cannot_be_read(pair: tuple[str, str]) -> None:
    outcome = invoke("compare", *pair, "--rename", "module")
    assert outcome.code == 2
    assert "REGEX=REPLACEMENT" in outcome.err
