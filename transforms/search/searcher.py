"""Answers from one published generation."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import faiss
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.embedding import EmbeddingOptions, EncoderSpec, Metric, TextEncoder, encoder_spec, load_encoder
from transforms.files import filesystem_of, is_local
from transforms.generations import Generation, GenerationError
from transforms.index import read_index
from transforms.search.passages import find_passages

# An index beyond this is memory-mapped: the first answer does not wait for gigabytes that one query never touches.
_MMAP_ABOVE_BYTES = 256 << 20


class EncoderMismatchError(Exception):
    """The index was built by another encoder than the one that would embed the query."""


class QueryError(ValueError):
    """A question that has no answer: a blank text, or fewer than one result wanted."""


# The documents, with the number of the passage, that have a text, by the text's id.
_Owners = dict[int, list[tuple[str, int]]]


@dataclass(frozen=True)
class Hit:
    """One answer: a document, the number of its best passage, that passage's score with the query and, when kept, its text.

    `metric` says what the score is: the cosine, or with dot the inner product of the vectors as the model gives them, which has
    no fixed range.
    """

    rank: int
    doc_id: str
    passage_no: int
    score: float
    metric: Metric
    text: str | None


class Searcher:
    """Search one generation: the model is loaded at the first query, the index and the ids once."""

    def __init__(self, generation: Generation, options: EmbeddingOptions) -> None:
        """Check that `options` describe the encoder that built the index.

        Raises EncoderMismatchError when they do not, before anything large is read.
        """
        self._generation = generation
        self._options = options
        self._spec = matching_spec(generation, options)
        self._index: faiss.Index | None = None

    def search(self, queries: Sequence[str], k: int = 10) -> list[list[Hit]]:
        """The best `k` documents for each query, by their best passages, best first; fewer when the corpus is smaller.

        Ties are ordered by document id, of one document's passages by number. Raises QueryError for k < 1 or a blank query.
        """
        if k < 1:
            raise QueryError(f"k must be at least 1, got {k}")
        for query in queries:
            if not query.strip():
                raise QueryError(f"a query must not be blank, got {query!r}")
        vectors = self._encoder().encode_queries(list(queries)).vectors
        index, wanted = self._open_index(), k
        while True:
            scores, ids = index.search(vectors, min(wanted, max(k, index.ntotal)))
            owners = self._owners_of(np.unique(ids[ids >= 0]))
            found = [_best_passages(*row, owners) for row in zip(scores.tolist(), ids.tolist(), strict=True)]
            # Several answers may be passages of one document: ask for more until that is enough documents or all there is.
            exhausted = np.any(ids < 0, axis=1) | np.bool_(wanted >= index.ntotal)
            if all(len(best) >= k or no_more for best, no_more in zip(found, exhausted.tolist(), strict=True)):
                return [self._hits(best, k) for best in found]
            wanted *= 2

    def _encoder(self) -> TextEncoder:
        return load_encoder(self._spec, self._options.device, self._options.threads)

    def _open_index(self) -> faiss.Index:
        if self._index is None:
            path = self._generation.path("index/index.faiss")
            size = self._generation.manifest.file("index/index.faiss").size
            if is_local(path) and size > _MMAP_ABOVE_BYTES:
                self._index = faiss.read_index(filesystem_of(path)[1], faiss.IO_FLAG_MMAP_IFC)
            else:
                self._index = read_index(path)
        return self._index

    def _owners_of(self, ids: np.ndarray) -> _Owners:
        """The passages that are the texts with these ids; equal texts share an id."""
        path = self._generation.path("index/ids.parquet")
        columns = ["id", "doc_id", "passage_no"]
        fs, inner = filesystem_of(path)
        table = pq.read_table(inner, columns=columns, filters=pc.field("id").isin(ids.tolist()), filesystem=fs)
        owners: _Owners = {}
        for text, doc_id, passage_no in zip(*(table[name].to_pylist() for name in columns), strict=True):
            owners.setdefault(text, []).append((doc_id, passage_no))
        return owners

    def _hits(self, best: dict[str, tuple[float, int]], k: int) -> list[Hit]:
        ranked = sorted(best.items(), key=lambda item: (-item[1][0], item[0]))[:k]
        texts = self._texts_of({(doc_id, passage_no) for doc_id, (_, passage_no) in ranked})
        return [
            Hit(rank, doc_id, passage_no, score, self._spec.metric, texts.get((doc_id, passage_no)))
            for rank, (doc_id, (score, passage_no)) in enumerate(ranked, 1)
        ]

    def _texts_of(self, passages: Set[tuple[str, int]]) -> dict[tuple[str, int], str]:
        """Texts of a few passages; none when the generation keeps no texts."""
        found = find_passages(self._generation, {doc_id for doc_id, _ in passages}, ["text"])
        return {passage: row["text"] for passage, row in found.items() if passage in passages and row["text"] is not None}


def _best_passages(scores: Sequence[float], ids: Sequence[int], owners: _Owners) -> dict[str, tuple[float, int]]:
    """For each document of the texts `ids` (-1 is none) the score and number of its best passage, of equal ones the first."""
    best: dict[str, tuple[float, int]] = {}
    for score, text in zip(scores, ids, strict=True):
        for doc_id, passage_no in owners.get(text, []):
            if doc_id not in best or (-score, passage_no) < (-best[doc_id][0], best[doc_id][1]):
                best[doc_id] = score, passage_no
    return best


def matching_spec(generation: Generation, options: EmbeddingOptions) -> EncoderSpec:
    """The encoder of `options`, if it is the one whose vectors are in the index.

    Raises EncoderMismatchError naming both models and fingerprints when it is not, GenerationError for an empty manifest.
    """
    built = generation.manifest.encoder
    if "fingerprint" not in built:
        raise GenerationError(f"generation {generation.id} does not say which encoder built it")
    spec = encoder_spec(options)
    if spec.fingerprint != built["fingerprint"]:
        raise EncoderMismatchError(
            f"generation {generation.id} was built by {built.get('model')!r} (fingerprint {built['fingerprint'][:12]}), the "
            f"loaded model is {spec.model!r} (fingerprint {spec.fingerprint[:12]}): scores would mean nothing; "
            "search with the model of the index, or reindex with this one"
        )
    return spec
