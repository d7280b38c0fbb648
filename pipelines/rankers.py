"""What evaluation compares: a published index, or its corpus with another model, each ranking documents for queries."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipelines.corpus_vectors import CorpusVectors, corpus_vectors
from pipelines.search import published_embedding
from transforms.embedding import EmbeddingOptions, EncoderSpec, encoder_spec, load_encoder
from transforms.evaluation import DEPTH
from transforms.generations import Generation
from transforms.index import exact_top
from transforms.search import Found, GenerationSearcher, Mode, Owners, matching_spec, nearest

# Queries of one search: their results are in memory together.
_QUERIES = 256


@dataclass(frozen=True)
class Ranked:
    """For each query, by id, the best documents with the number of their best passage, best first; and the seconds that took,
    embedding the queries included, opening the index or embedding the corpus not.
    """

    passages: dict[str, list[tuple[str, int]]]
    seconds: float

    @property
    def documents(self) -> dict[str, list[str]]:
        """The documents' ids."""
        return {query: [doc_id for doc_id, _ in found] for query, found in self.passages.items()}


@dataclass(frozen=True)
class System:
    """What is evaluated: a model, and the generation whose documents it is used on (None: none, only texts that are given).

    `published` says that it is the model of the generation's index, which then answers; else all vectors are compared.
    """

    name: str
    generation: Generation | None
    spec: EncoderSpec
    options: EmbeddingOptions
    published: bool


def published_system(generation: Generation, name: str) -> System:
    """A published index. Raises EncoderMismatchError when the model that is here is not the one that built it."""
    options = published_embedding(generation)
    return System(name, generation, matching_spec(generation, options), options, published=True)


def model_system(generation: Generation | None, options: EmbeddingOptions, name: str) -> System:
    """A model of one's own choice. Raises ModelError when it cannot be found."""
    return System(name, generation, encoder_spec(options), options, published=False)


def rank(system: System, queries: Mapping[str, str]) -> Ranked:
    """Dense search: the best `DEPTH` documents for each query, by id; fewer where the corpus has fewer."""
    assert system.generation is not None
    if system.published:
        return PublishedRanker(system, queries).rank("dense")
    return _by_vectors(system, system.generation, queries)


class PublishedRanker:
    """Ranks the documents of a published index for some queries in several ways, as `corpusbeam search` does."""

    def __init__(self, system: System, queries: Mapping[str, str]) -> None:
        """Load the model and the index and embed the queries."""
        assert system.generation is not None
        self._searcher = GenerationSearcher(system.generation, system.options)
        self._ids, self._texts = list(queries), list(queries.values())
        self._searcher.search(self._texts[:1], 1)
        started = time.perf_counter()
        self._vectors = self._searcher.encode(self._texts)
        self._encoding = time.perf_counter() - started

    def rank(self, mode: Mode, weight: float | None = None) -> Ranked:
        """The best `DEPTH` documents for each query, by id; fewer where there are fewer. Raises what the search raises."""
        self._searcher.places(self._texts[:1], 1, mode=mode, weight=weight, vectors=self._vectors[:1])
        passages: dict[str, list[tuple[str, int]]] = {}
        started = time.perf_counter()
        for low in range(0, len(self._ids), _QUERIES):
            some = slice(low, low + _QUERIES)
            hits = self._searcher.places(self._texts[some], DEPTH, mode=mode, weight=weight, vectors=self._vectors[some])
            for query, found in zip(self._ids[some], hits, strict=True):
                passages[query] = [(hit.doc_id, hit.passage_no) for hit in found]
        seconds = time.perf_counter() - started
        return Ranked(passages, seconds if mode == "lexical" else seconds + self._encoding)


def _by_vectors(system: System, generation: Generation, queries: Mapping[str, str]) -> Ranked:
    """Exactly, without an index. The vectors are in files of this machine while it runs."""
    with tempfile.TemporaryDirectory(prefix="corpusbeam-") as folder:
        corpus = corpus_vectors(generation, system.spec, system.options, folder)
        encoder = load_encoder(system.spec, system.options.device, system.options.threads)
        encoder.encode_queries(list(queries.values())[:1])
        started = time.perf_counter()
        vectors = encoder.encode_queries(list(queries.values()), system.options.tokens_per_batch).vectors
        found = _best_documents(generation, corpus, vectors)
        return Ranked(dict(zip(queries, found, strict=True)), time.perf_counter() - started)


def _best_documents(generation: Generation, corpus: CorpusVectors, vectors: np.ndarray) -> list[list[tuple[str, int]]]:
    """The best documents for each query by their best passages, as a searcher finds them."""

    def search(rows: np.ndarray, wanted: int) -> Found:
        top = exact_top(np.full(len(rows), -2), vectors[rows], corpus.blocks, min(wanted, corpus.texts))
        unseen = top.scores[:, -1] if wanted < corpus.texts else np.full(len(rows), -np.inf, np.float32)
        return Found(top.scores, top.ids, unseen)

    owners = Owners(generation.path("index/ids.parquet"))
    return [[best.passage for best in found] for found in nearest(len(vectors), DEPTH, search, owners.of)]
