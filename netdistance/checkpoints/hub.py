"""Hugging Face hub ids to folders, through `huggingface_hub`: its cache, its offline switch.

Only what holds weights and says how they are stored is fetched, and nothing of it is run.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from netdistance.errors import CheckpointError, first_line

# a path on its way here may have lost a slash
_PREFIX = re.compile(r"hf:/{1,2}(?!/)")
# owner/name, and a branch, tag or commit after an @: as git has it, no way out of the cache
_REVISION = r"(?!/|.*\.\.)[\w./-]+"
_ID = re.compile(rf"(?P<repo>[\w.-]{{1,96}}/[\w.-]{{1,96}})(@(?P<revision>{_REVISION}))?", re.ASCII)
# safetensors where a repository has both: the others are fetched only where it has none
_PATTERNS = (("*.safetensors", "*.json"), ("*.bin", "*.json"), ("*.gguf",))
_FIRST = ("model.safetensors.index.json", "model.safetensors")


def is_hub_id(source: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a text that names nothing on this disk is to be asked of the hub.

    `hf://owner/name` always is. A plain `owner/name` is where no folder is called `owner`, and the
    name does not end like a checkpoint: a file that was mistyped is not to reach the network.
    """
    if os.path.lexists(source):
        return False
    if _PREFIX.match(source):
        return True
    path = Path(source)
    is_id = _ID.fullmatch(source) is not None and path.suffix.lower() not in suffixes
    return is_id and not path.parent.exists()


def from_hub(source: str) -> Path:
    """The cached folder, or the file in it, of `owner/name` or `hf://owner/name@revision`.

    Fetched first where the cache has it not and `HF_HUB_OFFLINE` does not forbid it.

    Raises:
        CheckpointError: no valid id, huggingface_hub is not installed, or nothing can be had.
    """
    named = _PREFIX.sub("", source, count=1)
    found = _ID.fullmatch(named)
    if found is None:
        raise CheckpointError(Path(source), "not a hub id; write hf://owner/name@revision")
    try:
        import huggingface_hub
    except ImportError:
        what = "no such file; to read it from the Hugging Face hub: pip install 'netdistance[hub]'"
        raise CheckpointError(Path(source), what) from None
    folder = Path(named)
    for patterns in _PATTERNS:
        folder = _snapshot(huggingface_hub, source, found["repo"], found["revision"], patterns)
        if any(next(folder.glob(pattern), None) for pattern in patterns if pattern != "*.json"):
            break
    return next((folder / name for name in _FIRST if (folder / name).is_file()), folder)


def _snapshot(
    hub: Any, source: str, repo: str, revision: str | None, patterns: tuple[str, ...]
) -> Path:
    try:
        # what lies in folders of a repository is another form of the same model
        return Path(
            hub.snapshot_download(
                repo, revision=revision, allow_patterns=list(patterns), ignore_patterns=["*/*"]
            )
        )
    except (OSError, ValueError) as error:  # the hub's own errors are one or the other
        raise CheckpointError(Path(source), _reason(hub, error)) from error


def _reason(hub: Any, error: Exception) -> str:
    """Why a model could not be had, in a line and without the address that was asked."""
    errors = hub.errors
    if isinstance(error, errors.GatedRepoError):
        return "a gated model; accept its terms on the hub and log in with: hf auth login"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the hub has the model, and no such revision of it"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "no such file, and the Hugging Face hub has no model of that name, or it is private"
    if isinstance(error, errors.LocalEntryNotFoundError):
        offline = hub.constants.HF_HUB_OFFLINE
        how = "HF_HUB_OFFLINE is set" if offline else "the Hugging Face hub cannot be reached"
        return f"no such file, not in the Hugging Face cache, and {how}"
    return f"the Hugging Face hub: {first_line(error)}"
