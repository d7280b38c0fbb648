"""The flow of documents from the parent's topics, or themes, to those of now: sums over texts, counted part by part.

A document is its text here: where a text had `b` documents and has `n` now, min(b, n) of them have stayed, those beyond are
new or gone. So the flow out of a topic adds up to the documents that it had, the flow into one to those that it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, join, read_table, write_table
from transforms.topics.lineage.parent import JoinedParent
from transforms.topics.options import TopicsOptions
from transforms.topics.tables import themes_of_layers

# Where a document is that is in no topic, and where one comes from that is new, or goes to that is gone.
NOISE, ABSENT = -1, -2
# Work, not published: from the numbers of the parent's topics to those of now, NOISE or ABSENT; each pair once, in order.
FLOW_SCHEMA = pa.schema([("before", pa.int32()), ("now", pa.int32()), ("documents", pa.int64())])


@dataclass(frozen=True)
class FlowTask:
    """What the parent said of some texts, and all labels: `labels` of topics, then of each layer of themes.

    `layers`: the parent's layer of the same resolution for each layer, None where it has none. Without labels all documents
    are where they were.
    """

    part: int
    joined: JoinedParent
    labels: tuple[FileRef, ...] | None
    layers: tuple[int | None, ...]
    directory: str


@dataclass(frozen=True)
class FlowRecord:
    """The flows of some texts in FLOW_SCHEMA: for topics, then for each layer, None where there is nothing to compare."""

    part: int
    flows: tuple[FileRef | None, ...]


def count_flow(task: FlowTask, options: TopicsOptions) -> FlowRecord:
    """Count the documents of some texts by where they were and where they are. Memory: some 100 bytes for each text."""
    before, gone = read_table(task.joined.before.path), read_table(task.joined.gone.path)
    ids = before["id"].to_numpy()
    low, high = (int(ids[0]), int(ids[-1]) + 1) if len(ids) else (0, 0)
    stayed = before["topic_id"].is_valid().to_numpy()
    then = np.where(stayed, before["documents"].fill_null(0).to_numpy(), 0).astype(np.int64)
    flows: list[FileRef | None] = []
    for number, layer in enumerate((None, *task.layers)):
        if number and layer is None:
            flows.append(None)
            continue
        was = np.full(len(ids), ABSENT, np.int32)
        was[stayed] = _labels(before.filter(before["topic_id"].is_valid()), layer)
        there, documents = was, then
        if task.labels is not None:
            labels = read_table(task.labels[number].path, ["id", "topic_id", "n_documents"], key="id", low=low, high=high)
            if not np.array_equal(labels["id"].to_numpy(), ids):
                raise ValueError(f"{task.labels[number].path} does not label the texts of {task.joined.before.path}")
            there, documents = labels["topic_id"].to_numpy(), labels["n_documents"].to_numpy().astype(np.int64)
        left = _labels(gone, layer)
        everything = (
            (was, there, np.minimum(then, documents)),
            (np.full(len(ids), ABSENT), there, np.maximum(documents - then, 0)),
            (was, np.full(len(ids), ABSENT), np.maximum(then - documents, 0)),
            (left, np.full(len(left), ABSENT), gone["documents"].to_numpy()),
        )
        flow = flow_table(*(np.concatenate(columns) for columns in zip(*everything, strict=True)))
        path = join(task.directory, f"flow-{task.part:05d}-{number}.parquet")
        flows.append(write_table(path, flow, durable=False))
    return FlowRecord(task.part, tuple(flows))


def _labels(rows: pa.Table, layer: int | None) -> np.ndarray:
    """The parent's topic of each row, or its theme in a layer: int32 (rows,)."""
    if layer is None:
        return np.asarray(rows["topic_id"].to_numpy())
    if not rows.num_rows:
        return np.empty(0, np.int32)
    lists = pa.concat_arrays(rows["layer_theme_ids"].chunks)
    return themes_of_layers(lists, len(lists[0]))[:, layer]


def flow_table(before: np.ndarray, now: np.ndarray, documents: np.ndarray) -> pa.Table:
    """Rows of FLOW_SCHEMA: the sum of `documents` int (n,) for each pair of `before` and `now` int (n,), without zeros."""
    rows = np.flatnonzero(documents)
    before, now, documents = before[rows].astype(np.int64), now[rows].astype(np.int64), documents[rows]
    width = int(now.max(initial=ABSENT)) - ABSENT + 1
    pairs, place = np.unique((before - ABSENT) * width + (now - ABSENT), return_inverse=True)
    sums = np.zeros(len(pairs), np.int64)
    np.add.at(sums, place, documents)
    return pa.table([pairs // width + ABSENT, pairs % width + ABSENT, sums], schema=FLOW_SCHEMA)


def summed_flow(files: Sequence[FileRef]) -> pa.Table:
    """The sum of flows of different texts."""
    whole = pa.concat_tables([FLOW_SCHEMA.empty_table(), *(read_table(file.path) for file in files)])
    return flow_table(*(whole[name].to_numpy() for name in FLOW_SCHEMA.names))
