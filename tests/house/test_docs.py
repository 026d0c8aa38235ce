"""What the program offers is in the reference, what the docs point at exists, what they show runs.

Every checker takes plain texts, so that planted faults show that it can fail.
"""

from __future__ import annotations

import ast
import doctest
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import pytest

from netdistance import errors
from netdistance.bounds import BOUND_NAMES
from netdistance.cli import app
from netdistance.distances import MATRIX_METRICS, ROUNDING_METRICS, SUM_METRICS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"

FENCED = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)|(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#+[ \t]+(.*?)[ \t#]*$", re.MULTILINE)
# each in two halves, so that this file does not match itself
NOWHERE = tuple(
    first + second
    for first, second in (
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("/Use", "rs/"),
        ("helper ", "agent"),
        ("coding ", "agent"),
        ("AI", "-generated"),
        ("co-authored", "-by"),
    )
)


def reference() -> str:
    """All reference pages as one text."""
    pages = (path.read_text(encoding="utf-8") for path in sorted(REFERENCE.glob("*.md")))
    return "\n".join(map(without_false_headings, pages))


def without_false_headings(page: str) -> str:
    """The page with each # that begins a line of a code block moved off the line's start.

    >>> without_false_headings("# a\\n```\\n# b\\n```\\n")
    '# a\\n```\\n # b\\n```\\n'
    """
    return FENCED.sub(lambda block: re.sub(r"^#", " #", block[0], flags=re.MULTILINE), page)


def missing(names: Iterable[str], text: str) -> list[str]:
    """Names that do not stand in the text as whole words; a dash is part of a word."""
    return [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)]


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command under a group with the words that call it, the group first."""
    yield path, group
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def options(command: click.Command) -> list[str]:
    """Every spelling of every option of a command."""
    return [
        spelling
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for spelling in (*parameter.opts, *parameter.secondary_opts)
    ]


def section(title: str, text: str) -> str:
    """What stands between the heading that ends in `title` and the next heading of its level.

    >>> section("tool run", "# tool\\n## `tool run`\\nA\\n### more\\nB\\n## other\\nC\\n")
    '\\nA\\n### more\\nB\\n'
    """
    found = re.search(rf"^(#+) .*?{re.escape(title)}`?[ \t]*$", text, re.MULTILINE)
    if found is None:
        return ""
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def error_classes(sources: Iterable[str]) -> list[str]:
    """Classes that descend from NetDistanceError, by the names in their class statements."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef)
    }
    found = {errors.NetDistanceError.__name__}
    while more := {name for name, parents in bases.items() if parents & found} - found:
        found |= more
    return sorted(found)


def exit_codes() -> list[int]:
    """Every exit code that errors.py names, alone or beside a class."""
    named = [value for name, value in vars(errors).items() if re.match(r"EXIT_[A-Z]+$", name)]
    single = [value for value in named if isinstance(value, int)]
    return sorted({*single, *(code for _, code in errors.EXIT_CODES)})


def project_files() -> list[Path]:
    """Files under version control or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def leaks(content: bytes) -> list[str]:
    """Words that belong to one machine or to no document, found in a file's bytes."""
    lowered = content.lower()
    return [word for word in NOWHERE if word.lower().encode() in lowered]


