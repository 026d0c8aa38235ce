"""What needs a CUDA device; run by hand where there is one: python -m benchmarks.gpu

It writes benchmarks/results-gpu.json with the device named. perturb and compare are held against
the bare forward passes that they need, as on the CPU; a proved norm of 8192 and 16384 rows, which
is computed on the CPU in float64, against all singular values in float64 on the device.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.networks import build, in_turns
from netdistance import CompareOptions, PerturbOptions, compare, perturb, spectral_norm

RESULTS = Path(__file__).with_name("results-gpu.json")
_INPUTS, _DRAWS, _BATCH = 65536, 8, 4096
_PLACES = 7  # of a path from a to b


def study_speed() -> dict[str, float]:
    """Both studies, without certificates and attack, over their forwards."""
    with TemporaryDirectory() as folder:
        a, b, inputs = (Path(folder, name) for name in ("a.safetensors", "b.safetensors", "x.npy"))
        state = build().state_dict()
        save_file(state, a)
        save_file({name: 1.01 * tensor for name, tensor in state.items()}, b)
        images = np.random.default_rng(0).random((_INPUTS, 1, 28, 28), dtype=np.float32)
        np.save(inputs, images)
        run: dict[str, Any] = {
            "model": "benchmarks.networks:build", "inputs": inputs, "certify": 0,
            "batch_size": _BATCH, "device": "cuda",
        }  # fmt: skip
        network = build().eval().cuda()
        batches = torch.split(torch.from_numpy(images), _BATCH)

        def forwards(passes: int) -> Callable[[], None]:
            def work() -> None:
                with torch.inference_mode():
                    for _ in range(passes):
                        for batch in batches:
                            network(batch.cuda())
                torch.cuda.synchronize()

            return work

        medians = in_turns(
            {
                "perturb_forwards": forwards(1 + _DRAWS * 2 * 2),
                "perturb": lambda: perturb(
                    a, PerturbOptions(noise=("0.01", "0.1"), draws=_DRAWS, **run)
                ),
                # each network once, the path, and each once more for what its layers do
                "compare_forwards": forwards(4 + _PLACES),
                "compare": lambda: compare(a, b, CompareOptions(**run)),
            },
            5,
        )
    return {
        "perturb_over_forwards": medians["perturb"] / medians["perturb_forwards"],
        "compare_over_forwards": medians["compare"] / medians["compare_forwards"],
        **{f"{name}_seconds": seconds for name, seconds in medians.items()},
    }


def interval_speed() -> dict[str, float]:
    """Seconds of a proved norm, and of all singular values on the device."""
    found = {}
    for size in (8192, 16384):
        weight = np.random.default_rng(0).standard_normal((size, size))
        begun = time.perf_counter()
        interval = spectral_norm(weight)
        middle = time.perf_counter()
        largest = float(torch.linalg.svdvals(torch.from_numpy(weight).cuda())[0])
        ended = time.perf_counter()
        assert interval.lower <= largest * (1 + 1e-10) and largest <= interval.upper * (1 + 1e-10)
        found[f"interval_seconds_{size}"] = middle - begun
        found[f"interval_over_svd_{size}"] = (middle - begun) / (ended - middle)
    return found


def main() -> None:
    """Run both, print every number, and write them with the device's name."""
    if not torch.cuda.is_available():
        sys.exit("no CUDA device is available")
    results: dict[str, object] = {"device": torch.cuda.get_device_name()}
    for benchmark in (study_speed, interval_speed):
        values = benchmark()
        results[benchmark.__name__] = {key: float(f"{v:.4g}") for key, v in values.items()}
        for key, value in values.items():
            print(f"{benchmark.__name__:16} {key:32} {value:10.4g}")
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
