"""Run the benchmarks, print their ratios, and write benchmarks/results.json.

python -m benchmarks [NAME ...]
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import decoding, networks, spectral, tightness, weights

BENCHMARKS: tuple[Callable[[], dict[str, float]], ...] = (
    weights.start_up,
    weights.compare_speed,
    weights.compare_memory,
    weights.audit_speed,
    networks.perturb_speed,
    networks.fromage_step,
    spectral.interval_speed,
    decoding.decode_speed,
    decoding.decode_memory,
    tightness.tightness,
)
RESULTS = Path(__file__).with_name("results.json")


def machine() -> dict[str, object]:
    """What the numbers were measured on."""
    model = next(
        (line.split(":")[1].strip() for line in _cpu_facts() if line.startswith("model name")),
        platform.machine(),
    )
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages / 2**30),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _cpu_facts() -> list[str]:
    facts = Path("/proc/cpuinfo")
    return facts.read_text().splitlines() if facts.exists() else []


def main(names: list[str]) -> None:
    """Run the named benchmarks, or all, keeping earlier results of the others."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["machine"] = machine()
    for benchmark in BENCHMARKS:
        if names and benchmark.__name__ not in names:
            continue
        values = benchmark()
        results[benchmark.__name__] = {key: float(f"{v:.4g}") for key, v in values.items()}
        for key, value in values.items():
            print(f"{benchmark.__name__:16} {key:32} {value:10.4g}")
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
