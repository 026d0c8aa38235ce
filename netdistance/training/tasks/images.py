"""MNIST, and data sets published in its form: a folder of four IDX files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from netdistance.errors import InputError
from netdistance.networks.inputs import load_inputs, load_targets
from netdistance.training.tasks.losses import cross_entropy, top1_accuracy
from netdistance.training.tasks.task import Task

CLASSES = 10
_SPLIT_SEED = 0
_KINDS = {"images": "idx3-ubyte", "labels": "idx1-ubyte"}

Examples = tuple[Tensor, Tensor]  # (N, 1, H, W) float32 in [0, 1] and (N,) int64


def idx_task(name: str, folder: Path) -> Task:
    """The task of a folder with `train-images-idx3-ubyte` and its three companions.

    Each file may end in .gz, and may have a dot in place of its last dash but one. A folder with
    the t10k files alone is split: four fifths of their images, by a fixed shuffle, to train on,
    the rest to test. Pixels are over 255, shape (N, 1, H, W); labels are 0 to 9.

    Raises:
        InputError: a file is missing, is no IDX file, or does not fit the others.
    """
    if not folder.is_dir():
        found = "no such folder" if not folder.exists() else "not a folder"
        raise InputError(f"{folder}: {found}, expected the folder of {name}'s IDX files")
    test = _examples(folder, "t10k")
    if _found(folder, "train", "images") or _found(folder, "train", "labels"):
        return _task(name, _examples(folder, "train"), test, folder)
    train, rest = _split(*test)
    note = (
        f"{folder.name or folder} has no train files: {len(train[0]):,} of the t10k images, by a "
        f"fixed shuffle, are trained on, the other {len(rest[0]):,} test"
    )
    return replace(_task(name, train, rest, folder), note=note)


def _task(name: str, train: Examples, test: Examples, folder: Path) -> Task:
    if train[0].shape[1:] != test[0].shape[1:]:
        sizes = " and ".join("x".join(map(str, images.shape[2:])) for images, _ in (train, test))
        raise InputError(f"{folder}: train and t10k images are of {sizes}, expected one size")
    return Task(
        name=name,
        train_inputs=train[0],
        train_targets=train[1],
        test_inputs=test[0],
        test_targets=test[1],
        outputs=CLASSES,
        loss=cross_entropy,
        accuracy=top1_accuracy,
    )


def _examples(folder: Path, part: str) -> Examples:
    images_file, labels_file = (_require(folder, part, kind) for kind in _KINDS)
    images = load_inputs(images_file).values
    if not isinstance(images, Tensor) or images.ndim != 4 or not images.is_floating_point():
        raise InputError(f"{images_file}: holds no images of bytes, expected shape (N, H, W)")
    labels = load_targets(labels_file, len(images))
    if labels.ndim != 1 or not 0 <= int(labels.min()) <= int(labels.max()) < CLASSES:
        what = f"labels of shape {tuple(labels.shape)} from {labels.min()} to {labels.max()}"
        raise InputError(f"{labels_file}: holds {what}, expected one of 0 to 9 for each image")
    return images, labels


def _split(images: Tensor, labels: Tensor) -> tuple[Examples, Examples]:
    count = len(images)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(_SPLIT_SEED))
    first, last = order[: count * 4 // 5], order[count * 4 // 5 :]
    return (images[first], labels[first]), (images[last], labels[last])


def _require(folder: Path, part: str, kind: str) -> Path:
    path = _found(folder, part, kind)
    if path is None:
        what = f"holds no {_names(part, kind)[0]}, plain or .gz"
        raise InputError(f"{folder}: {what}; put the four IDX files there as they are published")
    return path


def _found(folder: Path, part: str, kind: str) -> Path | None:
    return next((folder / name for name in _names(part, kind) if (folder / name).exists()), None)


def _names(part: str, kind: str) -> list[str]:
    stems = [f"{part}-{kind}{mark}{_KINDS[kind]}" for mark in "-."]
    return [stem + end for stem in stems for end in ("", ".gz")]
