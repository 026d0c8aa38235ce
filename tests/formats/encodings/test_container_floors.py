"""Every encoding that is decoded has a floor to be judged by, or is known to have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdistance.checkpoints import open_checkpoint
from netdistance.distances.containers import PLAIN, grid_of
from tests.formats.encodings.case import Case
from tests.formats.encodings.test_encodings import CASES

# codebooks of importance-weighted and ternary types: no plain quantiser says what rounding costs
WITHOUT_FLOOR = {
    "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS",
    "TQ1_0", "TQ2_0",
}  # fmt: skip
# what shares a scale, in the words of the labels: elements along a row, and rows
SHARED = {
    "groups of 10": (10, 1), "groups of 16": (16, 1), "groups of 24": (24, 1),
    "groups of 32": (32, 1), "groups of 128": (128, 1), "blocks of 64": (64, 1),
    "blocks of 128": (128, 1), "a scale per 32": (32, 1), "a scale per 8 x 16": (16, 8),
    "a scale per 2 x 4": (4, 2), "a scale per 128 x 128": (128, 128), "one group": (None, 1),
    "one scale": (None, 1), "a scale per output": (None, 1), "a scale per row": (None, 1),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_label_names_a_grid(case: Case, tmp_path: Path) -> None:
    path, expected = case.write(tmp_path)
    with open_checkpoint(path) as checkpoint:
        labels = {checkpoint.specs[name].encoding for name in expected}
    for label in labels - set(PLAIN):
        grid = grid_of(label, 1.0)
        assert (grid is None) == (label in WITHOUT_FLOOR), label
        if grid is not None and "," in label:
            assert (grid.cut.group, grid.cut.band) == SHARED[label.split(", ")[1]], label
