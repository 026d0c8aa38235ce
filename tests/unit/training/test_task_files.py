"""Tasks of a user's files: IDX folders as published, texts of every kind, and bad ones."""

import struct

import numpy as np
import pytest
import torch
from task_data import VERSE, write_idx, write_part

from netdistance.errors import InputError
from netdistance.training.tasks import load_task
from netdistance.training.tasks.text import MAX_BYTES


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("mark", ["-", "."])
def test_the_published_names(tmp_path, mark, end):
    write_part(tmp_path, "train", 50, mark=mark, end=end)
    write_part(tmp_path, "t10k", 20, mark=mark, end=end)
    task = load_task("fashion", tmp_path)
    assert (task.name, task.note) == ("fashion", "")
    assert (task.train_inputs.shape, task.test_inputs.shape) == ((50, 1, 28, 28), (20, 1, 28, 28))
    for inputs, targets in (
        (task.train_inputs, task.train_targets),
        (task.test_inputs, task.test_targets),
    ):
        assert torch.equal((255.0 * inputs[:, 0, 0, 0]).round().long(), targets)


def test_test_files_alone_are_split(tmp_path):
    write_part(tmp_path, "t10k", 100)
    task = load_task("mnist", tmp_path)
    assert "80 of the t10k images, by a fixed shuffle, are trained on, the other 20" in task.note
    rows = torch.cat([task.train_inputs, task.test_inputs])
    assert (len(task.train_inputs), len(rows.flatten(1).unique(dim=0))) == (80, 100)
    assert torch.equal((255.0 * task.test_inputs[:, 0, 0, 0]).round().long(), task.test_targets)
    assert len(task.test_targets.unique()) > 5


def missing_labels(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()


def half_of_train(folder):
    write_part(folder, "train", 30)
    (folder / "train-images-idx3-ubyte").unlink()


def too_short(folder):
    path = folder / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])


def no_idx(folder):
    (folder / "t10k-images-idx3-ubyte").write_bytes(b"<html>no such page</html>")


def fewer_labels(folder):
    write_idx(folder / "t10k-labels-idx1-ubyte", np.zeros(19, dtype=np.uint8))


def eleventh_label(folder):
    write_idx(folder / "t10k-labels-idx1-ubyte", np.full(20, 10, dtype=np.uint8))


def flat_images(folder):
    write_idx(folder / "t10k-images-idx3-ubyte", np.zeros((20, 784), dtype=np.uint8))


def other_size(folder):
    write_part(folder, "train", 30)
    write_idx(folder / "train-images-idx3-ubyte", np.zeros((30, 32, 32), dtype=np.uint8))


def broken_gzip(folder):
    (folder / "t10k-images-idx3-ubyte").write_bytes(b"\x1f\x8b" + bytes(40))


def no_images(folder):
    raw = bytes([0, 0, 8, 3]) + struct.pack(">3I", 0, 28, 28)
    (folder / "t10k-images-idx3-ubyte").write_bytes(raw)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (missing_labels, "holds no t10k-labels-idx1-ubyte, plain or .gz; put the four"),
        (half_of_train, "holds no train-images-idx3-ubyte"),
        (too_short, "t10k-images-idx3-ubyte: IDX header needs 15696 bytes, the file has 15695"),
        (no_idx, "t10k-images-idx3-ubyte: neither .npy nor IDX"),
        (fewer_labels, "t10k-labels-idx1-ubyte: holds 19 labels, expected 20"),
        (eleventh_label, "t10k-labels-idx1-ubyte: holds labels of shape .* from 10 to 10"),
        (flat_images, "t10k-images-idx3-ubyte: holds no images of bytes"),
        (other_size, "train and t10k images are of 32x32 and 28x28, expected one size"),
        (broken_gzip, "t10k-images-idx3-ubyte: cannot be read"),
        (no_images, "t10k-images-idx3-ubyte: is empty"),
    ],
)
def test_bad_folders(tmp_path, damage, message):
    write_part(tmp_path, "t10k", 20)
    damage(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        load_task("mnist", tmp_path)
    assert "\n" not in str(caught.value)


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match=r"absent: no such folder, expected the folder of mnist"):
        load_task("mnist", tmp_path / "absent")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"file: not a folder"):
        load_task("mnist", tmp_path / "file")


def characters(task, tokens):
    return "".join(sorted(set(VERSE))[token] for token in tokens)


def test_windows_of_a_text(tmp_path):
    path = tmp_path / "verse.txt"
    path.write_text(VERSE * 60)
    task = load_task("text", path)
    text = VERSE * 60
    train, test = text[: -(len(text) // 10)], text[-(len(text) // 10) :]
    assert task.outputs == len(set(VERSE))
    for part, inputs, targets in (
        (train, task.train_inputs, task.train_targets),
        (test, task.test_inputs, task.test_targets),
    ):
        assert len(inputs) == (len(part) - 1) // 64
        assert characters(task, inputs.flatten()) == part[: inputs.numel()]
        assert characters(task, targets.flatten()) == part[1 : inputs.numel() + 1]


def test_bytes_that_are_no_utf8_are_characters(tmp_path):
    path = tmp_path / "latin"
    path.write_bytes(bytes(range(256)) * 20)
    task = load_task("text", path)
    assert task.outputs == 256
    assert task.note == "the file is not UTF-8: each of its bytes is a character"


def test_characters_of_several_bytes_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "greek.txt"
    path.write_text("\ufeff" + "ἄνδρα μοι ἔννεπε, Μοῦσα, " * 60, encoding="utf-8")
    task = load_task("text", path)
    assert task.outputs == len(set("ἄνδρα μοι ἔννεπε, Μοῦσα, "))
    assert task.note == ""


def test_a_long_text_is_cut_between_characters(tmp_path):
    path = tmp_path / "long.txt"
    path.write_bytes(b"a" + "é".encode() * (MAX_BYTES // 2 + 1000))
    task = load_task("text", path)
    assert task.outputs == 2
    assert task.note == "the first 4 MiB of the file are taken"
    assert task.train_inputs.numel() + task.test_inputs.numel() <= MAX_BYTES // 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds 0 characters, expected at least 650; give a longer text"),
        (b"a" * 649, "holds 649 characters"),
        (b"a" * 5000, "holds one distinct character"),
        ("".join(map(chr, range(256, 1256))).encode(), "holds 1,000 distinct characters, at most"),
    ],
)
def test_bad_texts(tmp_path, content, message):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"bad.txt: {message}"):
        load_task("text", path)


def test_no_text(tmp_path):
    with pytest.raises(InputError, match="absent: no such file, expected a text file"):
        load_task("text", tmp_path / "absent")
    with pytest.raises(InputError, match="a folder, expected a text file"):
        load_task("text", tmp_path)


def test_the_smallest_text(tmp_path):
    path = tmp_path / "small.txt"
    path.write_bytes(b"ab" * 325)
    assert len(load_task("text", path).test_inputs) == 1


@pytest.mark.real_data
def test_real_files(real_data):
    mnist = load_task("mnist", real_data / "inputs")
    assert (len(mnist.train_inputs), len(mnist.test_inputs)) == (8000, 2000)
    assert "8,000 of the t10k images" in mnist.note
    text = load_task("text", real_data / "inputs" / "tinyshakespeare.txt")
    assert (text.outputs, text.note) == (65, "")
    assert text.train_inputs.shape == (15685, 64)
    assert text.test_inputs.shape == (1742, 64)
