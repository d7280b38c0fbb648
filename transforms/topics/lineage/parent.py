"""What the parent generation said of the texts of this corpus, joined by content key.

A text is the same text when its content key is: a document that was renamed keeps what was said of it, one that was edited is
a new text. Two steps, both in bounded memory: `sort_parent` makes the published assignments, which are in the order of the
documents, into runs sorted by content key; `join_parent` reads one range of keys from all runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.corpus import ids_of
from transforms.files import FileRef, is_whole, join, open_parquet, read_table, write_table
from transforms.topics.options import TopicsOptions
from transforms.topics.tables import FOLLOWED

# What the parent said of a text, beside the text's key. All texts of one key were told the same.
_SAID = (
    ("documents", pa.int32()),
    ("layer_theme_ids", pa.list_(pa.int32())),
    ("topic_id", pa.int32()),
    ("assigned_topic_id", pa.int32()),
    ("assigned_score", pa.float32()),
    ("strength", pa.float32()),
    *((name, pa.bool_()) for name in FOLLOWED),
    ("x", pa.float32()),
    ("y", pa.float32()),
)
# Work, not published: the parent's texts, one row each, sorted by content key. `documents` had the text.
PARENT_SCHEMA = pa.schema([("content_key", pa.binary(32)), *_SAID])
# Work, not published: one row for each distinct text of this corpus, in position order. `documents` is how many had the text in
# the parent generation, null for a text that is new; then all other columns are null too.
BEFORE_SCHEMA = pa.schema([("id", pa.int64()), *_SAID])


@dataclass(frozen=True)
class ParentTopics:
    """The topics of the parent generation: its documents parts in order, its assignments, in the same order, and its tables.

    `resolutions` are those of its layers of themes, in the order of `layer_theme_ids`; none where it had no themes.
    `centroids` of topics and themes: None where there are none, or where they are another encoder's and say nothing here.
    """

    generation: str
    documents: tuple[FileRef, ...]
    assignments: FileRef
    topics: FileRef
    themes: FileRef | None
    resolutions: tuple[float, ...]
    centroids: FileRef | None = None


@dataclass(frozen=True)
class SortParentTask:
    """Consecutive documents parts of the parent, and which rows of its assignments they are: from `low` to below `high`."""

    part: int
    documents: tuple[FileRef, ...]
    assignments: FileRef
    low: int
    high: int
    directory: str


@dataclass(frozen=True)
class SortedParent:
    """The distinct texts of some of the parent's documents, in PARENT_SCHEMA; or the path of a file that is `damaged`."""

    part: int
    texts: FileRef | None
    damaged: str | None = None


@dataclass(frozen=True)
class JoinParentTask:
    """Consecutive passages parts, the part after them, if any, and all of the parent's runs.

    The first part's range of keys begins, and the last one's ends, with the key space.
    """

    part: int
    passages: tuple[FileRef, ...]
    following: FileRef | None
    parent: tuple[FileRef, ...]
    directory: str


@dataclass(frozen=True)
class JoinedParent:
    """`before`: a file of BEFORE_SCHEMA for some texts of this corpus. `gone`: the parent's texts, in PARENT_SCHEMA, that are
    in the same range of keys and not in this corpus. `new`: how many of this corpus the parent did not have.
    """

    part: int
    before: FileRef
    gone: FileRef
    new: int


@dataclass(frozen=True)
class Remembered:
    """The parent generation's topics, and what it said of each text and of those that are gone, by passages parts."""

    parent: ParentTopics
    joined: tuple[JoinedParent, ...]

    @property
    def before(self) -> tuple[FileRef, ...]:
        """What it said of each text of this corpus, BEFORE_SCHEMA."""
        return tuple(record.before for record in self.joined)

    @property
    def gone(self) -> tuple[FileRef, ...]:
        """What it said of each text that is gone, PARENT_SCHEMA."""
        return tuple(record.gone for record in self.joined)

    @property
    def came(self) -> int:
        """How many texts are new."""
        return sum(record.new for record in self.joined)

    @property
    def left(self) -> int:
        """How many texts are gone."""
        return sum(record.gone.rows or 0 for record in self.joined)


