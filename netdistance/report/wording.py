"""How numbers are worded for people: percentages, counts, a list of names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import assert_never

from netdistance.quantities import Estimate, Exact, Interval, Quantity, Skipped, point
from netdistance.report.escape import abbreviated, shortened

_STORED = 16


def percent(fraction: float) -> str:
    """A fraction as a percentage of three digits; from ten on as a multiple, as 12.9x.

    >>> percent(0.0102), percent(1.25), percent(12.9), percent(3.5e7), percent(0.0)
    ('1.02%', '125%', '12.9x', '3.5e+07x', '0%')
    """
    if fraction == 0.0:
        return "0%"
    if fraction >= 9.995:
        return f"{fraction:.0f}x" if 99.95 <= fraction < 9999.5 else f"{fraction:.3g}x"
    scaled = 100.0 * fraction
    return f"{scaled:.0f}%" if scaled >= 99.95 else f"{scaled:.3g}%"


def quantity(value: Quantity) -> str:
    """A quantity as a percentage: an upper end with ≤, an estimate with its standard error."""
    match value:
        case Exact(number):
            return percent(number)
        case Interval(_, upper, _):
            return f"≤ {percent(upper)}"
        case Estimate(number, stderr):
            return percent(number) if stderr == 0.0 else _with_error(number, stderr)
        case Skipped():
            return "–"
        case _ as unreachable:
            assert_never(unreachable)


def percent_span(value: Quantity) -> str:
    """A number, or both ends of an interval where three digits tell them apart, as percentages.

    >>> percent_span(Exact(0.5)), percent_span(Interval(0.5, 0.50001))
    ('50%', '50%')
    >>> percent_span(Interval(0.5, 0.6)), percent_span(Skipped("needs --spectral"))
    ('50–60%', '–')
    """
    if not isinstance(value, Interval):
        return without_error(value)
    lower, upper = percent(value.lower), percent(value.upper)
    unit = upper[-1]
    return upper if lower == upper else f"{lower.removesuffix(unit)}–{upper}"


def _with_error(number: float, stderr: float) -> str:
    """Number and standard error in one unit; two digits of an error are more than is known of it.

    >>> _with_error(0.0518, 0.00123), _with_error(12.3, 0.456)
    ('5.18 ± 0.12%', '12.3 ± 0.46x')
    """
    shown = percent(number)
    unit, scale = ("x", 1.0) if shown.endswith("x") else ("%", 100.0)
    return f"{shown.removesuffix(unit)} ± {scale * stderr:.2g}{unit}"


def without_error(value: Quantity) -> str:
    """The quantity without its standard error or sign, for a column that says what it holds."""
    number = point(value)
    return "–" if number is None else percent(number)


def plain_number(number: float, digits: int) -> str:
    """A number of no unit in so many digits, without an exponent where people read it easily.

    >>> plain_number(12.345, 3), plain_number(12345.0, 3), plain_number(2.0, 3)
    ('12.3', '12,300', '2.00')
    """
    if 1e3 <= number < 1e5:
        return f"{float(f'{number:.{digits}g}'):,.0f}"
    return f"{number:#.{digits}g}".rstrip(".") if number else "0"


def count(number: int, noun: str) -> str:
    """A count with its noun in the right number.

    >>> count(1, "tensor"), count(10000, "input")
    ('1 tensor', '10,000 inputs')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def names(items: Sequence[str], *, most: int = 3) -> str:
    """The first few names, and how many more there are.

    >>> names(["a", "b", "c", "d"], most=2)
    'a, b and 2 more'
    """
    shown = ", ".join(shortened(item, 48) for item in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most:,} more"


def stored_word(label: str) -> str:
    """How a tensor is stored in a word or two; the notes on the files have all of it.

    >>> [stored_word(x) for x in ("gptq 4-bit, groups of 128", "bitsandbytes nf4, blocks of 64")]
    ['gptq-4', 'nf4']
    >>> stored_word("pack-quantized int4, a scale per output"), stored_word("F32 + LoRA rank 8")
    ('int4', 'F32 + LoRA')
    """
    short = label.partition(",")[0].partition(" rank")[0]
    short = re.sub(r" (\d)-bit", r"-\1", short)
    return abbreviated(re.sub(r"^(bitsandbytes|pack-quantized) ", "", short), _STORED)
