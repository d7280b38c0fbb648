"""Answers from one published generation."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from transforms.corpus import is_visible
from transforms.embedding import EmbeddingOptions, EncoderSpec, QueryEncoder, encoder_spec, load_query_encoder
from transforms.generations import Generation, GenerationError
from transforms.lexical import LexicalIndex, open_lexical
from transforms.search.allowed import Allowed
from transforms.search.conditions import Conditions
from transforms.search.groups import Groups
from transforms.search.labels import Labels, Theme, Topic
from transforms.search.nearest import Best, nearest
from transforms.search.owners import Owners, Passage
from transforms.search.passages import CONTRACT, Passages
from transforms.search.rankers import HybridRanker, LexicalRanker, Mode
from transforms.search.vector_index import Found, VectorIndex, open_index


class EncoderMismatchError(Exception):
    """The index was built by another encoder than the one that would embed the query."""


class QueryError(ValueError):
    """A question that has no answer: no text or a blank one, fewer than one result wanted, no such mode or weight."""


# What a score is. With rrf it is the sum of 1 / (60 + rank) over both rankings, with weighted that of two shares: see `fusion`.
ScoreKind = Literal["cosine", "dot", "bm25", "rrf", "weighted"]


@dataclass(frozen=True)
class Hit:
    """One answer: a document, the number of its best passage, that passage's score with the query, and what is known of it.

    `metric` says what the score is: the cosine, or with dot the inner product of the vectors as the model gives them, which has
    no fixed range; bm25 where words were searched, rrf or weighted where both were. `text` is None when the generation keeps
    none, `theme` and `topic` when it has none. `duplicates` are the other documents of the passage's group, for which this one
    stands: only where groups were asked for.
    """

    rank: int
    doc_id: str
    passage_no: int
    score: float
    metric: ScoreKind
    text: str | None
    metadata: dict[str, Any]
    theme: Theme | None
    topic: Topic | None
    duplicates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """One answer without what is known of it, as tables of many answers have it."""

    doc_id: str
    passage_no: int
    score: float


class GenerationSearcher:
    """Searches one generation. Safe to share between threads.

    Model, index and ids are loaded once, at the first query or by `load`; other tables when they are asked for. `options`
    describe the encoder that built the index; where words alone are searched nobody asks for it.
    """

    def __init__(self, generation: Generation, options: EmbeddingOptions) -> None:
        """Read nothing yet."""
        self.generation = generation
        self._spec: EncoderSpec | None = None
        self._options = options
        self._lock = threading.RLock()
        self._conditions = Conditions(generation)
        self._query_encoder: QueryEncoder | None = None
        self._loaded = False

    @property
    def spec(self) -> EncoderSpec:
        """The encoder. Raises EncoderMismatchError when it is not the one that built the index, ModelError without one."""
        if self._spec is None:
            self._spec = matching_spec(self.generation, self._options)
        return self._spec

    def load(self) -> None:
        """Load model, index and ids now: the files while the model's libraries are imported, which takes longest.

        Raises CorruptFileError for a published file that is not what was written, ModelError for a model that cannot be loaded,
        EncoderMismatchError for another one.
        """
        if self._loaded:
            return
        # Before anything large is read.
        _ = self.spec
        with ThreadPoolExecutor(1) as beside:
            files = beside.submit(lambda: (self._index, self._owners))
            _ = self._encoder
            files.result()
        self._loaded = True

    def search(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        where: str | None = None,
        group_duplicates: bool = False,
        mode: Mode = "dense",
        weight: float | None = None,
    ) -> list[list[Hit]]:
        """The best `k` documents for each query, by their best passages, best first; fewer where there are no more.

        `mode` dense compares vectors, lexical words by BM25 (a document without any of the query's words is no answer), hybrid
        both: by their ranks, or with a `weight` of the vectors, 0 … 1, by their scores.

        Ties are ordered by document id, of one document's passages by number. `where` is a condition on the documents' columns
        (see `parse_where`): the best `k` of those that fit. With `group_duplicates` documents of one group of duplicates, by
        their best passages, are one answer.

        Raises QueryError for k < 1, a blank query or a weight that cannot be used, WhereError for a condition that cannot be
        used, GenerationError where there is no lexical index; for vectors also what `load` raises.
        """
        check_queries(queries, k)
        check_mode(mode, weight)
        if mode == "dense":
            self.load()
        allowed = None if where is None else self._conditions.fitting(where)
        best = self._ranked(queries, k, allowed, group_duplicates, mode, weight)
        kind = self._kind(mode, weight)
        return [self._hits(found, kind, allowed, group_duplicates) for found in best]

    def places(
        self,
        queries: Sequence[str],
        k: int,
        *,
        where: str | None = None,
        group_duplicates: bool = False,
        mode: Mode = "dense",
        weight: float | None = None,
        vectors: np.ndarray | None = None,
    ) -> list[list[Place]]:
        """As `search`, without what is known of the documents; with `vectors` float32 (n, dim) no query is embedded."""
        check_queries(queries, k)
        check_mode(mode, weight)
        allowed = None if where is None else self._conditions.fitting(where)
        found = self._ranked(queries, k, allowed, group_duplicates, mode, weight, vectors)
        return [[Place(*one.passage, one.score) for one in best] for best in found]

    def encode(self, queries: Sequence[str]) -> np.ndarray:
        """Vectors float32 (n, dim) of queries, each embedded alone. Raises ModelError or VectorError as the encoder does."""
        return self._encoder.encode(list(queries))[0]

    def truncated(self, queries: Sequence[str]) -> list[bool]:
        """Which queries are longer than the model takes: of these only the beginning is looked for."""
        return [bool(one) for one in self._encoder.too_long(list(queries))]

    @property
    def max_tokens(self) -> int:
        """Tokens that the model takes."""
        return self._encoder.max_tokens

    def _ranked(
        self,
        queries: Sequence[str],
        k: int,
        allowed: Allowed | None,
        group_duplicates: bool,
        mode: Mode,
        weight: float | None,
        vectors: np.ndarray | None = None,
    ) -> list[list[Best]]:
        only, texts = None if allowed is None else allowed.only, np.array(queries, object)
        if mode == "lexical":
            lexical = LexicalRanker(self._words, only)

            def by_words(rows: np.ndarray, wanted: int) -> Found:
                return lexical.search(texts[rows], wanted)

            return self._nearest(len(texts), k, by_words, allowed, group_duplicates)
        encoded = self.encode(queries) if vectors is None else vectors
        if mode == "dense":
            return self._best(encoded, k, allowed, group_duplicates)
        hybrid = HybridRanker(self._index, self._words, weight, self.spec.metric == "cosine", only)

        def by_both(rows: np.ndarray, wanted: int) -> Found:
            return hybrid.search(texts[rows], encoded[rows], wanted)

        return self._nearest(len(texts), k, by_both, allowed, group_duplicates)

    def _best(self, vectors: np.ndarray, k: int, allowed: Allowed | None, group_duplicates: bool) -> list[list[Best]]:
        only = None if allowed is None else allowed.only

        def search(rows: np.ndarray, wanted: int) -> Found:
            return self._index.search(vectors[rows], wanted, only)

        return self._nearest(len(vectors), k, search, allowed, group_duplicates)

    def _nearest(
        self,
        queries: int,
        k: int,
        search: Callable[[np.ndarray, int], Found],
        allowed: Allowed | None,
        group_duplicates: bool,
    ) -> list[list[Best]]:
        def owners(ids: np.ndarray) -> dict[int, list[Passage]]:
            found = self._owners.of(ids)
            if allowed is None:
                return found
            return {text: [one for one in passages if one in allowed] for text, passages in found.items()}

        def group(passage: Passage) -> int | None:
            return self._groups.of(passage) if group_duplicates else None

        return nearest(queries, k, search, owners, group)

    def _kind(self, mode: Mode, weight: float | None) -> ScoreKind:
        if mode == "dense":
            return self.spec.metric
        if mode == "lexical":
            return "bm25"
        return "rrf" if weight is None else "weighted"

    def _hits(self, found: list[Best], kind: ScoreKind, allowed: Allowed | None, group_duplicates: bool) -> list[Hit]:
        """What is known of the answers to one query."""
        answers = {best.passage[0] for best in found}
        hits = []
        for rank, best in enumerate(found, 1):
            doc_id, passage_no = best.passage
            row, number = self._passages.find(best.passage) or ({}, None)
            labels = self._labels
            theme, topic = (None, None) if labels is None or number is None else labels.at(number)
            metadata = {name: value for name, value in row.items() if name not in CONTRACT}
            # A document that is an answer by another passage needs nobody to stand for it.
            others = tuple(sorted(self._grouped(best.passage, allowed) - answers)) if group_duplicates else ()
            hits.append(Hit(rank, doc_id, passage_no, best.score, kind, row.get("text"), metadata, theme, topic, others))
        return hits

    def _grouped(self, passage: Passage, allowed: Allowed | None) -> set[str]:
        """The documents of a passage's group."""
        group = self._groups.of(passage)
        members = [] if group is None else self._groups.passages(group)
        return {one[0] for one in members if allowed is None or one in allowed}

    @property
    def _encoder(self) -> QueryEncoder:
        # Held here: it is dropped with the last generation that is searched with it.
        if self._query_encoder is None:
            self._query_encoder = load_query_encoder(self.spec, self._options.device, self._options.threads)
        return self._query_encoder

    @cached_property
    def _index(self) -> VectorIndex:
        with self._lock:
            return self.__dict__.get("_index") or open_index(self.generation)

    @cached_property
    def _words(self) -> LexicalIndex:
        with self._lock:
            return self.__dict__.get("_words") or open_lexical(self.generation)

    @cached_property
    def _owners(self) -> Owners:
        with self._lock:
            return self.__dict__.get("_owners") or Owners(self.generation.path("index/ids.parquet"))

    @cached_property
    def _passages(self) -> Passages:
        with self._lock:
            return self.__dict__.get("_passages") or Passages(self.generation)

    @cached_property
    def _labels(self) -> Labels | None:
        with self._lock:
            return self.__dict__.get("_labels") or Labels.of(self.generation)

    @cached_property
    def _groups(self) -> Groups:
        with self._lock:
            return self.__dict__.get("_groups") or Groups(self.generation)


def check_queries(queries: Sequence[str], k: int) -> None:
    """Raise QueryError for k < 1, a query that is no text, no Unicode or blank as a corpus has it, and one text for a list."""
    if isinstance(queries, str | bytes):
        raise QueryError(f"queries are a list of texts, got the text {queries[:80]!r}: write [{queries[:20]!r}]")
    if not isinstance(k, Integral) or k < 1:
        raise QueryError(f"k must be at least 1 and whole, got {k!r}")
    for query in queries:
        if not isinstance(query, str):
            raise QueryError(f"a query must be a text, got {type(query).__name__} {str(query)[:80]}")
        if any("\ud800" <= character <= "\udfff" for character in query):
            raise QueryError(f"a query must be Unicode, got {query[:80]!r}: write it in UTF-8")
    for query, visible in zip(queries, is_visible(pa.array(queries, pa.string())).to_pylist(), strict=True):
        if not visible:
            raise QueryError(f"a query must not be blank, got {query[:80]!r}")


def check_mode(mode: Mode, weight: float | None) -> None:
    """Raise QueryError for a mode that there is not, and a weight that is no share, or that nothing is weighed by."""
    if mode not in get_args(Mode):
        raise QueryError(f"mode is one of {', '.join(get_args(Mode))}, got {mode!r}")
    if weight is not None and mode != "hybrid":
        raise QueryError(f"a weight is for mode hybrid, which weighs vectors against words; the mode is {mode}")
    if weight is not None and not 0 <= weight <= 1:
        raise QueryError(f"weight is the share of the vectors, 0 to 1, got {weight}")


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
