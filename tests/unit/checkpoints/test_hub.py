"""Hugging Face hub ids: from the cache, and one line where there is nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save_file

import netdistance
from netdistance.checkpoints import hub, open_checkpoint
from netdistance.errors import CheckpointError
from tests.cli.invoke import invoke

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and no way to the network."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def put(cache: Path, repository: str, **tensors: np.ndarray) -> Path:
    """A cached model as huggingface_hub lays it out: blobs, and snapshots that link to them."""
    home = cache / f"models--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / REVISION
    for folder in (home / "blobs", home / "refs", snapshot):
        folder.mkdir(parents=True)
    (home / "refs" / "main").write_text(REVISION)
    save_file(tensors, home / "blobs" / "weights")
    (snapshot / "model.safetensors").symlink_to(Path("../../blobs/weights"))
    return snapshot


def test_a_cached_id_is_compared_by_name_prefix_and_revision(cache: Path) -> None:
    snapshot = put(cache, "owner/small", w=np.ones((2, 2), "f4"))
    for name in ("owner/small", "hf://owner/small", f"hf:/owner/small@{REVISION}"):
        with open_checkpoint(name) as checkpoint:
            assert checkpoint.path == snapshot / "model.safetensors"
    report = netdistance.compare({"w": np.ones((2, 2), "f4")}, "owner/small")
    assert report.pairing is not None and report.pairing.identical == 1


def test_safetensors_come_before_what_else_a_snapshot_has(cache: Path) -> None:
    snapshot = put(cache, "owner/both", w=np.ones((2, 2), "f4"))
    shutil.copy(snapshot / "model.safetensors", snapshot / "pytorch_model.bin")
    with open_checkpoint("owner/both") as checkpoint:
        assert checkpoint.path.name == "model.safetensors"


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("owner/absent", "not in the Hugging Face cache, and HF_HUB_OFFLINE is set"),
        ("hf://owner/small@none", "not in the Hugging Face cache"),
        ("hf://no id", "not a hub id"),
        ("hf://owner/small@../../..", "not a hub id"),
        ("hf://owner/small@/etc", "not a hub id"),
        ("runs/model", "no such file or directory"),  # a folder is called runs
        ("owner/model.safetensors", "no such file or directory"),
        ("a/b/c", "no such file or directory"),
    ],
)
def test_what_is_not_there_is_one_line(cache: Path, named: str, reason: str) -> None:
    put(cache, "owner/small", w=np.ones((2, 2), "f4"))
    Path("runs").mkdir()
    result = invoke("compare", named, named)
    assert result.code == 3 and reason in result.err
    assert result.err.count("\n") == 1


def test_a_mistyped_file_does_not_reach_the_hub(cache: Path, monkeypatch) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.snapshot_download", asked)
    for name in ("owner/model.pt", "model", "./owner/model", "/owner/model", "../owner/model"):
        with pytest.raises(CheckpointError, match="no such file"):
            open_checkpoint(name)


def test_only_weights_and_what_describes_them_are_fetched(cache: Path, monkeypatch) -> None:
    asked = []

    def snapshot(repo: str, **options: object) -> str:
        asked.append((repo, options["revision"], options["allow_patterns"]))
        return str(cache)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    cache.mkdir()
    (cache / "w.gguf").touch()
    assert hub.from_hub("hf://owner/name@v1") == cache
    assert [patterns[0] for *_, patterns in asked] == ["*.safetensors", "*.bin", "*.gguf"]
    assert {(repo, revision) for repo, revision, _ in asked} == {("owner/name", "v1")}
