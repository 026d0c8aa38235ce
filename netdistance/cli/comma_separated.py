"""Options that hold several values between commas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Parsed = Callable[[click.Context, click.Parameter, str], tuple[Any, ...]]


def comma_separated(convert: Callable[[str], Any], name: str) -> Parsed:
    """A callback that reads values of one type between commas."""

    def parse(ctx: click.Context, param: click.Parameter, value: str) -> tuple[Any, ...]:
        try:
            return tuple(convert(part.strip()) for part in value.split(",") if part.strip())
        except ValueError as error:
            what = f"{value!r}: expected {name} separated by commas"
            raise click.BadParameter(what, ctx=ctx, param=param) from error

    return parse
