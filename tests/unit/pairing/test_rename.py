"""Names that are stripped, rewritten and left out before pairing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from netdistance.checkpoints import open_checkpoint
from netdistance.errors import CheckpointError, UsageError
from netdistance.pairing.rename import NameRules, parse_renames, renamed, rules_for_pair

NAMES = ["module.h.0.weight", "module.h.10.weight", "module.ln.bias", "head.weight"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tensors = {name: np.full((2, 3), i, np.float32) for i, name in enumerate(NAMES)}
    save_file(tensors, tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


def names(path: Path, rules: NameRules) -> set[str]:
    with open_checkpoint(path) as file:
        return set(renamed(file, rules).specs)


def test_no_rules_are_the_checkpoint_itself(path: Path) -> None:
    with open_checkpoint(path) as file:
        assert renamed(file, NameRules()) is file


def test_prefix_then_renamings_then_globs(path: Path) -> None:
    _, rules = rules_for_pair(
        "module.", (r"^h\.=layers.", r"\.weight$=.w"), ("layers.*", "head*"), ("*.10.*",)
    )
    assert names(path, rules) == {"layers.0.w", "head.w"}


def test_renamings_are_of_b_alone() -> None:
    rules_a, rules_b = rules_for_pair("p.", ("x=y",), ("o*",), ("s*",))
    assert (rules_a.rename, len(rules_b.rename)) == ((), 1)
    assert (rules_a.strip_prefix, rules_a.only, rules_a.skip) == ("p.", ("o*",), ("s*",))


def test_values_are_read_under_the_new_name(path: Path) -> None:
    with open_checkpoint(path) as file:
        view = renamed(file, NameRules(strip_prefix="module."))
        spec = view.specs["h.10.weight"]
        assert (spec.name, spec.shape) == ("h.10.weight", (2, 3))
        assert view.read("h.10.weight").tolist() == [[1.0] * 3] * 2
        view.verify_unchanged()


def test_two_tensors_of_one_name_are_refused(path: Path) -> None:
    rules = NameRules(rename=parse_renames((r"\d+=N",)))
    with pytest.raises(CheckpointError, match=r"would both be called 'module.h.N.weight'"):
        names(path, rules)


@pytest.mark.parametrize("expression", ["no equals", "=x", "(=x", r"a=\1", "a(b)=\\2"])
def test_an_unreadable_renaming_is_refused(expression: str) -> None:
    with pytest.raises(UsageError, match="REGEX=REPLACEMENT"):
        parse_renames((expression,))


def test_a_renaming_may_hold_groups_and_equals() -> None:
    ((pattern, replacement),) = parse_renames((r"(a)=(b)=\2\1",))
    assert pattern.sub(replacement, "a=b") == "ba"
