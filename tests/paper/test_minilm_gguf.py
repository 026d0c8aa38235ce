"""MiniLM as GGUF files of 8 and of 4 bits, as people run it, against the weights it was made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdistance.quantities import Exact
from netdistance.studies.compare import compare
from tests.paper.test_minilm import minilm

__all__ = ["minilm"]
# the converter leaves these out: MiniLM is pooled by a mean, and positions are counted
LEFT_OUT = {"embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"}
# multiples of rounding by rows to 8 bits, and by groups of 128 to 4 bits: blocks of 32 are finer
EXPECTED = {"Q8_0": ("int8", 0.4, 0.9), "Q4_0": ("int4", 0.6, 1.1)}


def write(source: Path, target: Path, kind: str) -> int:
    """Matrices in blocks of a kind, all else in float32, under the package's names for BERT."""
    import gguf
    from safetensors import safe_open

    called = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, 6)
    writer = gguf.GGUFWriter(target, "bert")
    wanted = gguf.GGMLQuantizationType[kind]
    with safe_open(source, "numpy") as file:
        names = [name for name in file.keys() if name not in LEFT_OUT]  # noqa: SIM118
        for name in names:
            array = file.get_tensor(name)
            new = called.get_name(name, (".weight", ".bias"))
            if array.ndim == 2:
                writer.add_tensor(new, gguf.quants.quantize(array, wanted), raw_dtype=wanted)
            else:
                writer.add_tensor(new, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return len(names)


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXPECTED)
def test_a_gguf_file_is_within_rounding(minilm: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / f"minilm-{kind}.gguf"
    count = write(minilm, target, kind)
    report = compare(minilm, target)
    target.unlink()
    assert report.pairing is not None
    assert report.pairing.compared == count == 101
    assert set(report.pairing.only_a) == LEFT_OUT and not report.pairing.only_b
    assert not (report.pairing.reshaped or report.pairing.skipped)
    name, low, high = EXPECTED[kind]
    assert f"within {name} rounding" in report.verdict.text
    rows = [row for row in report.tensors if row.encoding_b == kind]
    assert len(rows) == 39 and all(row.decoding_b for row in rows)
    multiples = [row.metrics[f"rounding_multiple_{name}"] for row in rows]
    values = [m.value for m in multiples if isinstance(m, Exact)]
    assert len(values) == 39 and low < float(np.median(values)) < high and max(values) < 1.2
