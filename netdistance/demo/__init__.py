"""A small trained network and its 4-bit copy, for `netdistance demo`; scripts/make_demo.py."""

from importlib.resources import files
from pathlib import Path

FOLDER = Path(str(files(__name__)))
TRAINED = FOLDER / "spiral.safetensors"
ROUNDED = FOLDER / "spiral-int4.safetensors"
POINTS = FOLDER / "points.npy"
LABELS = FOLDER / "labels.npy"
MODEL = "netdistance.demo.network:build"