def anchors(text: str) -> set[str]:
    """The fragments that a page's headings can be linked by."""
    titles = HEADING.findall(FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading of a page."""
    problems = []
    for found in LINK.finditer(FENCED.sub("", page.read_text(encoding="utf-8"))):
        link = found[1] or found[2]
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue
        name, _, fragment = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists():
            problems.append(f"{page.name}: {link} does not exist")
        elif fragment and fragment not in anchors(target.read_text(encoding="utf-8")):
            problems.append(f"{page.name}: {link}: no such heading")
    return problems


def shown_sessions(text: str) -> str:
    """A page with its fence lines emptied, so that a fence does not end up as expected output."""
    return re.sub(r"^(```|~~~).*$", "", text, flags=re.MULTILINE)


PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_every_command_and_option_is_in_the_reference() -> None:
    text = reference()
    problems = []
    for path, command in commands(app, "netdistance"):
        described = section(path, text)
        if not described:
            problems.append(f"no heading `{path}` in docs/reference")
        problems += [f"{path}: {option}" for option in missing(options(command), described)]
    assert not problems, "not in docs/reference:\n" + "\n".join(problems)


def test_every_command_and_option_has_help() -> None:
    problems = []
    for path, command in commands(app, "netdistance"):
        given = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
        problems += [f"{path} {p.opts[0]}" for p in given if not p.help]
        problems += [] if command.help else [path]
    assert not problems, f"without help: {problems}"


def test_every_exit_code_is_in_the_reference() -> None:
    text = reference()
    absent = [code for code in exit_codes() if not re.search(rf"^\| `?{code}`? \|", text, re.M)]
    assert not absent, f"exit codes without a table row in docs/reference: {absent}"
    assert {0, 1, 2, 3, 4, 5, 70, 130, 143} <= set(exit_codes())


def test_every_error_class_is_in_the_reference() -> None:
    sources = [p.read_text(encoding="utf-8") for p in (ROOT / "netdistance").rglob("*.py")]
    classes = error_classes(sources)
    assert "CheckpointError" in classes
    assert missing(classes, reference()) == []


def test_every_default_metric_is_in_the_reference() -> None:
    names = [m.name for m in (*SUM_METRICS, *ROUNDING_METRICS, *MATRIX_METRICS)]
    assert missing(names, reference()) == []


def test_every_bound_is_in_the_reference() -> None:
    assert missing(BOUND_NAMES, reference()) == []


def test_no_file_names_a_machine() -> None:
    files = project_files()
    assert Path(__file__) in files
    problems = {str(p.relative_to(ROOT)): found for p in files if (found := leaks(p.read_bytes()))}
    assert not problems, problems


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_resolve(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_sessions_in_the_docs_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session = doctest.DocTestParser().get_doctest(
        shown_sessions(page.read_text(encoding="utf-8")), {}, page.name, str(page), 0
    )
    report: list[str] = []
    doctest.DocTestRunner(verbose=False).run(session, out=report.append)
    assert not report, "".join(report)


def test_planted_missing_name_is_found() -> None:
    text = "| `max_abs` | ... `--json FILE`, --all-metrics ..."
    assert missing(["max_abs", "--json", "--all-metrics"], text) == []
    assert missing(["max", "--js", "--all", "json"], text) == ["max", "--js", "--all", "json"]


def test_planted_undocumented_option_is_found() -> None:
    @click.group()
    def tool() -> None:
        """Do it."""

    @tool.command()
    @click.option("--fast/--slow", help="How.")
    @click.option("-n", "--number", help="How many.")
    def run(fast: bool, number: int) -> None:
        """Run it."""

    found = dict(commands(tool, "tool"))
    assert list(found) == ["tool", "tool run"]
    assert options(found["tool run"]) == ["--fast", "--slow", "-n", "--number"]
    pages = "# `tool`\n\n## `tool run`\n`--fast`, `--slow`, `-n`\n\n## `tool walk`\n`--number`\n"
    assert missing(options(run), section("tool run", pages)) == ["--number"]
    assert section("tool stop", pages) == ""


def test_planted_error_class_is_found() -> None:
    sources = [
        "class NetDistanceError(Exception): ...\nclass OtherError(Exception): ...",
        "class DeepError(FarError): ...\nclass FarError(NetDistanceError): ...",
    ]
    assert error_classes(sources) == ["DeepError", "FarError", "NetDistanceError"]


@pytest.mark.parametrize("word", NOWHERE)
def test_planted_machine_word_is_found(word: str) -> None:
    assert leaks(b"\x00 see " + word.upper().encode() + b"main") == [word]
    assert leaks(b"workspace, network/relay, route") == []


def test_planted_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `thing`, here\n"
        "[a](page.md#one-thing-here) [b](https://example.org/x) [c](#one-thing-here)\n"
        "```\n[not a link](nowhere.md)\n```\n"
        '[d](gone.md) [e](#two) <img src="gone.svg">\n'
    )
    assert broken_links(page) == [
        "page.md: gone.md does not exist",
        "page.md: #two: no such heading",
        "page.md: gone.svg does not exist",
    ]


def test_planted_wrong_session_is_found() -> None:
    for shown, failures in (("2", 0), ("3", 1)):
        text = shown_sessions(f"```python\n>>> 1 + 1\n{shown}\n```\n")
        session = doctest.DocTestParser().get_doctest(text, {}, "page", "page", 0)
        assert len(session.examples) == 1
        run = doctest.DocTestRunner(verbose=False).run(session, out=lambda _: None)
        assert run.failed == failures
