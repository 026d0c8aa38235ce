"""compare of two warm float32 files: against the naive torch script, and against reading them.

What moves the bytes: each element is read from the page cache (copied by the kernel), widened to
float64 and passed over ten times while it is in the L2 cache; those of a are read once more, and
passed over nine times as float32, for what rounding would cost.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from benchmarks.processes import interleaved

NETDISTANCE = [sys.executable, "-m", "netdistance", "compare", "--quiet"]


def compare_speed() -> dict[str, float]:
    """Seconds and ratios for two files of 0.6 GB; the bar is naive_over_compare >= 2."""
    with TemporaryDirectory() as folder:
        files = make_pair(Path(folder), megabytes=604)
        measured = interleaved(
            {
                "cat": ["cat", *files],
                "compare": [*NETDISTANCE, *files],
                "naive": [
                    sys.executable,
                    str(Path(__file__).with_name("naive_compare.py")),
                    *files,
                ],
            },
            repeats=5,
        )
    seconds = {f"{name}_seconds": usage.seconds for name, usage in measured.items()}
    return {
        **seconds,
        "naive_over_compare": measured["naive"].seconds / measured["compare"].seconds,
        "compare_over_cat": measured["compare"].seconds / measured["cat"].seconds,
        "compare_peak_anonymous_mib": measured["compare"].peak_anonymous_mib,
        "naive_peak_anonymous_mib": measured["naive"].peak_anonymous_mib,
    }


def audit_speed() -> dict[str, float]:
    """Audit over compare of 0.3 GB files: of what rounding explains, and of what it does not.

    What moves the bytes: what moved is read once more for each floor that it is held against, and
    passed over some fifteen times in float64.
    """
    ratios = {}
    for kind, change in (("moved", None), ("rounded", _to_int8)):
        with TemporaryDirectory() as folder:
            files = make_pair(Path(folder), megabytes=302, change=change)
            study = [sys.executable, "-m", "netdistance", "audit", "--quiet", *files]
            measured = interleaved({"compare": [*NETDISTANCE, *files], "audit": study}, repeats=3)
            ratio = measured["audit"].seconds / measured["compare"].seconds
            ratios[f"audit_of_{kind}_over_compare"] = ratio
            peak = measured["audit"].peak_anonymous_mib
            ratios[f"audit_of_{kind}_peak_anonymous_mib"] = peak
    return ratios


def _to_int8(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    step = np.abs(weight).max(axis=1, keepdims=True) / np.float32(127)
    rounded: NDArray[np.float32] = np.rint(weight / step) * step
    return rounded


def compare_memory() -> dict[str, float]:
    """Peak anonymous memory of compare and its workers, by the size of both files.

    The bar is 120 MB at any.
    """
    peaks = {}
    for megabytes in (200, 1000, 4000):
        with TemporaryDirectory() as folder:
            files = make_pair(Path(folder), megabytes=megabytes // 2)
            usage = interleaved({"compare": [*NETDISTANCE, *files]}, repeats=1)["compare"]
            peaks[f"peak_anonymous_mib_at_{megabytes}_mb"] = usage.peak_anonymous_mib
    return peaks


def make_pair(
    folder: Path,
    *,
    megabytes: int,
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
) -> list[str]:
    """Two safetensors files of 16 float32 matrices, the second changed, or 1% away."""
    generator = np.random.default_rng(0)
    rows = megabytes * 10**6 // (16 * 4 * 1024)
    paths = [folder / "a.safetensors", folder / "b.safetensors"]
    noise = generator.standard_normal((rows, 1024), dtype=np.float32)
    names = [f"layers.{index}.weight" for index in range(16)]
    # the same numbers in every matrix: comparing does not know, and making them is quick
    save_file(dict.fromkeys(names, noise), paths[0])
    moved = change(noise) if change else noise + np.float32(0.01) * noise[::-1]
    save_file(dict.fromkeys(names, moved), paths[1])
    return [str(path) for path in paths]


def start_up() -> dict[str, float]:
    """`--help` against importing click alone; the bar is a ratio of 2."""
    measured = interleaved(
        {
            "click": [sys.executable, "-c", "import click"],
            "help": [sys.executable, "-m", "netdistance", "--help"],
        },
        repeats=9,
    )
    return {
        "help_seconds": measured["help"].seconds,
        "help_over_import_click": measured["help"].seconds / measured["click"].seconds,
    }
