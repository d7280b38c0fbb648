"""Which texts may be shown for a topic: of each document the best, by nearness to the topic's centre, and to another's."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, join, read_table, write_table
from transforms.topics.naming.counting import CountRecord, read_labels, summed
from transforms.topics.naming.representatives import best_members, boundary_scores, centroids, member_scores
from transforms.topics.options import TopicsOptions
from transforms.vectors import VectorBlock

# Work, not published: sorted by topic, score descending, position.
SCORES_SCHEMA = pa.schema(
    [
        ("topic_id", pa.int32()),
        ("position", pa.int64()),
        ("score", pa.float32()),
        ("doc_id", pa.string()),
        ("passage_no", pa.int32()),
        ("other_id", pa.int32()),  # the topic that a text at the border is near to; null at the centre
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
    """The candidates among some texts, best first, in SCORES_SCHEMA: at the centre of their topic, and at its border."""

    labelling: int
    part: int
    centre: FileRef
    border: FileRef


def score_texts(task: ScoreTask, options: TopicsOptions) -> ScoreRecord:
    """Score some texts. Memory: all centroids, one block of vectors, cosines of 512 of them with all centroids, and two rows of
    SCORES_SCHEMA for each text.
    """
    centres = centroids(summed([record.vectors for record in task.counted]))
    centre, border = [SCORES_SCHEMA.empty_table()], [SCORES_SCHEMA.empty_table()]
    for passages, block in zip(task.passages, task.blocks, strict=True):
        texts = read_table(passages.path, ["id", "doc_id", "passage_no"])
        labels = read_labels(task.labels, passages, texts["id"].to_numpy(), ["topic_id", "strength"])
        texts = texts.append_column("topic_id", labels["topic_id"])
        topic_id, vectors = labels["topic_id"].to_numpy(), block.vectors()
        rows, scores = member_scores(topic_id, labels["strength"].to_numpy(), centres, vectors)
        scored = _scored(texts, block.start, rows, scores, pa.nulls(len(rows), pa.int32()))
        centre.append(best_of(scored))
        if options.n_boundary:
            rows, scores, other = boundary_scores(topic_id, centres, vectors)
            border.append(best_of(_scored(texts, block.start, rows, scores, pa.array(other, pa.int32()))))
    files = [
        write_table(join(task.directory, f"{name}-{task.labelling}-{task.part:05d}.parquet"), best_of(pa.concat_tables(tables)))
        for tables, name in ((centre, "centre"), (border, "border"))
    ]
    return ScoreRecord(task.labelling, task.part, *files)


def _scored(texts: pa.Table, start: int, rows: np.ndarray, scores: np.ndarray, other: pa.Array) -> pa.Table:
    """SCORES_SCHEMA for some rows of a part's texts, whose first is at position `start`."""
    some = texts.take(pa.array(rows))
    return pa.table([some["topic_id"], start + rows, scores, some["doc_id"], some["passage_no"], other], schema=SCORES_SCHEMA)


def best_of(table: pa.Table) -> pa.Table:
    """The rows of SCORES_SCHEMA, in order, that can be shown of their topic."""
    documents = table["doc_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    topic, score, position = (table[name].to_numpy() for name in ("topic_id", "score", "position"))
    return table.take(pa.array(best_members(topic, score, position, np.asarray(documents)))).combine_chunks()
