"""The published index as searches use it: a score depends on query and text alone, and filters never cost results."""

import math
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

from transforms.files import filesystem_of, is_local
from transforms.generations import Generation
from transforms.index import read_index

INDEX = "index/index.faiss"

# A larger index is left in its file: memory holds what searches visit, and the first answer does not wait for the rest.
MAPPED_ABOVE_BYTES = 256 << 20
# A larger one is compared with the manifest by its size only: its checksum would take seconds to minutes. `verify` takes them.
HASHED_UP_TO_BYTES = 1 << 30

# FAISS computes the distances to centroids of twenty queries or more by BLAS, whose rounding depends on their number: which
# list is the last that a query visits would then depend on the queries beside it.
_QUERIES = 16
# Of an id in an IDSelectorBatch, by malloc: 45 to 53, as its tables are filled (FAISS 1.15, glibc).
_SET_BYTES = 48
# Candidates whose scores are computed again at a time, in numbers of float64: 32 MB.
_NUMBERS = 4 << 20


@dataclass(frozen=True)
class Found:
    """Answers to n queries, best first, ties by id: `scores` float32 and `ids` int64 (n, k), -inf and -1 for none.

    `unseen` float32 (n,): no text that is not listed has a higher score; -inf where there is none.
    """

    scores: np.ndarray
    ids: np.ndarray
    unseen: np.ndarray


class VectorIndex:
    """A FAISS index of inner products. Safe to share between threads."""

    def __init__(self, index: faiss.Index, unit: bool) -> None:
        """`unit`: all vectors have length 1."""
        self._index = index
        self.texts: int = index.ntotal
        self._ivf = _inverted_file(index)
        self._transformed = isinstance(faiss.downcast_index(index), faiss.IndexPreTransform)
        self._exact = None if self._ivf is not None else _Vectors(index, unit)

    def search(self, vectors: np.ndarray, k: int, only: "Only | None" = None) -> Found:
        """The best `k` texts for each of (n, dim) float32 vectors, of all or of `only` some.

        The number of inverted lists that are visited is the published one, more by as much as the filter leaves fewer texts;
        all where that gives fewer than `k`.
        """
        if not self.texts or (only is not None and not len(only.ids)):
            none = np.full((len(vectors), 0), -1, np.int64)
            return Found(np.empty(none.shape, np.float32), none, np.full(len(vectors), -np.inf, np.float32))
        most = self.texts if only is None else len(only.ids)
        k = min(k, most)
        if self._exact is not None:
            scores, ids, unseen = self._exact.search(vectors, k, only)
        else:
            scores, ids = self._of_lists(vectors, k, only)
            unseen = scores[:, -1]
        # Fewer than were asked for, or all that there are.
        unseen = np.where((ids[:, -1] < 0) | (k == most), np.float32(-np.inf), unseen)
        order = np.lexsort((ids, -scores), axis=1)
        return Found(np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1), unseen)

    def _of_lists(self, vectors: np.ndarray, k: int, only: "Only | None") -> tuple[np.ndarray, np.ndarray]:
        assert self._ivf is not None
        share = 1.0 if only is None else len(only.ids) / self.texts
        lists = min(self._ivf.nlist, math.ceil(self._ivf.nprobe / share))
        scores, ids = self._visit(vectors, k, only, lists)
        few = np.flatnonzero(ids[:, -1] < 0)
        if len(few) and lists < self._ivf.nlist:
            scores[few], ids[few] = self._visit(vectors[few], k, only, self._ivf.nlist)
        return scores, ids

    def _visit(self, vectors: np.ndarray, k: int, only: "Only | None", lists: int) -> tuple[np.ndarray, np.ndarray]:
        # Keywords are what FAISS's Python layer adds to its classes.
        parameters: Any = faiss.SearchParametersIVF(nprobe=lists, **_selecting(only))  # type: ignore[call-arg]
        if self._transformed:
            parameters = faiss.SearchParametersPreTransform(index_params=parameters)  # type: ignore[call-arg]
        scores, ids = np.empty((len(vectors), k), np.float32), np.empty((len(vectors), k), np.int64)
        # A rotation is a product by BLAS for any number of queries.
        step = 1 if self._transformed else _QUERIES
        for low in range(0, len(vectors), step):
            some = slice(low, low + step)
            scores[some], ids[some] = self._index.search(vectors[some], k, params=parameters)
        return scores, ids


