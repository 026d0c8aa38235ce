"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real checkpoints, or a skip that says what to set."""
    folder = os.environ.get("NETDISTANCE_REAL_DATA", "")
    if not folder:
        pytest.skip("NETDISTANCE_REAL_DATA is unset: it names a folder of real checkpoints")
    path = Path(folder)
    assert path.is_dir(), f"NETDISTANCE_REAL_DATA is {folder!r}, which is no folder"
    return path
