"""Hugging Face folders: architecture and tokenizer from the folder, weights from the checkpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from netdistance.errors import InputError, UsageError
from netdistance.networks.batch import Arguments
from netdistance.networks.hugging_face import build_hugging_face, read_texts, tokenize
from tests.cli.invoke import error_problem, invoke

transformers = pytest.importorskip("transformers")

CONFIG = {
    "model_type": "bert", "architectures": ["BertModel"], "hidden_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 9,
    "max_position_embeddings": 12,
}  # fmt: skip
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "network", "moved", "far"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    where = tmp_path / "tiny"
    where.mkdir()
    (where / "config.json").write_text(json.dumps(CONFIG))
    (where / "vocab.txt").write_text("\n".join(WORDS))
    (where / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    )
    return where


@pytest.fixture
def files(folder: Path, tmp_path: Path) -> tuple[Path, Path, Path]:
    module = build_hugging_face(str(folder))
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    save_file({**state, "embeddings.position_ids": torch.arange(12)[None]}, tmp_path / "a")
    moved = {n: t + 0.01 * t.flip(0) if t.ndim > 1 else t for n, t in state.items()}
    save_file(moved, tmp_path / "b")
    (tmp_path / "texts.txt").write_text("a network\n\nmoved far a far network\nfar\n")
    return tmp_path / "a", tmp_path / "b", tmp_path / "texts.txt"


def test_the_network_is_that_of_the_config_and_no_global_seed_moves(folder: Path) -> None:
    before = torch.random.get_rng_state()
    module = build_hugging_face(str(folder))
    assert type(module).__name__ == "BertModel"
    assert torch.equal(torch.random.get_rng_state(), before)
    (folder / "config.json").write_text(json.dumps({**CONFIG, "architectures": ["Unheard"]}))
    assert type(build_hugging_face(str(folder))).__name__ == "BertModel"


def test_texts_become_arguments(folder: Path) -> None:
    arguments, note = tokenize(str(folder), ["a network", "moved far a far network"])
    assert isinstance(arguments, Arguments)
    assert arguments.tensors["input_ids"].shape == (2, 7)
    assert arguments.tensors["attention_mask"].sum(1).tolist() == [4, 7]
    assert note.startswith("2 texts of 11 tokens")
    cut, _ = tokenize(str(folder), ["a " * 5000])
    assert cut.tensors["input_ids"].shape[1] <= 512


def test_a_tokenizer_without_its_words_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="knows none of the words"):
        tokenize(str(folder), ["unheard words"])
    (folder / "vocab.txt").unlink()
    with pytest.raises(InputError, match="tokenizer cannot be used"):
        tokenize(str(folder), ["a network"])


def test_padding_is_masked_whatever_the_tokenizer_names(folder: Path) -> None:
    settings = {"tokenizer_class": "BertTokenizer", "model_input_names": ["input_ids"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    arguments, _ = tokenize(str(folder), ["a", "moved far a far network"])
    assert arguments.tensors["attention_mask"].sum(1).tolist() == [3, 7]


def test_compare_measures_a_language_model(folder: Path, files: tuple[Path, Path, Path]) -> None:
    a, b, texts = files
    words = ("compare", a, b, "--skip", "embeddings.position_ids", "--model", folder)
    named = ("--inputs", texts, "--output", "pooler_output")
    outcome = invoke(*words, *named, "--json", "-")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert document["provenance"]["inputs"].startswith("3 texts")
    # the oracle: the library itself, with its own loading
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(read_texts(texts), padding=True, return_tensors="pt")
    outputs = []
    for path in (a, b):
        model = transformers.BertModel(transformers.BertConfig(**CONFIG)).eval()
        model.load_state_dict(load_file(path), strict=False)
        with torch.inference_mode():
            outputs.append(model(**encoded).pooler_output.double())
    expected = ((outputs[1] - outputs[0]).norm(dim=1) / outputs[0].norm(dim=1)).mean()
    measured = {row["measure"]: row["value"]["value"] for row in document["deviation"]}
    assert measured["relative_output_deviation"] == pytest.approx(float(expected), rel=1e-3)
    reasons = [r["value"]["reason"] for r in document["bounds"] if r["standing"] == "certified"]
    assert reasons and all("takes several inputs: input_ids" in reason for reason in reasons)


def test_what_to_type_is_said(
    folder: Path, files: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, texts = files
    several = invoke("compare", a, b, "--model", folder, "--inputs", texts)
    assert error_problem(several, 3, "--output: last_hidden_state, pooler_output") == ""
    factory = ("--model", "netdistance.demo.network:build")
    plain = invoke("compare", a, b, *factory, "--inputs", texts)
    assert error_problem(plain, 3, "needs the tokenizer of a Hugging Face --model") == ""
    absent = invoke("compare", a, b, "--model", "no/such-model", "--inputs", texts)
    assert error_problem(absent, 3, "no/such-model", "hub id that is cached") == ""
    with pytest.raises(InputError, match="config cannot be used"):
        build_hugging_face(str(tmp_path))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"pip install 'netdistance\[transformers\]'"):
        build_hugging_face(str(folder))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\n \n", "holds no text"), (b"\xff\xfe\xff", "no UTF-8"), (None, "No such file")],
)
def test_texts_that_cannot_be_read(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "x.txt").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_texts(tmp_path / "x.txt")
