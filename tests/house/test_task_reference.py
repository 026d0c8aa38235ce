"""The page on tasks has a row for each task, network and init, and an example that is a task."""

import re
from pathlib import Path

import pytest

from netdistance.training.initial import INIT_NAMES
from netdistance.training.models import NETWORKS, build_network
from netdistance.training.tasks import TASKS, load_task

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "tasks.md"
NAMES = [choice.name for choice in (*TASKS, *NETWORKS)] + list(INIT_NAMES)


def rows(text: str) -> dict[str, str]:
    """The lines of the page's tables by their first cell in code marks."""
    return {found[1]: found[0] for found in re.finditer(r"^\| `([^`]+)` \|.*$", text, re.MULTILINE)}


def absent(names: list[str], text: str) -> list[str]:
    """Names without a row."""
    return [name for name in names if name not in rows(text)]


def test_every_name_has_a_row() -> None:
    assert absent(NAMES, PAGE.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("choice", [c for c in TASKS if not c.needs_data], ids=lambda c: c.name)
def test_the_row_of_a_task_says_its_sizes_and_its_network(choice) -> None:
    if choice.name == "digits":
        pytest.importorskip("sklearn")
    task = load_task(choice.name)
    row = rows(PAGE.read_text(encoding="utf-8"))[choice.name]
    assert f"| {len(task.train_inputs):,} / {len(task.test_inputs):,} |" in row
    assert row.endswith(f"| `{task.network}` |")


def test_the_example_is_a_task(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    (tmp_path / "own.py").write_text(code[1])
    task = load_task(f"{tmp_path / 'own.py'}:ring")
    assert (len(task.train_inputs), len(task.test_inputs), task.outputs) == (400, 200, 2)
    build_network(task.network, task, depth=1, width=4, init="he", seed=0)


def test_planted_missing_row_is_found() -> None:
    assert absent(["mlp", "cnn"], "| `mlp` | x |\n`cnn` stands in no table\n") == ["cnn"]
    assert absent(["mlp"], "| `mlp-tanh` | x |") == ["mlp"]
