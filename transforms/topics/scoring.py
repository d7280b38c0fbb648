"""Which texts may stand for a topic: the best of some texts, by strength and nearness to the topic's centre."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, join, read_table, write_table
from transforms.topics.counting import CountRecord, read_labels, summed
from transforms.topics.options import TopicsOptions
from transforms.topics.representatives import best_members, centroids, member_scores
from transforms.vectors import VectorBlock

# Work, not published: sorted by topic, score descending, position.
SCORES_SCHEMA = pa.schema(
    [
        ("topic_id", pa.int32()),
        ("position", pa.int64()),
        ("score", pa.float32()),
        ("doc_id", pa.string()),
        ("passage_no", pa.int32()),
    ]
)


@dataclass(frozen=True)
class ScoreTask:
    """Consecutive parts of the passages with their blocks, the labels, and the sums over all texts."""

    labelling: int
    part: int
    passages: tuple[FileRef, ...]
    blocks: tuple[VectorBlock, ...]
    labels: FileRef
    counted: tuple[CountRecord, ...]
    directory: str


@dataclass(frozen=True)
class ScoreRecord:
    """The candidates among some texts, in SCORES_SCHEMA."""

    labelling: int
    part: int
    scores: FileRef


def score_texts(task: ScoreTask, options: TopicsOptions) -> ScoreRecord:
    """Score some texts. Memory: all centroids, one block of vectors, and a few candidates of each topic and part."""
    centres = centroids(summed([record.vectors for record in task.counted]))
    found = [SCORES_SCHEMA.empty_table()]
    for passages, block in zip(task.passages, task.blocks, strict=True):
        texts = read_table(passages.path, ["id", "doc_id", "passage_no"])
        labels = read_labels(task.labels, passages, texts["id"].to_numpy(), ["topic_id", "strength"])
        topic_id = labels["topic_id"].to_numpy()
        rows, scores = member_scores(topic_id, labels["strength"].to_numpy(), centres, block.vectors())
        columns = [
            topic_id[rows],
            block.start + rows,
            scores,
            texts["doc_id"].take(pa.array(rows)),
            texts["passage_no"].take(pa.array(rows)),
        ]
        found.append(best_of(pa.table(columns, schema=SCORES_SCHEMA), options.n_representatives))
    table = best_of(pa.concat_tables(found), options.n_representatives)
    path = join(task.directory, f"scores-{task.labelling}-{task.part:05d}.parquet")
    return ScoreRecord(task.labelling, task.part, write_table(path, table))


def best_of(table: pa.Table, count: int) -> pa.Table:
    """The rows of SCORES_SCHEMA, in order, that can be among `count` representatives of their topic."""
    documents = table["doc_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    topic, score, position = (table[name].to_numpy() for name in ("topic_id", "score", "position"))
    return table.take(pa.array(best_members(topic, score, position, np.asarray(documents), count))).combine_chunks()
