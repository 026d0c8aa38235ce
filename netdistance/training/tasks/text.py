"""A text file as a character language model: from each character, which one comes next?"""

from __future__ import annotations

import codecs
from pathlib import Path

import torch
from torch import Tensor

from netdistance.errors import InputError
from netdistance.networks.inputs import read_bytes
from netdistance.training.tasks.losses import cross_entropy, top1_accuracy
from netdistance.training.tasks.task import Task

CONTEXT = 64  # characters that a window has
MAX_BYTES = 4 * 1024**2  # beyond it the file is cut: its windows alone take 64 MiB
MAX_VOCABULARY = 512
_SMALLEST = 10 * (CONTEXT + 1)  # so that a tenth still holds a window and what follows it


def text_task(path: Path) -> Task:
    """Windows of 64 characters, one after another, and the character that follows each of them.

    Inputs (N, 64) and targets (N, 64) are places in the sorted list of the file's distinct
    characters. The last tenth of the file is for testing. A file that is not UTF-8 is read byte by
    byte; of one beyond 4 MiB the start is taken.

    Raises:
        InputError: it cannot be read, has too few characters, or too few or many distinct ones.
    """
    raw = read_bytes(path, "a text file")
    text, note = _decoded(raw[:MAX_BYTES], whole=len(raw) <= MAX_BYTES)
    if len(text) < _SMALLEST:
        what = f"holds {len(text)} characters, expected at least {_SMALLEST}"
        raise InputError(f"{path}: {what}; give a longer text")
    vocabulary = sorted(set(text))
    if len(vocabulary) > MAX_VOCABULARY:
        what = f"holds {len(vocabulary):,} distinct characters, at most {MAX_VOCABULARY} are taken"
        raise InputError(f"{path}: {what}; spell it with fewer, or give a part of it")
    if len(vocabulary) < 2:
        raise InputError(f"{path}: holds one distinct character, expected two or more")
    place = {character: number for number, character in enumerate(vocabulary)}
    tokens = torch.tensor([place[character] for character in text], dtype=torch.int64)
    start = len(tokens) - len(tokens) // 10
    train_inputs, train_targets = _windows(tokens[:start])
    test_inputs, test_targets = _windows(tokens[start:])
    return Task(
        name="text",
        train_inputs=train_inputs,
        train_targets=train_targets,
        test_inputs=test_inputs,
        test_targets=test_targets,
        outputs=len(vocabulary),
        loss=cross_entropy,
        accuracy=top1_accuracy,
        network="transformer",
        note=note,
    )


def _decoded(raw: bytes, *, whole: bool) -> tuple[str, str]:
    """The text, and what was done to read it."""
    notes = [] if whole else [f"the first {MAX_BYTES // 1024**2} MiB of the file are taken"]
    try:
        # a character that the cut has split is left out
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(raw, final=whole)
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
        notes.append("the file is not UTF-8: each of its bytes is a character")
    return text, "; ".join(notes)


def _windows(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Windows (N, 64) that do not overlap, and the same ones a character later."""
    used = (len(tokens) - 1) // CONTEXT * CONTEXT
    inputs = tokens[:used].reshape(-1, CONTEXT)
    targets = tokens[1 : used + 1].reshape(-1, CONTEXT)
    return inputs, targets
