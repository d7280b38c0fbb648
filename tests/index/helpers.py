"""A small corpus as the index sees it, and the whole room in one call."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tests.neighbors.helpers import make_blocks, random_vectors, unit
from transforms.corpus import content_key, content_keys, ids_of
from transforms.files import FileRef, write_table
from transforms.index import (
    EncodeTask,
    ExactTask,
    IndexOptions,
    MergeRecord,
    MergeTask,
    QuerySet,
    RecallRecord,
    RecallTask,
    ShardRecord,
    TrainRecord,
    TrainTask,
    encode_shard,
    find_exact,
    measure_recall,
    merge_index,
    plan_shards,
    train_index,
)
from transforms.vectors import VectorBlock


@dataclass
class Corpus:
    """Vectors and ids of the distinct texts in position order, and the files that hold them."""

    folder: str
    ids: np.ndarray
    vectors: np.ndarray
    blocks: tuple[VectorBlock, ...]
    documents: tuple[FileRef, ...]


@dataclass
class Built:
    """The records of one build."""

    training: TrainRecord
    shards: list[ShardRecord]
    merged: MergeRecord
    recall: RecallRecord


def clustered_vectors(rows: int, dim: int = 32, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(max(rows // 50, 1), dim))
    return unit(centres[generator.integers(0, len(centres), rows)] + 0.5 * generator.normal(size=(rows, dim)))


def make_corpus(folder, vectors: np.ndarray, rows_per_block: int = 250, copies: int = 3) -> Corpus:
    """One text for each vector; the first `copies` texts belong to two documents."""
    texts = sorted((f"text {i}" for i in range(len(vectors))), key=content_key)
    keys = content_keys(texts)
    owned = [(f"d{i:05d}", key) for i, key in enumerate(keys.to_pylist())] + [(f"x{i}", keys[i].as_py()) for i in range(copies)]
    table = pa.table(
        {
            "doc_id": [name for name, _ in owned],
            "passage_no": pa.array([0] * len(owned), pa.int32()),
            "content_key": pa.array([key for _, key in owned], pa.binary(32)),
        }
    ).sort_by([("doc_id", "descending")])
    half = len(owned) // 2
    documents = tuple(
        write_table(f"{folder}/documents/{i}.parquet", part) for i, part in enumerate([table[:half], table[half:]])
    )
    ids = ids_of(keys)
    return Corpus(str(folder), ids, vectors, make_blocks(folder, vectors, ids, rows_per_block), documents)


def build(corpus: Corpus, options: IndexOptions, unit: bool = True) -> Built:
    work, published = f"{corpus.folder}/work", f"{corpus.folder}/index"
    training = train_index(TrainTask(corpus.blocks, work), options)
    tasks = encode_tasks(corpus, options, training)
    shards = [encode_shard(task) for task in tasks]
    merged = merge_index(MergeTask(training, tuple(shards), corpus.documents, work, published))
    task = recall_task(corpus, training, merged, unit)
    recall = measure_recall(task, find_all_exact(corpus, training), options)
    return Built(training, shards, merged, recall)


def encode_tasks(corpus: Corpus, options: IndexOptions, training: TrainRecord) -> list[EncodeTask]:
    return [
        EncodeTask(part, blocks, training.template, training.fingerprint, f"{corpus.folder}/work")
        for part, blocks in enumerate(plan_shards(corpus.blocks, options))
    ]


def at_10(record: RecallRecord) -> float:
    """Recall at 10 of the corpus's own queries."""
    return record.sets[0].at_10


def recall_task(corpus: Corpus, training: TrainRecord, merged: MergeRecord, unit: bool = True) -> RecallTask:
    queries = (QuerySet("corpus", training.queries),)
    return RecallTask(merged.index, queries, corpus.blocks, f"{corpus.folder}/index", unit)


def exact_tasks(corpus: Corpus, training: TrainRecord) -> list[ExactTask]:
    half = (len(corpus.blocks) + 1) // 2
    parts = [blocks for blocks in (corpus.blocks[:half], corpus.blocks[half:]) if blocks]
    queries = (QuerySet("corpus", training.queries),)
    return [ExactTask(part, queries, blocks, f"{corpus.folder}/work") for part, blocks in enumerate(parts)]


def find_all_exact(corpus: Corpus, training: TrainRecord):
    return tuple(find_exact(task) for task in exact_tasks(corpus, training))


__all__ = [
    "Built",
    "Corpus",
    "at_10",
    "build",
    "clustered_vectors",
    "encode_tasks",
    "exact_tasks",
    "find_all_exact",
    "make_corpus",
    "random_vectors",
    "recall_task",
]