class Only:
    """Some ids, int64 (n,), ascending: nothing else is an answer."""

    def __init__(self, ids: np.ndarray) -> None:
        self.ids = ids
        self.selector = faiss.IDSelectorBatch(ids)

    @property
    def nbytes(self) -> int:
        """Bytes in memory, those of FAISS's set and its Bloom filter included."""
        return self.ids.nbytes + _SET_BYTES * len(self.ids)


class _Vectors:
    """An index without lists. What FAISS finds by BLAS, whose rounding depends on the queries beside one, is scored again."""

    def __init__(self, index: faiss.Index, unit: bool) -> None:
        self._index = index
        flat: Any = faiss.downcast_index(index.index) if hasattr(index, "index") else index
        # A view: where the file is mapped, only what is scored again is read.
        self._vectors = faiss.rev_swig_ptr(flat.get_xb(), index.ntotal * index.d).reshape(index.ntotal, index.d)
        ids = faiss.vector_to_array(index.id_map) if hasattr(index, "id_map") else np.arange(index.ntotal)
        self._order = np.argsort(ids, kind="stable")
        self._ids = ids[self._order]
        longest = (
            1.001 if unit or not index.ntotal else float(np.sqrt(np.einsum("ij,ij->i", self._vectors, self._vectors).max()))
        )
        # A float32 sum of d products is within d · 2⁻²⁴ times the lengths of the exact one, in whatever order (Higham, 3.1).
        self._error = index.d * 2.0**-24 * longest * 1.01

    def search(self, vectors: np.ndarray, k: int, only: Only | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores and ids (n, k), and for each query a score that no text beyond them exceeds, float32 (n,)."""
        parameters: Any = None if only is None else faiss.SearchParameters(**_selecting(only))
        rough, ids = self._index.search(vectors, k, params=parameters)
        rows = self._order[np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)]
        scores = np.full(ids.shape, -np.inf, np.float32)
        step = max(_NUMBERS // vectors.shape[1], 1)
        for low in range(0, rows.size, step):
            places = np.arange(low, min(low + step, rows.size))
            texts, queries = self._vectors[rows.flat[places]], vectors[places // rows.shape[1]]
            scores.flat[places] = (texts.astype(np.float64) * queries.astype(np.float64)).sum(axis=1)
        scores[ids < 0] = -np.inf
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        unseen = (rough[:, -1] + self._error * lengths).astype(np.float32)
        return scores, ids, unseen


def _selecting(only: Only | None) -> dict[str, Any]:
    return {} if only is None else {"sel": only.selector}


def open_index(generation: Generation) -> VectorIndex:
    """The index of a generation, mapped where it is larger than 256 MiB and local.

    Raises CorruptFileError for a file that is not what was published (above 1 GiB: not of that size), ValueError where FAISS
    cannot read it.
    """
    file = generation.manifest.file(INDEX)
    path = generation.path(INDEX) if file.size <= HASHED_UP_TO_BYTES else generation.of_its_size(file)
    unit = generation.manifest.encoder.get("metric", "cosine") == "cosine"
    if is_local(path) and file.size > MAPPED_ABOVE_BYTES:
        try:
            return VectorIndex(faiss.read_index(filesystem_of(path)[1], faiss.IO_FLAG_MMAP_IFC), unit)
        except RuntimeError as error:
            raise ValueError(f"{path} cannot be read as a FAISS index; run `corpusbeam verify`") from error
    return VectorIndex(read_index(path), unit)


def _inverted_file(index: faiss.Index) -> faiss.IndexIVF | None:
    try:
        return faiss.extract_index_ivf(index)
    except RuntimeError:
        return None
