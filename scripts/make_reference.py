"""Write docs/reference/commands.md from the commands' own help.

python scripts/make_reference.py
"""

from __future__ import annotations

from pathlib import Path

import click

from netdistance.cli import app

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "commands.md"
INTRODUCTION = """# Commands

Made by `scripts/make_reference.py` from the commands' own `--help`. Each command but `demo` is a
[Python call](../how-to/use-from-python.md) too: `netdistance.compare(a, b, CompareOptions(...))`
returns the same report. The tab key [completes them](../how-to/complete-commands-in-your-shell.md).
"""


def reference_page() -> str:
    """The page: one heading and one block of help for each command."""
    group = click.Context(app, info_name="netdistance", terminal_width=88)
    parts = [INTRODUCTION, _section("netdistance", app, group)]
    for name in app.list_commands(group):
        command = app.get_command(group, name)
        assert command is not None
        context = click.Context(command, group, info_name=name, terminal_width=88)
        parts.append(_section(f"netdistance {name}", command, context))
    return "\n".join(parts)


def _section(title: str, command: click.Command, context: click.Context) -> str:
    return f"## `{title}`\n\n```\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(reference_page(), encoding="utf-8")
