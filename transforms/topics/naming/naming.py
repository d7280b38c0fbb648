"""Rows of the topics table, for a range of topics."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, join, open_parquet, read_table, write_table
from transforms.topics.assigning import PlaceRecord
from transforms.topics.naming.counting import summed
from transforms.topics.naming.describe import choose_terms
from transforms.topics.naming.identity import TopicDigest
from transforms.topics.naming.representatives import first_look, gather, varied
from transforms.topics.naming.scoring import ScoreRecord, best_of
from transforms.topics.naming.weighing import WeighRecord
from transforms.topics.options import TopicsOptions
from transforms.topics.tables import TOPICS_SCHEMA
from transforms.vectors import VectorBlock

# What a name without terms is made of: labelling 0 has the topics, the others have themes.
_KINDS = ("topic", "theme")
# Labels in memory at a time.
_ROWS = 65_536


@dataclass(frozen=True)
class NameTask:
    """The topics `low … high`, all labels, candidates for terms and representatives, counts of documents, and all blocks."""

    labelling: int
    part: int
    low: int
    high: int
    labels: FileRef
    weighed: tuple[WeighRecord, ...]
    scored: tuple[ScoreRecord, ...]
    placed: tuple[PlaceRecord, ...]
    blocks: tuple[VectorBlock, ...]
    directory: str


@dataclass(frozen=True)
class NameRecord:
    """Rows of TOPICS_SCHEMA for a range of topics."""

    labelling: int
    part: int
    topics: FileRef


def name_topics(task: NameTask, options: TopicsOptions) -> NameRecord:
    """Name some topics: uid, sizes, terms, title, representative documents, place on the map.

    Memory: the scores of their texts, some hundred bytes each, the candidates for their terms, and the vectors of the first few
    candidates for representatives.
    """
    topics = range(task.low, task.high)
    members = _Members(task)
    # Numbered from 0, as those who choose number them.
    weighted = _renumbered(_of_topics([record.terms for record in task.weighed], task), task.low)
    terms = choose_terms(weighted, len(topics), options.n_terms, options.diversity)
    centre = _chosen([record.centre for record in task.scored], task, options.n_representatives)
    border = _chosen([record.border for record in task.scored], task, options.n_boundary)
    documents, assigned_documents = summed([record.documents for record in task.placed])
    rows = []
    for number, topic in enumerate(topics):
        x, y = members.middle(number)
        title = terms[number].title(f"{_KINDS[task.labelling > 0]} {topic}")
        rows.append(
            {
                "topic_id": topic,
                "topic_uid": members.digests[number].uid(),
                "theme_id": None,  # known once topics are published
                "documents": int(documents[topic]),
                "assigned_documents": int(assigned_documents[topic]),
                "title": title,
                "found_title": title,
                "label": None,  # the user's: see `user_labels`
                "terms": terms[number].terms,
                "term_weights": terms[number].weights,
                "representative_doc_ids": centre[number]["doc_id"].to_pylist(),
                "representative_passage_nos": centre[number]["passage_no"].to_pylist(),
                "boundary_doc_ids": border[number]["doc_id"].to_pylist(),
                "boundary_passage_nos": border[number]["passage_no"].to_pylist(),
                "boundary_other_ids": border[number]["other_id"].to_pylist(),
                "boundary_margins": (-border[number]["score"].to_numpy()).tolist(),
                "x": x,
                "y": y,
            }
        )
    table = pa.Table.from_pylist(rows, schema=TOPICS_SCHEMA)
    path = join(task.directory, f"topics-{task.labelling}-{task.part:05d}.parquet")
    return NameRecord(task.labelling, task.part, write_table(path, table))


def _chosen(files: list[FileRef], task: NameTask, count: int) -> list[pa.Table]:
    """Rows of SCORES_SCHEMA for each of the task's topics: up to `count` that do not repeat each other, the best first."""
    candidates = best_of(_of_topics(files, task))
    topic_of, position = candidates["topic_id"].to_numpy(), candidates["position"].to_numpy()
    borders = np.searchsorted(topic_of, np.arange(task.low, task.high + 1)).tolist()
    looked_at = [first_look(position[low:high], count) for low, high in pairwise(borders)]
    vectors = gather(np.unique(np.concatenate(looked_at)), task.blocks)  # of all topics at once: a block is opened once

    def vectors_at(some: np.ndarray) -> dict[int, np.ndarray]:
        return vectors if all(map(vectors.__contains__, some.tolist())) else gather(some, task.blocks)

    return [
        candidates.slice(low, high - low).take(pa.array(varied(position[low:high], count, vectors_at), pa.int64()))
        for low, high in pairwise(borders)
    ]


def _of_topics(files: list[FileRef], task: NameTask) -> pa.Table:
    """The rows of the task's topics, of files that are sorted by topic, at least one."""
    return pa.concat_tables(read_table(file.path, key="topic_id", low=task.low, high=task.high) for file in files)


def _renumbered(table: pa.Table, low: int) -> pa.Table:
    at = table.schema.get_field_index("topic_id")
    return table.set_column(at, table.schema.field(at), pa.array(table["topic_id"].to_numpy() - np.int32(low)))


class _Members:
    """What the labels say of the texts in some topics; they are read some at a time."""

    def __init__(self, task: NameTask) -> None:
        self.digests = [TopicDigest() for _ in range(task.low, task.high)]
        topics, xs, ys = [np.empty(0, np.int64)], [np.empty(0, np.float32)], [np.empty(0, np.float32)]
        with open_parquet(task.labels.path) as parquet:
            for batch in parquet.iter_batches(_ROWS, columns=["topic_id", "content_key", "x", "y"]):
                topic_id = batch["topic_id"].to_numpy()
                rows = np.flatnonzero((topic_id >= task.low) & (topic_id < task.high))
                # By topic, in the order of their content keys.
                rows = rows[np.argsort(topic_id[rows], kind="stable")]
                own = topic_id[rows].astype(np.int64) - task.low
                keys = batch["content_key"].take(pa.array(rows)).to_pylist()
                borders = np.searchsorted(own, np.arange(len(self.digests) + 1)).tolist()
                for number in np.unique(own).tolist():
                    self.digests[number].add(keys[borders[number] : borders[number + 1]])
                topics.append(own)
                xs.append(batch["x"].to_numpy()[rows])
                ys.append(batch["y"].to_numpy()[rows])
        topic = np.concatenate(topics)
        order = np.argsort(topic, kind="stable")
        self._borders = np.searchsorted(topic[order], np.arange(len(self.digests) + 1))
        self._x, self._y = np.concatenate(xs)[order], np.concatenate(ys)[order]

    def middle(self, number: int) -> tuple[float, float]:
        """Medians of x and y of the texts in a topic."""
        own = slice(*self._borders[number : number + 2])
        return float(np.median(self._x[own])), float(np.median(self._y[own]))
