"""One query to its vector, soon: the model's files straight into the packed forward pass, each query in a pass of its own."""

import json
import logging
import os
import threading
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from transforms.embedding.encoder import TextEncoder, check_vectors, finish, load_encoder
from transforms.embedding.fingerprint import EncoderSpec, find_here
from transforms.embedding.models import ModelError
from transforms.embedding.packable import PackableFiles, packable_files
from transforms.embedding.pool import one_thread_each
from transforms.embedding.profiles import check_dimension
from transforms.embedding.window import Tokenize, Window

_log = logging.getLogger(__name__)


class QueryEncoder:
    """Queries one by one, safe to share between threads. Use `load_query_encoder`, which loads each model once in a process.

    A query's vector is the same bytes whatever other queries are asked, by whichever thread and on however many cores. In a
    batch of `Encoder.encode_queries` it may differ by what another order of summation rounds.
    """

    def __init__(self, spec: EncoderSpec, device: str | None = None, threads: int | None = None) -> None:
        """Load the model from its files, or where these are not known, by the library, which takes seconds to import."""
        import torch

        self.spec = spec
        self.max_tokens: int
        self._own = _packed(spec, device)
        self._library: TextEncoder | None = None
        if self._own is None:
            self._library = load_encoder(spec, device, threads)
            self.max_tokens = self._library.max_tokens
            self.dim = self._library.dim
        else:
            self._tokenize, self._forward, self.max_tokens = self._own
            self.dim = min(int(self._forward.width), spec.truncate_dim or int(self._forward.width))
            check_dimension(spec.model, spec.profile, spec.truncate_dim, self.dim)
            self._threads = one_thread_each(threads or torch.get_num_threads())

    def encode(self, queries: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Vectors float32 (n, dim) of queries with the query prompt; which ones are longer than the model takes, bool (n,).

        Raises VectorError or ModelError naming the query that has no usable vector.
        """
        if self._library is not None:
            # Padding to the longest of a batch may change the last digits: each is alone here, too.
            alone = [self._library.encode_queries([query]) for query in queries]
            vectors = np.concatenate([np.empty((0, self.dim), np.float32), *(one.vectors for one in alone)])
            return vectors, np.array([one.truncated[0] for one in alone], bool)
        window = Window(queries, self.spec.query_prompt or "", self.max_tokens, self._tokenize)
        for i, error in window.failed.items():
            raise ModelError(f"model {self.spec.model!r} fails on {queries[i][:80]!r}: {error}") from error
        vectors = np.empty((len(queries), self.dim), np.float32)
        for i, vector in enumerate(self._threads.map(self._one, [window.truncated_ids(i) for i in range(len(queries))])):
            vectors[i] = vector
        check_vectors(vectors, queries, self.spec.normalize)
        return vectors, window.full_lengths > self.max_tokens

    def too_long(self, queries: Sequence[str]) -> np.ndarray:
        """Which queries are longer than the model takes: bool (n,)."""
        if self._library is not None:
            return self.encode(queries)[1]
        window = Window(queries, self.spec.query_prompt or "", self.max_tokens, self._tokenize)
        return window.full_lengths > self.max_tokens

    def _one(self, ids: list[int]) -> np.ndarray:
        from transforms.embedding.packed import rows_of_one

        return finish(self._forward([ids], rows_of_one(len(ids))), self.spec)[0]


_Key = tuple[EncoderSpec, str | None]
# Who searches holds the encoder: a service that goes over to another model does not keep the old one.
_loaded: "WeakValueDictionary[_Key, QueryEncoder]" = WeakValueDictionary()
_loading: dict[_Key, threading.Lock] = {}
_lock = threading.Lock()


def load_query_encoder(spec: EncoderSpec, device: str | None = None, threads: int | None = None) -> QueryEncoder:
    """The query encoder of `spec`, loaded once in this process for as long as somebody has it. Nobody waits for another model.

    `threads` (None: as many as torch has) work on a CPU.
    """
    key = spec, device
    with _lock:
        loading = _loading.setdefault(key, threading.Lock())
    with loading:
        encoder = _loaded.get(key)
        if encoder is None:
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
            encoder = _loaded[key] = QueryEncoder(find_here(spec), device, threads)
        return encoder


def _packed(spec: EncoderSpec, device: str | None) -> tuple[Tokenize, Any, int] | None:
    """Tokenizer, forward pass and longest text, in tokens; None where the files are not known."""
    import torch

    from transforms.embedding.architectures import UnsupportedModelError
    from transforms.embedding.packed import PackedEncoder
    from transforms.embedding.weight_files import read_weights

    files = packable_files(spec.folder)
    tokenize = None if files is None else _tokenizer(files)
    if tokenize is None or spec.token_limit is None:
        return None
    try:
        weights = read_weights(spec.folder)
    except UnsupportedModelError as reason:
        _log.info("queries of %s go through the library: %s", spec.model, reason)
        return None
    chosen = torch.device(device or _best_device(spec.precision))
    return tokenize, PackedEncoder(weights, chosen, spec.precision), spec.token_limit


def _best_device(precision: str) -> str:
    """The device that the library would take."""
    import torch

    if precision == "int8":
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def _tokenizer(files: PackableFiles) -> Tokenize | None:
    """The tokenizer of the folder; None where it has none of its own, or texts have other special tokens than usual."""
    from tokenizers import Tokenizer

    path = os.path.join(files.inner, "tokenizer.json")
    if not os.path.exists(path):
        return None
    tokenizer = Tokenizer.from_file(path)
    if not _normalizes_as_the_library(tokenizer.normalizer, files.inner):
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    marks = tokenizer.encode("a").special_tokens_mask
    if tokenizer.num_special_tokens_to_add(False) != 2 or (marks[0], marks[-1]) != (1, 1):
        return None
    return lambda texts: [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]


# What the library makes a BERT tokenizer's normalizer of, whatever its own file says: settings beside that file, with their
# defaults, and their names inside it.
_NORMALIZING = {
    "do_lower_case": (True, "lowercase"),
    "strip_accents": (None, "strip_accents"),
    "tokenize_chinese_chars": (True, "handle_chinese_chars"),
}


def _normalizes_as_the_library(normalizer: Any, folder: str) -> bool:
    """Whether the normalizer of `tokenizer.json` does what the library does, which reads other files too."""
    from tokenizers.normalizers import BertNormalizer

    beside, model = (
        _read_object(os.path.join(folder, f"{name}.json")) for name in ("tokenizer_config", "sentence_bert_config")
    )
    if model.get("do_lower_case"):
        return False
    if not isinstance(normalizer, BertNormalizer):
        return True
    return all(beside.get(name, default) == getattr(normalizer, own) for name, (default, own) in _NORMALIZING.items())


def _read_object(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
