"""Pairs of a query and a text to logits, with any sentence-transformers CrossEncoder that gives one score."""

import json
import logging
import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from transforms.embedding import (
    CHARACTERS_PER_TOKEN,
    ModelError,
    Window,
    find_model,
    measure_precision,
    one_thread_each,
    pack_pairs,
    plan_batches,
    plan_packed,
    quiet_loading,
    tokenizer_of,
    transformer_folder,
)
from transforms.rerank.head import head_of

_log = logging.getLogger(__name__)

# Tokens of one forward pass: what the packed one computes at a time on a CPU.
_TOKENS_PER_BATCH, _TOKENS_PER_BATCH_GPU = 1024, 65_536
# The hub's name of the ms-marco family and others by the same authors.
_FAMILY = "cross-encoder"
# How far logits may be from the model's own, as a share of the range of those of a few pairs: in fp32 by another order of
# summation, else by rounding too (0.01 was seen in bf16). A forward pass that computes something else is beyond it.
_TOLERANCE = {"fp32": 1e-3}
_TOLERANCE_ROUNDED = 0.03

_CANARY = [
    ("how do I reset my password", "Passwords are reset on the account page."),
    ("how do I reset my password", "The mountains were lovely, and so was the weather in the valley below them."),
    ("pay by bank transfer?", "Which payment methods do you accept? " * 12),
    ("a", "Straße, naïve, 東京, Привет, ¿qué tal? Version 2.4.1 was released on 2024-03-31."),
]


class RerankerError(Exception):
    """The cross-encoder cannot be used: not found, no safetensors, not one score, or another result than the model's own."""


