"""Networks and tokenizers of Hugging Face folders, through the `transformers` extra.

Only architecture and tokenizer are taken from the folder: weights are those of the checkpoint. Code
that a folder brings along is never run, and nothing is downloaded: a hub id has to be cached.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netdistance.errors import InputError, UsageError
from netdistance.networks.batch import Arguments

CONFIG = "config.json"
# what a tokenizer cuts texts at where it names no length of its own
_MOST_TOKENS = 512


def build_hugging_face(spec: str) -> nn.Module:
    """The network of a folder with a config.json, or of a cached hub id, with weights of no use.

    It is of the class that the config names first, of the base model's where it names none.

    Raises:
        UsageError: transformers is not installed.
        InputError: there is no such folder or cached id, or its network cannot be built.
    """
    transformers = _transformers(spec)
    with _said_in_one_line(spec, "config"):
        config = transformers.AutoConfig.from_pretrained(
            spec, local_files_only=True, trust_remote_code=False
        )
        names = getattr(config, "architectures", None) or [""]
        known = getattr(transformers, names[0], None)
        build = known._from_config if known is not None else transformers.AutoModel.from_config
        network = build(config)
    assert isinstance(network, nn.Module)
    return network


def tokenize(spec: str, texts: Sequence[str]) -> tuple[Arguments, str]:
    """Texts as the arguments of the network of `spec`, by its own tokenizer, and what was done.

    Padded to the longest, and cut at what the tokenizer says is the longest it takes.

    Raises:
        UsageError: transformers is not installed.
        InputError: there is no tokenizer.
    """
    transformers = _transformers(spec)
    with _said_in_one_line(spec, "tokenizer"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            spec, local_files_only=True, trust_remote_code=False
        )
        longest = min(int(tokenizer.model_max_length), 10**6)
        longest = longest if longest < 10**6 else _MOST_TOKENS
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        encoded = tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=longest,
            return_attention_mask=True,
            return_tensors="pt",
        )
        words = set(encoded["input_ids"].flatten().tolist()) - set(tokenizer.all_special_ids)
        if not words:
            raise InputError("it knows none of the words; the folder may lack its vocabulary")
    tensors = {name: value for name, value in encoded.items() if isinstance(value, torch.Tensor)}
    tokens = int(tensors["attention_mask"].sum())
    return Arguments(
        tensors
    ), f"{len(texts):,} texts of {tokens:,} tokens, {type(tokenizer).__name__}"


def read_texts(path: str | os.PathLike[str]) -> list[str]:
    """The lines of a UTF-8 text file that are not empty.

    Raises:
        InputError: it cannot be read, is no UTF-8, or holds no text.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "is no UTF-8 text"
        raise InputError(f"{path}: {what}; give a text with an input on each line") from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise InputError(f"{path}: holds no text; give one input on each line")
    return texts


def _transformers(spec: str) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise UsageError(
            f"--model {spec}: is no FILE.py:FACTORY, and a Hugging Face model needs "
            "transformers: pip install 'netdistance[transformers]'"
        ) from error
    module: Any = transformers
    module.logging.set_verbosity_error()
    return module


@contextmanager
def _said_in_one_line(spec: str, what: str) -> Iterator[None]:
    try:
        # initial weights are never used: drawing them leaves the caller's generator as it was
        with torch.random.fork_rng(devices=[]):
            yield
    except Exception as error:  # transformers raises many classes, some of many lines
        text: Any = next(iter(str(error).strip().splitlines()), "no message")
        raise InputError(
            f"{spec}: its {what} cannot be used: {type(error).__name__}: {text}; give "
            f"FILE.py:FACTORY, a folder with a {CONFIG}, or a hub id that is cached"
        ) from error
