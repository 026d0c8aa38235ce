"""One writer for every member of FORMATS: the reference library's, of named float32 arrays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

Arrays = dict[str, np.ndarray]


def _npz(arrays: Arrays, folder: Path) -> Path:
    np.savez(folder / "x.npz", **arrays)  # type: ignore[arg-type]
    return folder / "x.npz"


def _npz_packed(arrays: Arrays, folder: Path) -> Path:
    swapped = {name: x.astype(x.dtype.newbyteorder(">")) for name, x in arrays.items()}
    columns = {name: np.array(x, order="F") for name, x in swapped.items()}
    np.savez_compressed(folder / "packed.npz", **columns)  # type: ignore[arg-type]
    return folder / "packed.npz"


def _torch(arrays: Arrays, folder: Path, *, zipped: bool = True) -> Path:
    path = folder / ("x.pt" if zipped else "legacy.pth")
    state = {name: torch.from_numpy(x.copy()) for name, x in arrays.items()}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    return path


def _torch_legacy(arrays: Arrays, folder: Path) -> Path:
    return _torch(arrays, folder, zipped=False)


def _safetensors(arrays: Arrays, folder: Path) -> Path:
    save_file(arrays, folder / "x.safetensors")
    return folder / "x.safetensors"


def _sharded(arrays: Arrays, folder: Path) -> Path:
    """Every second name in a safetensors shard, the others in one of torch."""
    names = list(arrays)
    first = {name: arrays[name] for name in names[::2]}
    second = {name: torch.from_numpy(arrays[name].copy()) for name in names[1::2]}
    save_file(first, folder / "1.safetensors")
    torch.save(second, folder / "2.bin")
    places = {**dict.fromkeys(first, "1.safetensors"), **dict.fromkeys(second, "2.bin")}
    path = folder / "x.index.json"
    path.write_text(json.dumps({"weight_map": places}))
    return path


def _gguf(arrays: Arrays, folder: Path) -> Path:
    from gguf import GGUFWriter

    writer = GGUFWriter(folder / "x.gguf", "none")
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "x.gguf"


# the name in FORMATS, and what writes it
WRITERS: tuple[tuple[str, Callable[[Arrays, Path], Path]], ...] = (
    ("npz", _npz),
    ("npz", _npz_packed),
    ("torch zip", _torch),
    ("torch pickle", _torch_legacy),
    ("index of shards", _sharded),
    ("gguf", _gguf),
    ("safetensors", _safetensors),
)
