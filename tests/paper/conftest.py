"""Real inputs as the networks of this folder read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

# of each colour of CIFAR-10's training images; the deviation that these networks were trained with
MEAN, DEVIATION = np.array([125.3, 123.0, 113.9]) / 255.0, 0.225


@pytest.fixture
def images(real_data: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The images normalised and with channels first, as the network reads them; their labels."""
    stored = (np.load(real_data / "inputs/sdp_cifar_X.npy") - MEAN) / DEVIATION
    channels_first = np.ascontiguousarray(stored.transpose(0, 3, 1, 2), dtype=np.float32)
    np.save(tmp_path / "images.npy", channels_first)
    return tmp_path / "images.npy", real_data / "inputs/sdp_cifar_y.npy"
