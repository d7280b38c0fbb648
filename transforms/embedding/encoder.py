"""Texts to vectors with a sentence-transformers model."""

import contextlib
import functools
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from transforms.embedding.batching import packed_tokens, padded_tokens, plan_batches, plan_packed
from transforms.embedding.canary import CANARY_TEXTS, Fidelity, check_canary, measure_fidelity
from transforms.embedding.fingerprint import EncoderSpec, find_here
from transforms.embedding.isolate import isolate
from transforms.embedding.models import ModelError
from transforms.embedding.pool import one_thread_each
from transforms.embedding.profiles import check_dimension
from transforms.embedding.window import CHARACTERS_PER_TOKEN, Window, tokenizer_of

if TYPE_CHECKING:
    from transforms.embedding.packed import PackedEncoder

_log = logging.getLogger(__name__)

# Texts that are tokenised and sorted by length together: enough for batches of equal lengths, few enough to hold their tokens.
_WINDOW = 8192
# Tokens of one forward pass. Small batches stay in a CPU's caches; a GPU needs large ones to be busy.
_TOKENS_PER_BATCH = {"cpu": 1024}
_TOKENS_PER_BATCH_GPU = 65_536
# int8 is so coarse that the report says what it does to the corpus's own texts: this many of them.
_FIDELITY_TEXTS = 64
# Precisions in which the library itself can run a model, by the name of torch's type.
_AUTOCAST = {"bf16": "bfloat16", "fp16": "float16"}
# Norms of vectors that were normalised in fp32 are within 1e-3 of 1; anything else is a fault.
NORM_TOLERANCE = 1e-3
# Other vectors may have any length whose products neither vanish nor overflow in float32.
_SHORTEST, _LONGEST = 1e-18, 1e18

_Errors = dict[int, Exception]


class VectorError(Exception):
    """The model gave a vector that is not finite, is zero, or is not of unit length where it should be."""


@dataclass(frozen=True)
class Encoded:
    """Vectors of some texts, and what they cost.

    `vectors` float32 (n, dim), of unit length unless the metric is dot, in input order; NaN for texts in `failed`, with the
    error that the model fails with on that text alone. `truncated` bool (n,): which texts are longer than the model's limit.
    """

    vectors: np.ndarray
    truncated: np.ndarray
    tokens: int
    padded_tokens: int
    failed: _Errors


class TextEncoder(Protocol):
    """What the stages ask of an encoder, in whatever process its model is; `Encoder` says what each of these is."""

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""

    @property
    def max_tokens(self) -> int:
        """Tokens that the model takes; longer texts are truncated."""

    @property
    def fidelity(self) -> Fidelity | None:
        """How near the vectors are to the model's own."""

    def encode_documents(
        self, texts: Sequence[str], tokens_per_batch: int | None = None, on_batch: Callable[[int], None] | None = None
    ) -> Encoded:
        """Embed documents."""

    def encode_queries(self, texts: Sequence[str], tokens_per_batch: int | None = None) -> Encoded:
        """Embed queries."""


