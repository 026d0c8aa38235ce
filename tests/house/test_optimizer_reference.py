"""The page on optimisers names every option, and every choice of `train` with its settings."""

from pathlib import Path

import pytest

from netdistance.optim import LAMB, LARS, Fromage
from netdistance.training.optimizers import OPTIMIZERS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "optimizers.md"


def rows(text: str) -> dict[str, str]:
    """The lines of the page's tables by their first cell in code marks."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return {line.split("`")[1]: line for line in lines}


def absent(options: dict[str, object], owner: str, table: dict[str, str]) -> list[str]:
    """Options without a row that names their owner, or `all`."""
    return [
        name
        for name in options
        if name not in table or not {owner, "all"} & set(table[name].replace(",", "").split())
    ]


@pytest.mark.parametrize("kind", [Fromage, LARS, LAMB])
def test_every_option_has_a_row(kind: type) -> None:
    table = rows(PAGE.read_text(encoding="utf-8"))
    options = {"lr": None, **kind.__init__.__kwdefaults__}
    assert absent(options, kind.__name__, table) == []


def test_planted_option_is_found() -> None:
    table = rows("| `lr` | all | 1 |\n| `eps` | LAMB | 1 |\n")
    assert absent({"lr": 1, "eps": 1, "beta": 1}, "LAMB", table) == ["beta"]
    assert absent({"eps": 1}, "LARS", table) == ["eps"]


def test_every_choice_has_a_row() -> None:
    table = rows(PAGE.read_text(encoding="utf-8"))
    assert [choice.name for choice in OPTIMIZERS if choice.name not in table] == []
