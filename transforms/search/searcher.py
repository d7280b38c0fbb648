"""Answers from one published generation."""

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.corpus import doc_hash, part_of
from transforms.embedding import EmbeddingOptions, Encoder, EncoderSpec, Metric, encoder_spec, load_encoder
from transforms.files import read_table
from transforms.generations import Generation, GenerationError

# An index beyond this is memory-mapped: the first answer does not wait for gigabytes that one query never touches.
_MMAP_ABOVE_BYTES = 256 << 20


class EncoderMismatchError(Exception):
    """The index was built by another encoder than the one that would embed the query."""


class QueryError(ValueError):
    """A question that has no answer: a blank text, or fewer than one result wanted."""


@dataclass(frozen=True)
class Hit:
    """One answer: a document, its score with the query, and its text when the corpus keeps texts.

    `metric` says what the score is: the cosine, or with dot the inner product of the vectors as the model gives them, which has
    no fixed range.
    """

    rank: int
    doc_id: str
    score: float
    text: str | None
    metric: Metric


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
        """The best `k` documents for each query, best first; fewer when the corpus is smaller.

        Ties are ordered by document id. Raises QueryError for k < 1 or a blank query.
        """
        if k < 1:
            raise QueryError(f"k must be at least 1, got {k}")
        for query in queries:
            if not query.strip():
                raise QueryError(f"a query must not be blank, got {query!r}")
        vectors = self._encoder().encode_queries(list(queries)).vectors
        scores, ids = self._open_index().search(vectors, k)
        documents = self._documents_of(np.unique(ids[ids >= 0]))
        return [self._hits(row_scores, row_ids, documents, k) for row_scores, row_ids in zip(scores, ids, strict=True)]

    def _encoder(self) -> Encoder:
        return load_encoder(self._spec, self._options.device, self._options.threads)

    def _open_index(self) -> faiss.Index:
        if self._index is None:
            path = self._generation.path("index/index.faiss")
            size = self._generation.manifest.file("index/index.faiss").size
            flags = faiss.IO_FLAG_MMAP_IFC if size > _MMAP_ABOVE_BYTES else 0
            self._index = faiss.read_index(path, flags)
        return self._index

    def _documents_of(self, ids: np.ndarray) -> dict[int, list[str]]:
        """Document ids of passage ids; several documents share one id when their texts are equal."""
        path = self._generation.path("index/ids.parquet")
        table = pq.read_table(path, columns=["id", "doc_id"], filters=pc.field("id").isin(ids.tolist()))
        documents: dict[int, list[str]] = {}
        for passage, doc_id in zip(table["id"].to_pylist(), table["doc_id"].to_pylist(), strict=True):
            documents.setdefault(passage, []).append(doc_id)
        return documents

    def _hits(self, scores: np.ndarray, ids: np.ndarray, documents: dict[int, list[str]], k: int) -> list[Hit]:
        best: dict[str, float] = {}
        for score, passage in zip(scores.tolist(), ids.tolist(), strict=True):
            for doc_id in documents.get(passage, []):
                best[doc_id] = max(score, best.get(doc_id, -np.inf))
        ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))[:k]
        texts = self._texts_of([doc_id for doc_id, _ in ranked])
        metric = self._spec.metric
        return [Hit(rank, doc_id, score, texts.get(doc_id), metric) for rank, (doc_id, score) in enumerate(ranked, 1)]

    def _texts_of(self, doc_ids: Sequence[str]) -> dict[str, str]:
        """Texts of a few documents, reading only the parts and row groups that can hold them."""
        parts = self._generation.manifest.under("documents")
        by_part: dict[int, list[str]] = {}
        for doc_id in doc_ids:
            by_part.setdefault(part_of(doc_hash(doc_id), len(parts)), []).append(doc_id)
        texts: dict[str, str] = {}
        for part, wanted in sorted(by_part.items()):
            path = self._generation.checked(parts[part])
            if "text" not in pq.read_schema(path).names:
                return {}
            table = read_table(path, columns=["doc_id", "text"])
            table = table.filter(pc.field("doc_id").isin(wanted))
            texts.update(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True))
        return texts


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
