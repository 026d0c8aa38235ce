"""Small data of the forms that tasks read from a user: IDX folders and a text."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

VERSE = "Tell me, Muse, of the man of many ways, who was driven far journeys. "


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """The array of bytes in MNIST's format, gzipped where the name says so."""
    raw = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    raw += array.tobytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


def write_part(folder: Path, part: str, count: int, *, mark: str = "-", end: str = "") -> None:
    """Images of 28 x 28 and their labels, which the first pixel repeats."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(count)
    images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    images[:, 0, 0] = labels
    write_idx(folder / f"{part}-images{mark}idx3-ubyte{end}", images)
    write_idx(folder / f"{part}-labels{mark}idx1-ubyte{end}", labels)


def data_for(name: str, folder: Path) -> Path | None:
    """Data that the built-in task of that name takes, made under `folder`; None for most."""
    if name == "text":
        path = folder / "verse.txt"
        path.write_text(VERSE * 60, encoding="utf-8")
        return path
    if name in ("mnist", "fashion"):
        write_part(folder / name, "train", 120)
        write_part(folder / name, "t10k", 60, end=".gz")
        return folder / name
    return None
