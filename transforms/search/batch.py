"""Many queries at once: a part of a queries table in, a table of answers out."""

import functools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.embedding import EmbeddingOptions, EncoderSpec, ModelError, VectorError, load_encoder
from transforms.files import FileRef, describe, join, read_table, write_batches
from transforms.generations import open_generation
from transforms.rerank import Relevance, load_reranker
from transforms.search.rankers import Mode
from transforms.search.reranked import CANDIDATES, rerank_passages
from transforms.search.searcher import GenerationSearcher, Place

# Queries that are searched for together: their scores with a tile of the corpus are in memory together.
_QUERIES = 1024

HITS_SCHEMA = describe(
    pa.schema(
        [
            ("query_id", pa.string()),
            ("rank", pa.int32()),
            ("doc_id", pa.string()),
            ("passage_no", pa.int32()),
            ("score", pa.float32()),
            ("rerank_score", pa.float32()),
            ("rerank_logit", pa.float32()),
        ]
    ),
    {
        "query_id": "Query; rows are sorted by (first 8 bytes of its sha256, query_id, rank)",
        "rank": "Place of the document among the answers to the query, from 1",
        "doc_id": "Document of the generation",
        "passage_no": "Its best passage for the query, from 0",
        "score": "Cosine of query and passage, with metric dot the inner product; BM25 or a fused score in modes with words",
        "rerank_score": "Sigmoid of the cross-encoder's logit for query and passage; null without one",
        "rerank_logit": "That logit, which the order goes by: large ones have the same sigmoid",
    },
)


@dataclass(frozen=True)
class QueriesPart:
    """A table with `doc_id` (the query's id) and `text`, the generation that is asked, and the folder for the answers."""

    part: int
    queries: FileRef
    root: str
    generation: str
    directory: str


@dataclass(frozen=True)
class BatchOptions:
    """What is asked of every query: see `GenerationSearcher.search`. `rerank` is the cross-encoder that orders the best 100.

    `rerank_precision` is the one it computes in, so that all workers do alike; None measures which one pays where it runs.
    """

    k: int
    where: str | None = None
    group_duplicates: bool = False
    rerank: str | None = None
    rerank_precision: str | None = None
    mode: Mode = "dense"
    weight: float | None = None


@dataclass(frozen=True)
class HitsRecord:
    """The answers to a part: a file of HITS_SCHEMA. `failed` are queries that the model fails on, with the error."""

    part: int
    hits: FileRef
    queries: int
    truncated: int
    failed: tuple[tuple[str, str], ...]


def search_part(task: QueriesPart, options: EmbeddingOptions, asked: BatchOptions) -> HitsRecord:
    """Answer a part. Its bytes depend on the queries in it, the generation and what is asked only.

    Memory: the part's queries and vectors, the index (mapped where it is large), and what 1,024 queries find.
    """
    searcher = _searcher(task.root, task.generation, options)
    table = read_table(task.queries.path, ["doc_id", "text"])
    ids, texts = table["doc_id"].to_pylist(), table["text"].to_pylist()
    vectors: np.ndarray | None = None
    truncated, failed = np.zeros(len(texts), bool), dict[int, str]()
    if asked.mode != "lexical":
        vectors, truncated, failed = _encode(searcher.spec, options, texts)
    good = [i for i in range(len(texts)) if i not in failed]

    def answers() -> list[pa.Table]:
        tables = []
        for low in range(0, len(good), _QUERIES):
            some = good[low : low + _QUERIES]
            wanted = asked.k if asked.rerank is None else max(asked.k, CANDIDATES)
            found = searcher.places(
                [texts[i] for i in some],
                wanted,
                where=asked.where,
                group_duplicates=asked.group_duplicates,
                mode=asked.mode,
                weight=asked.weight,
                vectors=None if vectors is None else vectors[some],
            )
            orders = None
            if asked.rerank is not None:
                reranker = load_reranker(asked.rerank, options.device, options.threads, asked.rerank_precision)
                passages = [[(place.doc_id, place.passage_no) for place in places] for places in found]
                orders = rerank_passages(searcher.generation, [texts[i] for i in some], passages, reranker)
            tables.append(_table([ids[i] for i in some], found, orders, asked.k))
        return tables

    path = join(task.directory, f"part-{task.part:05d}.parquet")
    hits = write_batches(path, HITS_SCHEMA, answers())
    errors = tuple((ids[i], error) for i, error in sorted(failed.items()))
    return HitsRecord(task.part, hits, len(good), int(truncated.sum()), errors)


@functools.lru_cache(maxsize=2)
def _searcher(root: str, generation: str, options: EmbeddingOptions) -> GenerationSearcher:
    """One for all parts that a process does."""
    return GenerationSearcher(open_generation(root, generation), options)


def _encode(spec: EncoderSpec, options: EmbeddingOptions, texts: list[str]) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Vectors of all queries, packed into full batches; which are too long; the errors of those that have none."""
    encoder = load_encoder(spec, options.device, options.threads)
    try:
        encoded = encoder.encode_queries(texts, options.tokens_per_batch)
        return encoded.vectors, encoded.truncated, {}
    except (ModelError, VectorError):
        # Which ones: each alone, and this is rare.
        vectors, truncated = np.zeros((len(texts), encoder.dim), np.float32), np.zeros(len(texts), bool)
        failed: dict[int, str] = {}
        for i, text in enumerate(texts):
            try:
                one = encoder.encode_queries([text], options.tokens_per_batch)
                vectors[i], truncated[i] = one.vectors[0], one.truncated[0]
            except (ModelError, VectorError) as error:
                failed[i] = str(error)
        if len(failed) == len(texts):
            raise
        return vectors, truncated, failed


def _table(ids: list[str], found: list[list[Place]], orders: list[list[Relevance]] | None, k: int) -> pa.Table:
    rows: list[tuple[str, int, Place, Relevance | None]] = []
    for i, (query, places) in enumerate(zip(ids, found, strict=True)):
        ordered = [(place, None) for place in places] if orders is None else [(places[one.place], one) for one in orders[i]]
        rows += [(query, rank, place, one) for rank, (place, one) in enumerate(ordered[:k], 1)]
    columns = [
        [query for query, _, _, _ in rows],
        [rank for _, rank, _, _ in rows],
        [place.doc_id for _, _, place, _ in rows],
        [place.passage_no for _, _, place, _ in rows],
        [place.score for _, _, place, _ in rows],
        [None if one is None else one.sigmoid for *_, one in rows],
        [None if one is None else one.logit for *_, one in rows],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, HITS_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=HITS_SCHEMA)
