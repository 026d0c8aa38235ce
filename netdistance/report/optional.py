"""How a field of a report says that it may be absent, or what its None means."""

from __future__ import annotations

from collections.abc import Mapping

# a field with this metadata is left out of the JSON where it is None
OPTIONAL = {"optional": True}
_NONE = "none"


def for_none(text: str) -> dict[str, str]:
    """Metadata of a label whose None stands for something, which tables then say."""
    return {_NONE: text}


def meaning_of_none(metadata: Mapping[str, object]) -> object:
    """What None stands for in a field with this metadata; None where it is nothing."""
    return metadata.get(_NONE)
