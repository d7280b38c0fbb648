"""Many queries at once: a part of a queries table in, a table of answers out."""

import functools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.embedding import EmbeddingOptions, EncoderSpec, ModelError, VectorError, load_encoder
from transforms.files import FileRef, describe, join, read_table, write_batches
from transforms.generations import open_generation
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
        ]
    ),
    {
        "query_id": "Query; rows are sorted by (first 8 bytes of its sha256, query_id, rank)",
        "rank": "Place of the document among the answers to the query, from 1",
        "doc_id": "Document of the generation",
        "passage_no": "Its best passage for the query, from 0",
        "score": "Cosine of query and passage, or with the metric dot the inner product of their vectors",
        "rerank_score": "What a reranker says of the pair; null without one",
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
    """What is asked of every query: see `GenerationSearcher.search`."""

    k: int
    where: str | None = None
    group_duplicates: bool = False


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
    vectors, truncated, failed = _encode(searcher.spec, options, texts)
    good = [i for i in range(len(texts)) if i not in failed]

    def answers() -> list[pa.Table]:
        tables = []
        for low in range(0, len(good), _QUERIES):
            some = good[low : low + _QUERIES]
            found = searcher.search_vectors(vectors[some], asked.k, where=asked.where, group_duplicates=asked.group_duplicates)
            tables.append(_table([ids[i] for i in some], found))
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


def _table(ids: list[str], found: list[list[Place]]) -> pa.Table:
    rows = [(query, rank, place) for query, places in zip(ids, found, strict=True) for rank, place in enumerate(places, 1)]
    columns = [
        [query for query, _, _ in rows],
        [rank for _, rank, _ in rows],
        [place.doc_id for _, _, place in rows],
        [place.passage_no for _, _, place in rows],
        [place.score for _, _, place in rows],
        [None] * len(rows),
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, HITS_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=HITS_SCHEMA)