def sort_parent(task: SortParentTask, options: TopicsOptions) -> SortedParent:
    """Put the content keys of some of the parent's documents beside what was said of them. Memory: these documents' rows.

    Raises ValueError where documents and assignments are not in the same order.
    """
    for file in task.documents:
        if not is_whole(file):
            return SortedParent(task.part, None, file.path)
    documents = pa.concat_tables(read_table(file.path, ["doc_id", "passage_no", "content_key"]) for file in task.documents)
    assignments = _assignments(task.assignments, task.low, task.high)
    for name in ("doc_id", "passage_no"):
        if not documents[name].equals(assignments[name]):
            raise ValueError(f"{task.assignments.path} is not in the order of the documents: column {name} differs")
    rows = assignments.append_column("content_key", documents["content_key"])
    ones = pa.array(np.ones(rows.num_rows, np.int32))
    rows = rows.append_column("documents", ones).sort_by([("content_key", "ascending"), ("doc_id", "ascending")])
    # A document that repeats a text has it once, and all its passages are in one part.
    first = _starts(rows["content_key"]) | _starts(rows["doc_id"])
    texts = _distinct(rows.filter(pa.array(first)).select(PARENT_SCHEMA.names).cast(PARENT_SCHEMA))
    path = join(task.directory, f"parent-{task.part:05d}.parquet")
    return SortedParent(task.part, write_table(path, texts, durable=False))


def join_parent(task: JoinParentTask, options: TopicsOptions) -> JoinedParent:
    """Say of each text of some passages parts what the parent said of it. Memory: the texts' keys and the parent's rows in the
    same range of keys.
    """
    keys = _one_array(
        pa.concat_tables(read_table(file.path, ["content_key"]) for file in task.passages)["content_key"], pa.binary(32)
    )
    low = keys[0].as_py() if task.part and len(keys) else None
    high = None if task.following is None else read_table(task.following.path, ["content_key"])["content_key"][0].as_py()
    tables = [read_table(file.path, key="content_key", low=low, high=high) for file in task.parent]
    rows = pa.concat_tables([PARENT_SCHEMA.empty_table(), *tables])
    parent = _distinct(rows.sort_by("content_key"))
    ids, theirs = ids_of(keys), ids_of(_one_array(parent["content_key"], pa.binary(32)))
    at = np.minimum(np.searchsorted(theirs, ids), max(len(theirs) - 1, 0))
    # By id, then by the key itself: of two generations two texts may share an id.
    there = theirs[at] == ids if len(theirs) else np.zeros(len(ids), bool)
    there[there] = pc.equal(parent["content_key"].take(pa.array(at[there])), keys.filter(pa.array(there))).to_numpy()
    before = parent.drop_columns("content_key").take(pa.array(at, mask=~there)).add_column(0, "id", pa.array(ids))
    left = np.ones(len(theirs), bool)
    left[at[there]] = False
    return JoinedParent(
        task.part,
        write_table(join(task.directory, f"before-{task.part:05d}.parquet"), before.cast(BEFORE_SCHEMA), durable=False),
        write_table(join(task.directory, f"gone-{task.part:05d}.parquet"), parent.filter(pa.array(left)), durable=False),
        int(np.count_nonzero(~there)),
    )


def _assignments(file: FileRef, low: int, high: int) -> pa.Table:
    """The rows `low … high` of published assignments; a column that an earlier version did not publish is null."""
    names = ["doc_id", "passage_no", *(name for name, _ in _SAID if name != "documents")]
    with open_parquet(file.path) as parquet:
        there = [name for name in names if name in parquet.schema_arrow.names]
        counts = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        ends = np.cumsum([0, *counts])
        groups = np.flatnonzero((ends[:-1] < high) & (ends[1:] > low)).tolist()
        rows = parquet.read_row_groups(groups, columns=there)
    first = int(ends[groups[0]]) if groups else 0
    rows = rows.slice(low - first, high - low)
    for name, kind in _SAID:
        if name in names and name not in there:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, kind))
    return rows


def _distinct(rows: pa.Table) -> pa.Table:
    """Rows of PARENT_SCHEMA, sorted by content key, with each key once: the first row, and the sum of `documents`."""
    first = _starts(rows["content_key"])
    if first.all():
        return rows
    counts = np.add.reduceat(rows["documents"].to_numpy(), np.flatnonzero(first), dtype=np.int32)
    distinct = rows.filter(pa.array(first))
    return distinct.set_column(distinct.schema.get_field_index("documents"), "documents", pa.array(counts))


def _starts(column: pa.ChunkedArray) -> np.ndarray:
    """Which rows differ from the row before: bool (rows,)."""
    values = _one_array(column, column.type)
    if not len(values):
        return np.empty(0, bool)
    return np.concatenate([[True], pc.not_equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)])


def _one_array(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    return pa.concat_arrays([pa.array([], kind), *column.chunks])


def read_before(files: Sequence[FileRef], columns: Sequence[str]) -> pa.Table:
    """Columns of what the parent said of all texts, in position order."""
    schema = pa.schema([BEFORE_SCHEMA.field(name) for name in columns])
    return pa.concat_tables([schema.empty_table(), *(read_table(file.path, list(columns)) for file in files)])
