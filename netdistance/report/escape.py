"""Names from files made safe to show: what a terminal would obey becomes text."""

from __future__ import annotations


def visible(text: str) -> str:
    r"""The text with every control, format and surrogate character as a backslash escape.

    Bidirectional overrides, newlines, ESC and NUL are none of them printable, so none survives.

    >>> print(visible("a\x1b[31m\u202eb"))
    a\x1b[31m\u202eb
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in text
    )


def shortened(text: str, width: int) -> str:
    """The visible text in at most `width` columns, its middle left out where it is longer.

    >>> shortened("encoder.layer.0.attention.output", 16)
    'encoder.….output'
    """
    shown = visible(text) or "''"
    if len(shown) <= width:
        return shown
    tail = (width - 1) // 2
    return f"{shown[: width - 1 - tail]}…{shown[-tail:]}"


def abbreviated(name: str, width: int) -> str:
    """The visible name in at most `width` columns, its first parts cut to a letter where it is not.

    Numbers stay, because they tell layers apart, and so does the end, as it says what a layer is.

    >>> abbreviated("encoder.layer.0.attention.output.dense", 30)
    'e.l.0.attention.output.dense'
    >>> abbreviated("encoder.layer.0.attention.output.dense", 16)
    'e.l.0.a.o.dense'
    """
    parts = (visible(name) or "''").split(".")
    for place in range(len(parts) - 1):
        if len(".".join(parts)) <= width:
            break
        if not parts[place].isdigit():
            parts[place] = parts[place][:1]
    return shortened(".".join(parts), width)


def drawable(text: str, width: int) -> str:
    r"""The abbreviated name for a figure, where dollar signs would begin a formula.

    >>> print(drawable("$x$", 8))
    \$x\$
    """
    return abbreviated(text, width).replace("$", r"\$")