class Reranker:
    """A loaded cross-encoder, safe to share between threads. Use `load_reranker`, which loads each once in a process.

    `precision` is the one that is used: the one asked for, or fp32 where the forward pass is the library's, or where rounding
    moves this model's logits too far.
    """

    def __init__(self, name: str, device: str | None = None, threads: int | None = None, precision: str | None = None) -> None:
        """Load a model by folder or hub name; without a slash it is one of `cross-encoder/`.

        `precision` None measures which one pays on this machine. Raises RerankerError.
        """
        # torch and transformers take seconds to import: only who reranks pays for it.
        import torch
        from sentence_transformers import CrossEncoder

        self.name = name
        folder = _find(name)
        try:
            with quiet_loading():
                self._model = CrossEncoder(
                    folder,
                    device=device,
                    trust_remote_code=False,
                    local_files_only=True,
                    model_kwargs={"use_safetensors": True, "dtype": torch.float32},
                )
        except Exception as error:
            raise RerankerError(f"cross-encoder {name!r} in {folder} cannot be loaded ({_first_line(error)})") from error
        self._model.eval()
        if self._model.num_labels != 1 or self._model.model is None:
            raise RerankerError(
                f"model {name!r} gives {self._model.num_labels} scores for a pair: only a cross-encoder with one can rank"
            )
        self._network = self._model.model
        self._tokenizer = self._model.tokenizer
        self._cut = tokenizer_of(self._tokenizer)
        self.max_tokens = int(self._model.max_length)
        # The tokenizer keeps truncation and padding as state, and the library sets them for itself.
        self._lock = threading.RLock()
        self._rows = 1
        self._forward: Callable[[list[list[int]], list[int]], np.ndarray] | None = None
        kind = self._model.device.type
        self._threads = one_thread_each(threads or torch.get_num_threads()) if kind == "cpu" else None
        self._budget = _TOKENS_PER_BATCH if kind == "cpu" else _TOKENS_PER_BATCH_GPU
        self.precision = self._choose(precision or measure_precision(str(self._model.device)))

    def logits(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Raw logits float32 (n,) of pairs of a query and a text, in their order; what is too long is cut as the model cuts it.

        Raises RerankerError where a logit is not finite.
        """
        logits = self._by_library(pairs) if self._forward is None else self._packed(pairs)
        if bad := np.flatnonzero(~np.isfinite(logits)).tolist():
            raise RerankerError(f"cross-encoder {self.name!r} gives {logits[bad[0]]} for {pairs[bad[0]][1][:80]!r}")
        return logits

    def _choose(self, precision: str) -> str:
        """Use the packed forward pass in this precision, or in fp32, if it gives the model's own logits; says which."""
        head = head_of(self._network)
        if head is None:
            return "fp32"
        for wanted in dict.fromkeys((precision, "fp32")):
            packed = pack_pairs(self._network.base_model, self._model.device, wanted)
            if packed is None:
                return "fp32"

            def forward(token_ids: list[list[int]], seconds: list[int], packed: Any = packed) -> np.ndarray:
                return head(packed(token_ids, seconds=seconds))

            self._rows, self._forward = packed.rows, forward
            own = self._by_library(_CANARY)
            difference = float(np.abs(self._packed(_CANARY) - own).max() / max(float(np.ptp(own)), 1e-6))
            if difference <= _TOLERANCE.get(wanted, _TOLERANCE_ROUNDED):
                return wanted
            _log.warning("logits of %s in %s differ from its own by %.4f of their range", self.name, wanted, difference)
        raise RerankerError(
            f"logits of cross-encoder {self.name!r} differ from the model's own by {difference:.4f} of their range, even in "
            "fp32: the libraries that are installed compute something else than this project"
        )

    def _packed(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        token_ids, seconds = self._tokens(pairs)
        logits = np.empty(len(pairs), np.float32)
        batches = plan_packed(np.array([len(ids) for ids in token_ids], np.int64), max(self._rows, self._budget))
        forward = self._forward
        assert forward is not None

        def compute(rows: np.ndarray) -> None:
            logits[rows] = forward([token_ids[i] for i in rows], [seconds[i] for i in rows])

        # On a CPU one batch in each thread, which is faster than all threads in one batch.
        for _ in map(compute, batches) if self._threads is None else self._threads.map(compute, batches):
            pass
        return logits

    def _by_library(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        import torch

        # The activation would be the sigmoid, which cannot tell large logits from each other.
        predict = partial(self._model.predict, show_progress_bar=False, activation_fn=torch.nn.Identity())
        logits = np.empty(len(pairs), np.float32)
        with self._lock:
            lengths = np.array([len(ids) for ids in self._tokens(pairs)[0]], np.int64)
            for rows in plan_batches(lengths, self._budget):
                logits[rows] = predict([list(pairs[i]) for i in rows], batch_size=len(rows))
        return logits

    def _tokens(self, pairs: Sequence[tuple[str, str]]) -> tuple[list[list[int]], list[int]]:
        """Token ids of each pair as the library has them, and with which token the second text begins."""
        if not pairs:
            return [], []
        limit = CHARACTERS_PER_TOKEN * self.max_tokens
        with self._lock:
            sides = []
            for side in zip(*pairs, strict=True):
                # A text of a megabyte must not cost a second of tokenising for tokens that are cut off again.
                sides.append([text if len(text) <= limit else self._beginning(text) for text in side])
            encoded = self._tokenizer(
                *sides, truncation="longest_first", max_length=self.max_tokens, padding=False, return_token_type_ids=True
            )
        ids = encoded["input_ids"]
        if "token_type_ids" not in self._tokenizer.model_input_names:
            # The library does not tell the model which text is the second one.
            return ids, [len(own) for own in ids]
        return ids, [kinds.index(1) if 1 in kinds else len(kinds) for kinds in encoded["token_type_ids"]]

    def _beginning(self, text: str) -> str:
        return Window([text], "", self.max_tokens, self._cut).texts[0]


def _find(name: str) -> str:
    wanted = name if "/" in name or os.path.isdir(name) else f"{_FAMILY}/{name}"
    try:
        folder = find_model(wanted)
        config = json.loads(Path(transformer_folder(folder), "config.json").read_text(encoding="utf-8"))
    except (ModelError, OSError, ValueError) as error:
        raise RerankerError(f"cross-encoder {name!r} cannot be used: {error}") from error
    architectures = config.get("architectures") or []
    # The library would give it a head of random weights, with no more than a word in its log.
    if not any(str(one).endswith("ForSequenceClassification") for one in architectures):
        raise RerankerError(
            f"model {name!r} is no cross-encoder: its architecture {', '.join(architectures) or 'is unnamed,'} has no head "
            "that scores pairs; name one such as cross-encoder/ms-marco-MiniLM-L6-v2"
        )
    return folder


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


_loaded: dict[tuple[str, str | None, str | None], Reranker] = {}
_loading = threading.Lock()


def load_reranker(name: str, device: str | None = None, threads: int | None = None, precision: str | None = None) -> Reranker:
    """The cross-encoder of this name, loaded once in this process. Raises RerankerError."""
    with _loading:
        key = (name, device, precision)
        if key not in _loaded:
            _loaded[key] = Reranker(name, device, threads, precision)
        return _loaded[key]
