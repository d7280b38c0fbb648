"""Texts to unit vectors with a sentence-transformers model."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from transforms.embedding.batching import padded_tokens, plan_batches
from transforms.embedding.fingerprint import EncoderSpec

# Characters per token that a text is first cut to before tokenising: a 1 MB text must not cost a second of tokenising for
# 256 tokens that are used. English has about 4; where 16 were too few, the text is cut again at twice the length.
_CHARACTERS_PER_TOKEN = 16
# Norms of fp32 vectors that were normalised in bf16 or fp32 are within 1e-3 of 1; anything else is a fault.
_NORM_TOLERANCE = 1e-3


class VectorError(Exception):
    """The model gave a vector that is not finite or not of unit length."""


@dataclass(frozen=True)
class Encoded:
    """Vectors of some texts, float32 (n, dim), unit length, in input order, and what they cost."""

    vectors: np.ndarray
    tokens: int
    padded_tokens: int
    truncated: int


class Encoder:
    """A loaded model. Use `load_encoder`, which loads each model once in a process."""

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
        if spec.max_tokens is not None:
            self._model.max_seq_length = min(spec.max_tokens, self._model.max_seq_length or spec.max_tokens)
        self._tokenizer = self._model.tokenizer
        self.max_tokens: int = self._model.max_seq_length or self._tokenizer.model_max_length
        self.dim: int = int(self._model.get_embedding_dimension() or 0)

    def encode_documents(
        self, texts: Sequence[str], tokens_per_batch: int, on_batch: Callable[[int], None] | None = None
    ) -> Encoded:
        """Embed documents with the document prompt. `on_batch` is told the number of texts of every finished batch.

        The vectors are as the model gave them: pass them to `check_vectors` with the documents' ids before storing them.
        """
        return self._encode(texts, self.spec.document_prompt, "document", tokens_per_batch, on_batch)

    def encode_queries(self, texts: Sequence[str], tokens_per_batch: int = 4096) -> Encoded:
        """Embed queries with the query prompt."""
        encoded = self._encode(texts, self.spec.query_prompt, "query", tokens_per_batch, None)
        check_vectors(encoded.vectors, texts)
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
        fitted, full_lengths = self._fit(texts, prompt or "")
        lengths = np.minimum(full_lengths, self.max_tokens)
        batches = plan_batches(lengths, tokens_per_batch)
        vectors = np.empty((len(texts), self.dim), np.float32)
        encode = self._model.encode_document if task == "document" else self._model.encode_query
        with self._precision():
            for batch in batches:
                rows = encode(
                    [fitted[i] for i in batch],
                    # An empty prompt is "no prompt"; None would make the library choose one, which the spec already did.
                    prompt=prompt or "",
                    batch_size=len(batch),
                    show_progress_bar=False,
                    normalize_embeddings=self.spec.normalize,
                )
                vectors[batch] = rows
                if on_batch is not None:
                    on_batch(len(batch))
        return Encoded(
            vectors, int(lengths.sum()), padded_tokens(lengths, batches), int((full_lengths > self.max_tokens).sum())
        )

    def _fit(self, texts: Sequence[str], prompt: str) -> tuple[list[str], np.ndarray]:
        """Cut texts by characters so that the model still sees every token it would see, and count tokens (n,)."""
        limit = _CHARACTERS_PER_TOKEN * self.max_tokens
        fitted = [text[:limit] for text in texts]
        lengths = np.array(self._token_counts([prompt + text for text in fitted]), dtype=np.int64)
        for i, text in enumerate(texts):
            cut = limit
            # The last word of the cut may be a fragment, so two tokens more than the model uses must be there.
            while len(text) > cut and lengths[i] < self.max_tokens + 2:
                cut *= 2
                fitted[i] = text[:cut]
                lengths[i] = self._token_counts([prompt + fitted[i]])[0]
            if len(text) > cut:
                lengths[i] = max(lengths[i], self.max_tokens + 1)
        return fitted, lengths

    def _token_counts(self, texts: list[str]) -> list[int]:
        encodings = self._tokenizer(
            texts,
            truncation=False,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        return [len(ids) for ids in encodings["input_ids"]]

    def _precision(self) -> Any:
        import torch

        if self.spec.precision == "bf16":
            return torch.autocast(self._model.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()


def check_vectors(vectors: np.ndarray, names: Sequence[str]) -> None:
    """Raise VectorError, with its name, for the first row of (n, dim) that is not finite or whose length is not 1 ± 1e-3."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    bad = np.flatnonzero(~(np.abs(norms - 1) <= _NORM_TOLERANCE))
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
def _quiet_loading() -> Any:
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