class Encoder:
    """A loaded model, safe to share between threads. Use `load_encoder`, which loads each model once in a process."""

    def __init__(self, spec: EncoderSpec, device: str | None = None, threads: int | None = None) -> None:
        # torch and transformers take seconds to import: only workers that embed pay for it.
        import torch
        from sentence_transformers import SentenceTransformer

        self.spec = spec
        if spec.precision == "int8":
            device = device or "cpu"
            if device != "cpu":
                raise ModelError(f"embedding.precision=int8 is for CPUs, not for device {device!r}: set embedding.device=cpu")
        if not os.path.isdir(spec.folder):
            raise ModelError(
                f"model {spec.model!r} is not in {spec.folder} on {socket.gethostname()}: workers need it at the same path as "
                "the machine that the run was started on, so give both the same image"
            )
        with quiet_loading():
            self._model = SentenceTransformer(
                spec.folder,
                device=device,
                trust_remote_code=False,
                local_files_only=True,
                truncate_dim=spec.truncate_dim,
                # Half-precision checkpoints too: what is rounded is decided here, and the canary needs an exact reference.
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
        self._model.eval()
        tokenizer = self._model.tokenizer
        if not callable(tokenizer) or not isinstance(self._model.max_seq_length, int):
            raise ModelError(f"model {spec.model!r} has no transformers tokenizer with a length limit: it is not supported")
        self._tokenize = tokenizer_of(tokenizer)
        if spec.max_tokens is not None:
            self._model.max_seq_length = min(spec.max_tokens, self._model.max_seq_length)
        self.max_tokens: int = self._model.max_seq_length
        self.dim: int = int(self._model.get_embedding_dimension() or 0)
        check_dimension(spec.model, spec.profile, spec.truncate_dim, self.dim)
        self.fidelity: Fidelity | None = None
        self._canary_passed = False
        # The library's tokenizer keeps its truncation as state, and one call uses all threads anyway.
        self._lock = threading.RLock()
        self._packed = self._packed_forward()
        self._rows = 1 if self._packed is None else self._packed.rows
        parallel = self._packed is not None and self._model.device.type == "cpu"
        self._threads = one_thread_each(threads or torch.get_num_threads()) if parallel else None

    def encode_documents(
        self, texts: Sequence[str], tokens_per_batch: int | None = None, on_batch: Callable[[int], None] | None = None
    ) -> Encoded:
        """Embed documents with the document prompt. `on_batch` is told the number of texts of every finished batch.

        The vectors are as the model gave them: pass them to `check_vectors` with the documents' ids before storing them.
        Afterwards `fidelity` says how near they are to the model's own in fp32: on 32 fixed texts, for int8 on some of
        these.

        Raises CanaryError before the first text when this encoder's vectors are not those of the model in fp32, ModelError
        when the model fails on every text.
        """
        spec = self.spec
        with self._lock:
            self.check(tokens_per_batch)
            encoded = self._encode(texts, spec.document_prompt, "document", tokens_per_batch, on_batch)
            if self.fidelity is None and (rows := self._ordinary(texts, encoded)):
                sample = [texts[i] for i in rows]
                prompt = spec.document_prompt or ""
                self.fidelity = measure_fidelity(encoded.vectors[rows], self._model, sample, prompt, spec.normalize)
        return encoded

    def check(self, tokens_per_batch: int | None = None) -> None:
        """Run the canary unless it has passed already: before the first document, or earlier where there is time for it.

        Raises CanaryError when this encoder's vectors are not those of the model in fp32.
        """
        spec = self.spec
        with self._lock:
            if self._canary_passed:
                return
            own = self._encode(CANARY_TEXTS, None, "document", tokens_per_batch, None).vectors
            # What is measured does not depend on the number of threads then, and beside a busy process, where threads of the
            # library wait for each other by spinning, one takes a third of the processor time of two.
            with _torch_threads(1):
                canary = check_canary(own, self._model, spec.precision, spec.normalize)
            self._canary_passed = True
            self.fidelity = None if spec.precision == "int8" else canary

    def encode_queries(self, texts: Sequence[str], tokens_per_batch: int | None = None) -> Encoded:
        """Embed queries with the query prompt. Raises VectorError or ModelError naming the query that has no usable vector."""
        encoded = self._encode(texts, self.spec.query_prompt, "query", tokens_per_batch, None)
        for i, error in encoded.failed.items():
            raise ModelError(f"model {self.spec.model!r} fails on {texts[i][:80]!r}: {error}") from error
        check_vectors(encoded.vectors, texts, self.spec.normalize)
        return encoded

    def _encode(
        self,
        texts: Sequence[str],
        prompt: str | None,
        task: str,
        tokens_per_batch: int | None,
        on_batch: Callable[[int], None] | None,
    ) -> Encoded:
        kind = self._model.device.type
        budget = tokens_per_batch or _TOKENS_PER_BATCH.get(kind, _TOKENS_PER_BATCH_GPU)
        vectors = np.full((len(texts), self.dim), np.nan, np.float32)
        full_lengths = np.zeros(len(texts), np.int64)
        computed = 0
        failed: _Errors = {}
        with self._lock:
            for start in range(0, len(texts), _WINDOW):
                window = Window(texts[start : start + _WINDOW], prompt or "", self.max_tokens, self._tokenize)
                failed |= {start + i: error for i, error in window.failed.items()}
                full_lengths[start : start + _WINDOW] = window.full_lengths
                if window.failed and on_batch is not None:
                    on_batch(len(window.failed))
                batches, tokens = self._plan(window, budget)
                computed += tokens

                # Bound now: threads run it.
                def forward(rows: Sequence[int], start: int = start, window: Window = window) -> None:
                    vectors[start + np.asarray(rows)] = self._forward(window, rows, prompt, task)

                found = self._map(functools.partial(isolate, compute=forward), batches)
                for batch, errors in zip(batches, found, strict=True):
                    failed |= {start + i: error for i, error in errors.items()}
                    if on_batch is not None:
                        on_batch(len(batch))
            if failed:
                self._check_alive(task)
        tokens = int(np.minimum(full_lengths, self.max_tokens).sum())
        return Encoded(vectors, full_lengths > self.max_tokens, tokens, computed, failed)

    def _plan(self, window: Window, budget: int) -> tuple[list[np.ndarray], int]:
        """Batches of the texts that have tokens, and how many tokens their forward passes compute."""
        chosen = np.array([i for i in range(len(window.texts)) if i not in window.failed], dtype=np.int64)
        lengths = window.lengths[chosen]
        if self._packed is not None:
            batches = plan_packed(lengths, max(self._rows, budget // self._rows * self._rows))
            computed = packed_tokens(lengths, batches, self._rows)
        else:
            batches = plan_batches(lengths, budget)
            computed = padded_tokens(lengths, batches)
        return [chosen[batch] for batch in batches], computed

    def _map(self, work: Callable[[np.ndarray], _Errors], batches: list[np.ndarray]) -> Iterator[_Errors]:
        """Results in order: on a CPU one batch in each thread, which is faster than all threads in one batch."""
        return map(work, batches) if self._threads is None else self._threads.map(work, batches)

    def _forward(self, window: Window, rows: Sequence[int], prompt: str | None, task: str) -> np.ndarray:
        if self._packed is not None:
            return finish(self._packed([window.truncated_ids(i) for i in rows]), self.spec)
        return self._library([window.texts[i] for i in rows], prompt, task)

    def _check_alive(self, task: str) -> None:
        """Raise ModelError when it is the model that fails, not the texts."""
        window = Window(CANARY_TEXTS[:1], "", self.max_tokens, self._tokenize)
        try:
            self._forward(window, [0], None, task)
        except Exception as error:
            raise ModelError(f"model {self.spec.model!r} fails on every text: {error}") from error

    def _ordinary(self, texts: Sequence[str], encoded: Encoded) -> list[int]:
        """The first texts that have a vector and are not too long to be tokenised whole."""
        longest = CHARACTERS_PER_TOKEN * self.max_tokens
        return [i for i, text in enumerate(texts) if i not in encoded.failed and len(text) <= longest][:_FIDELITY_TEXTS]

    def _library(self, texts: list[str], prompt: str | None, task: str) -> np.ndarray:
        """One batch through the library, for every model that the packed forward pass does not know."""
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

    def _packed_forward(self) -> "PackedEncoder | None":
        from transforms.embedding.architectures import UnsupportedModelError, weights_of
        from transforms.embedding.packed import PackedEncoder

        try:
            return PackedEncoder(weights_of(self._model), self._model.device, self.spec.precision)
        except UnsupportedModelError as reason:
            if self.spec.precision not in ("fp32", *_AUTOCAST):
                raise ModelError(
                    f"embedding.precision={self.spec.precision} is not possible for model {self.spec.model!r} ({reason}): set "
                    "it to fp32 or bf16"
                ) from reason
            _log.warning("model %s is embedded by the library with padding, not packed: %s", self.spec.model, reason)
            return None

    def _autocast(self) -> Any:
        import torch

        dtype = _AUTOCAST.get(self.spec.precision)
        return contextlib.nullcontext() if dtype is None else torch.autocast(self._model.device.type, getattr(torch, dtype))


@contextlib.contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    """Let torch use so many threads for what this thread asks of it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def finish(vectors: np.ndarray, spec: EncoderSpec) -> np.ndarray:
    """What the library does after its modules: keep the first dimensions, normalise."""
    kept = vectors[:, : spec.truncate_dim] if spec.truncate_dim else vectors
    return kept / np.linalg.norm(kept, axis=1, keepdims=True) if spec.normalize else kept


def check_vectors(vectors: np.ndarray, names: Sequence[str], unit: bool = True) -> None:
    """Raise VectorError, with its name, for the first bad row of (n, dim).

    Bad is what is not finite, and with `unit` what has not length 1 ± 1e-3; without it, a length outside 1e-18 … 1e18.
    """
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    good = np.abs(norms - 1) <= NORM_TOLERANCE if unit else (norms >= _SHORTEST) & (norms <= _LONGEST)
    bad = np.flatnonzero(~good)
    if len(bad):
        i = int(bad[0])
        raise VectorError(
            f"the model gave a vector of length {norms[i]} for {names[i][:80]!r} ({len(bad)} of {len(names)} texts); "
            "check the model's files, or try embedding.precision=fp32"
        )


_loaded: dict[tuple[EncoderSpec, str | None], TextEncoder] = {}
_loading = threading.Lock()


def import_libraries() -> None:
    """Import what loading a model needs, ahead of that."""
    import sentence_transformers  # noqa: F401
    import torch  # noqa: F401
    from transformers import AutoModel, AutoTokenizer  # noqa: F401

    import transforms.embedding.packed  # noqa: F401


def provide_encoder(spec: EncoderSpec, device: str | None, encoder: TextEncoder) -> None:
    """Let `load_encoder` give this encoder for `spec` and `device`: its model is in another process."""
    with _loading:
        _loaded[spec, device] = encoder


def withdraw_encoder(spec: EncoderSpec, device: str | None) -> None:
    """Undo `provide_encoder`: the next one who asks loads the model in this process."""
    with _loading:
        _loaded.pop((spec, device), None)


def load_encoder(spec: EncoderSpec, device: str | None = None, threads: int | None = None) -> TextEncoder:
    """The encoder of `spec`, loaded once in this process however many stages and threads ask for it, or provided by another.

    `threads` (None: as many as torch has) share the work on a CPU. Tokenising, some percent of the work, has a pool of its own,
    for all cores unless RAYON_NUM_THREADS says otherwise, as it does in worker processes.
    """
    with _loading:
        if (spec, device) not in _loaded:
            if threads is not None:
                import torch

                torch.set_num_threads(threads)
            # Without this the library turns its threads off for good in a process that has ever forked.
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
            _loaded[spec, device] = Encoder(find_here(spec), device, threads)
        return _loaded[spec, device]


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
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
