"""Small files, small functions, flat control flow, and file names that say what is inside.

Functions and studies are measured in lines of code: docstrings, comments, blank lines, imports and
the declared fields of a class are free, so that nobody saves on explaining.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("netdistance", "benchmarks", "tests")

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40
MAX_NESTING = 3
MAX_STUDY_LINES = 65  # about 60
NAMELESS = ("utils.py", "util.py", "helpers.py", "helper.py", "common.py", "core.py", "misc.py")

# "file", or "file:function", and why it may be larger than the rule
EXCEPTIONS: dict[str, str] = {}

Function = ast.FunctionDef | ast.AsyncFunctionDef
CONTROL = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def sources() -> dict[str, str]:
    """Every Python file of the project by its path from the root."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


def functions(source: str) -> Iterator[Function]:
    """Every function of a module, nested ones and methods too."""
    return (node for node in ast.walk(ast.parse(source)) if isinstance(node, Function))


def code_lines(source: str, node: ast.Module | Function) -> int:
    """Lines of a module or function that are no docstring, import, field, comment or blank."""
    lines = source.splitlines()
    first, last = (
        (1, len(lines)) if isinstance(node, ast.Module) else (node.lineno, node.end_lineno)
    )
    assert last is not None
    free = {
        number
        for part in ast.walk(node)
        for statement in _free_statements(part)
        for number in range(statement.lineno, (statement.end_lineno or 0) + 1)
    }
    return sum(
        number not in free and not text.strip().startswith("#") and text.strip() != ""
        for number, text in enumerate(lines[first - 1 : last], start=first)
    )


def _free_statements(node: ast.AST) -> list[ast.stmt]:
    """The docstring that a node opens with, the fields that it declares, the import that it is."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [node]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if not isinstance(node, documented):
        return []
    free = node.body[:1] if ast.get_docstring(node, clean=False) is not None else []
    if isinstance(node, ast.ClassDef):
        free = free + [field for field in node.body if isinstance(field, ast.AnnAssign)]
    return free


def nesting(node: ast.AST) -> int:
    """How deep control flow stands inside control flow; an elif is no deeper than its if."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue
        step = isinstance(child, CONTROL) and not _is_elif(node, child)
        deepest = max(deepest, step + nesting(child))
    return deepest


def _is_elif(parent: ast.AST, child: ast.AST) -> bool:
    return isinstance(parent, ast.If) and isinstance(child, ast.If) and parent.orelse == [child]


def too_large(files: dict[str, str]) -> dict[str, str]:
    """What breaks a size rule: `file` or `file:function` to a sentence."""
    problems = {}
    for path, source in files.items():
        tree = ast.parse(source)
        count = len(source.splitlines())
        if count > MAX_FILE_LINES:
            problems[path] = f"{path}: {count} lines, at most {MAX_FILE_LINES}"
        if path.startswith("netdistance/studies/"):
            count = code_lines(source, tree)
            if count > MAX_STUDY_LINES:
                problems[path] = f"{path}: {count} lines of code, a study has {MAX_STUDY_LINES}"
        for node in functions(source):
            problems |= _function_problems(path, source, node)
    return problems


def _function_problems(path: str, source: str, node: Function) -> dict[str, str]:
    where = f"{path}:{node.name}"
    assert node.end_lineno is not None
    count, depth = node.end_lineno - node.lineno + 1, nesting(node)
    if count > MAX_FUNCTION_LINES and (count := code_lines(source, node)) > MAX_FUNCTION_LINES:
        return {where: f"{where}: {count} lines of code, at most {MAX_FUNCTION_LINES}"}
    if depth > MAX_NESTING:
        return {where: f"{where}: nested {depth} deep, at most {MAX_NESTING}"}
    return {}


@cache
def problems_here() -> dict[str, str]:
    """What breaks a rule in the project."""
    return too_large(sources())


def test_sizes() -> None:
    problems = [text for where, text in problems_here().items() if where not in EXCEPTIONS]
    assert not problems, "\n".join(problems)


def test_every_exception_is_still_needed_and_says_why() -> None:
    assert [where for where in EXCEPTIONS if where not in problems_here()] == []
    assert all(reason.strip() for reason in EXCEPTIONS.values())


def test_file_names_say_what_is_inside() -> None:
    assert [path for path in sources() if path.rsplit("/", 1)[-1] in NAMELESS] == []


def test_the_reader_sees_the_project() -> None:
    assert {"netdistance/quantities.py", "tests/house/test_sizes.py"} <= set(sources())


def body(count: int) -> str:
    return "".join(f"    x = {number}\n" for number in range(count))


def test_planted_long_file_is_found() -> None:
    assert not too_large({"netdistance/a.py": "x = 1\n" * 300})
    assert too_large({"netdistance/a.py": "x = 1\n" * 301})


def test_planted_long_function_is_found() -> None:
    assert not too_large({"a.py": "def f():\n" + body(39)})
    assert list(too_large({"a.py": "def f():\n" + body(40)})) == ["a.py:f"]
    method = "class A:\n    async def f(self):\n" + body(40).replace("    x", "        x")
    assert list(too_large({"a.py": method})) == ["a.py:f"]


def test_docstring_comments_and_blank_lines_are_free() -> None:
    words = '    """First.\n\n' + "    More.\n" * 60 + '    """\n'
    assert not too_large({"a.py": "def f():\n" + words + "    # why\n" * 30 + "\n" * 30 + body(39)})
    assert too_large({"a.py": "def f():\n" + words + body(40)})


@pytest.mark.parametrize("control", ["if x:", "for x in y:", "while x:", "with x:"])
def test_planted_deep_nesting_is_found(control: str) -> None:
    def nested(depth: int) -> str:
        lines = [" " * 4 * level + control for level in range(1, depth + 1)]
        return "def f():\n" + "\n".join(lines) + "\n" + " " * 4 * (depth + 1) + "pass\n"

    assert not too_large({"a.py": nested(3)})
    assert list(too_large({"a.py": nested(4)})) == ["a.py:f"]


def test_nesting_counts_match_and_try_once_and_elif_never() -> None:
    chain = "def f(x):\n    if x:\n        pass\n" + "    elif x:\n        pass\n" * 9
    assert [nesting(node) for node in functions(chain)] == [1]
    other = "def f(x):\n    match x:\n        case 1:\n            try:\n                pass\n"
    other += "            except E:\n                if x:\n                    pass\n"
    assert [nesting(node) for node in functions(other)] == [3]


def test_planted_long_study_is_found() -> None:
    imports = "import math\n" * 30
    assert not too_large({"netdistance/studies/a.py": imports + "x = 1\n" * 65})
    assert too_large({"netdistance/studies/a.py": imports + "x = 1\n" * 66})
    options = "class Options:\n" + "    x: int = 1\n" * 30
    assert not too_large({"netdistance/studies/a.py": options + "x = 1\n" * 64})
    assert too_large({"netdistance/studies/a.py": options + "x = 1\n" * 65})
    assert not too_large({"netdistance/probes/a.py": imports + "x = 1\n" * 66})
