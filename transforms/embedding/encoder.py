"""Texts to vectors with a sentence-transformers model."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from transforms.embedding.batching import padded_tokens, plan_batches, plan_packed
from transforms.embedding.canary import CANARY_TEXTS, check_canary
from transforms.embedding.fingerprint import EncoderSpec
from transforms.embedding.models import ModelError
from transforms.embedding.profiles import check_dimension

_log = logging.getLogger(__name__)

# Characters per token that a text is first cut to before tokenising: a 1 MB text must not cost a second of tokenising for
# 256 tokens that are used. English has about 4; where 16 were too few, the text is cut again at twice the length.
_CHARACTERS_PER_TOKEN = 16
_SPACES = " \t\n\r"
# Norms of vectors that were normalised in fp32 are within 1e-3 of 1; anything else is a fault.
_NORM_TOLERANCE = 1e-3
# Other vectors may have any length whose products neither vanish nor overflow in float32.
_SHORTEST, _LONGEST = 1e-18, 1e18


class VectorError(Exception):
    """The model gave a vector that is not finite, is zero, or is not of unit length where it should be."""


@dataclass(frozen=True)
class Encoded:
    """Vectors of some texts, float32 (n, dim), of unit length unless the metric is dot, in input order, and what they cost."""

    vectors: np.ndarray
    tokens: int
    padded_tokens: int
    truncated: int


class Encoder:
    """A loaded model, safe to share between threads. Use `load_encoder`, which loads each model once in a process."""

    def __init__(self, spec: EncoderSpec, device: str | None = None) -> None:
        # torch and transformers take seconds to import: only workers that embed pay for it.
        from sentence_transformers import SentenceTransformer

        self.spec = spec
        with _quiet_loading():
            self._model = SentenceTransformer(
                spec.folder,
                device=device,
                trust_remote_code=False,
                local_files_only=True,
                truncate_dim=spec.truncate_dim,
                model_kwargs={"use_safetensors": True},
            )
        self._model.eval()
        self._tokenizer = self._model.tokenizer
        if not callable(self._tokenizer) or not isinstance(self._model.max_seq_length, int):
            raise ModelError(f"model {spec.model!r} has no transformers tokenizer with a length limit: it is not supported")
        if spec.max_tokens is not None:
            self._model.max_seq_length = min(spec.max_tokens, self._model.max_seq_length)
        self.max_tokens: int = self._model.max_seq_length
        self.dim: int = int(self._model.get_embedding_dimension() or 0)
        check_dimension(spec.model, spec.profile, spec.truncate_dim, self.dim)
        # Tokenizers keep their truncation as state, and one forward pass uses all threads anyway.
        self._lock = threading.RLock()
        self._packed = self._packed_forward()
        self._canary_passed = False

    def encode_documents(
        self, texts: Sequence[str], tokens_per_batch: int, on_batch: Callable[[int], None] | None = None
    ) -> Encoded:
        """Embed documents with the document prompt. `on_batch` is told the number of texts of every finished batch.

        The vectors are as the model gave them: pass them to `check_vectors` with the documents' ids before storing them.
        Raises CanaryError before the first text when this encoder's vectors are not those of the model in fp32.
        """
        with self._lock:
            if not self._canary_passed:
                own = self._encode(CANARY_TEXTS, None, "document", tokens_per_batch, None).vectors
                check_canary(own, self._model, self.spec.normalize)
                self._canary_passed = True
        return self._encode(texts, self.spec.document_prompt, "document", tokens_per_batch, on_batch)

    def encode_queries(self, texts: Sequence[str], tokens_per_batch: int = 4096) -> Encoded:
        """Embed queries with the query prompt."""
        encoded = self._encode(texts, self.spec.query_prompt, "query", tokens_per_batch, None)
        check_vectors(encoded.vectors, texts, self.spec.normalize)
        return encoded

    def _encode(
        self,
        texts: Sequence[str],
        prompt: str | None,
        task: str,
        tokens_per_batch: int,
        on_batch: Callable[[int], None] | None,
    ) -> Encoded:
        if not texts:
            return Encoded(np.empty((0, self.dim), np.float32), 0, 0, 0)
        with self._lock:
            fitted, token_ids, full_lengths = self._fit(texts, prompt or "")
            lengths = np.minimum(full_lengths, self.max_tokens)
            if self._packed is not None:
                batches = plan_packed(lengths, tokens_per_batch)
                computed = int(lengths.sum())
            else:
                batches = plan_batches(lengths, tokens_per_batch)
                computed = padded_tokens(lengths, batches)
            vectors = np.empty((len(texts), self.dim), np.float32)
            for batch in batches:
                if self._packed is not None:
                    vectors[batch] = self._finish(self._packed([self._truncated(token_ids[i]) for i in batch]))
                else:
                    vectors[batch] = self._library([fitted[i] for i in batch], prompt, task)
                if on_batch is not None:
                    on_batch(len(batch))
        return Encoded(vectors, int(lengths.sum()), computed, int((full_lengths > self.max_tokens).sum()))

    def _library(self, texts: list[str], prompt: str | None, task: str) -> np.ndarray:
        """One batch through the library, for every model that `PackedBert` does not know."""
        encode = self._model.encode_document if task == "document" else self._model.encode_query
        with self._autocast():
            return encode(
                texts,
                # An empty prompt is "no prompt"; None would make the library choose one, which the spec already did.
                prompt=prompt or "",
                batch_size=len(texts),
                show_progress_bar=False,
                normalize_embeddings=self.spec.normalize,
            )

    def _finish(self, vectors: np.ndarray) -> np.ndarray:
        """What the library does after its modules: keep the first dimensions, normalise."""
        kept = vectors[:, : self.spec.truncate_dim] if self.spec.truncate_dim else vectors
        return kept / np.linalg.norm(kept, axis=1, keepdims=True) if self.spec.normalize else kept

    def _truncated(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], ids[-1]]

    def _packed_forward(self) -> Callable[[Sequence[Sequence[int]]], np.ndarray] | None:
        from transforms.embedding.packed import PackedBert, UnsupportedModelError

        try:
            return PackedBert(self._model, self.spec.precision)
        except UnsupportedModelError as reason:
            _log.warning("model %s is embedded by the library with padding, not packed: %s", self.spec.model, reason)
            return None

    def _fit(self, texts: Sequence[str], prompt: str) -> tuple[list[str], list[list[int]], np.ndarray]:
        """Cut texts by characters so that the model still sees every token it would see.

        Returns the cut texts, their token ids with the prompt, not truncated, and the number of tokens (n,), which for a
        text that was cut is only a lower bound above the model's limit.
        """
        limit = _CHARACTERS_PER_TOKEN * self.max_tokens
        fitted = [_cut_between_words(text, limit) for text in texts]
        token_ids = self._token_ids([prompt + text for text in fitted])
        for i, text in enumerate(texts):
            cut = limit
            while len(fitted[i]) < len(text) and len(token_ids[i]) <= self.max_tokens:
                cut *= 2
                fitted[i] = _cut_between_words(text, cut)
                (token_ids[i],) = self._token_ids([prompt + fitted[i]])
        return fitted, token_ids, np.array([len(ids) for ids in token_ids], dtype=np.int64)

    def _token_ids(self, texts: list[str]) -> list[list[int]]:
        encodings = self._tokenizer(
            texts, truncation=False, padding=False, return_attention_mask=False, return_token_type_ids=False, verbose=False
        )
        return encodings["input_ids"]

    def _autocast(self) -> Any:
        import torch

        if self.spec.precision == "bf16":
            return torch.autocast(self._model.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()


def _cut_between_words(text: str, limit: int) -> str:
    """The longest beginning of at most `limit` characters that ends between words; more where the first word is longer.

    Within a word a cut would make tokens that the whole text does not have; words end at what every tokenizer takes for space.
    """
    if len(text) <= limit:
        return text
    last = max(text.rfind(space, 0, limit + 1) for space in _SPACES)
    if last > 0:
        return text[:last]
    following = [at for space in _SPACES if (at := text.find(space, limit)) >= 0]
    return text[: min(following)] if following else text


def check_vectors(vectors: np.ndarray, names: Sequence[str], unit: bool = True) -> None:
    """Raise VectorError, with its name, for the first bad row of (n, dim).

    Bad is what is not finite, and with `unit` what has not length 1 ± 1e-3; without it, a length outside 1e-18 … 1e18.
    """
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    good = np.abs(norms - 1) <= _NORM_TOLERANCE if unit else (norms >= _SHORTEST) & (norms <= _LONGEST)
    bad = np.flatnonzero(~good)
    if len(bad):
        i = int(bad[0])
        raise VectorError(
            f"the model gave a vector of length {norms[i]} for {names[i][:80]!r} ({len(bad)} of {len(names)} texts); "
            "check the model's files, or try embedding.precision=fp32"
        )


_loaded: dict[tuple[EncoderSpec, str | None], Encoder] = {}
_loading = threading.Lock()


def load_encoder(spec: EncoderSpec, device: str | None = None, threads: int | None = None) -> Encoder:
    """The encoder of `spec`, loaded once in this process however many stages and threads ask for it."""
    with _loading:
        if (spec, device) not in _loaded:
            if threads is not None:
                import torch

                torch.set_num_threads(threads)
            # The tokenizer's own threads would compete with torch's, and warn when a process forks.
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
            _loaded[spec, device] = Encoder(spec, device)
        return _loaded[spec, device]


@contextlib.contextmanager
def _quiet_loading() -> Iterator[None]:
    """Silence the loader's own progress bars and notices; errors still come through as exceptions."""
    from transformers.utils import logging as transformers_logging

    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logger = logging.getLogger("sentence_transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
        logger.setLevel(level)
