"""Labels of the user's own: which topic or theme is called what, whatever its terms are."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from transforms.corpus import InputError, read_table_file
from transforms.files import FileRef, join, read_table, redact, write_table
from transforms.topics.options import TopicsOptions
from transforms.topics.tables import THEMES_SCHEMA, TOPICS_SCHEMA

# A label is a title: longer ones are texts in the wrong column.
_LONGEST = 200
# Unknown uids that are named.
_EXAMPLES = 3


@dataclass(frozen=True)
class LabelTask:
    """Published tables of topics and themes, the labels as (uid, label) in order of uids, and the folder to publish in."""

    topics: FileRef
    themes: FileRef | None
    labels: tuple[tuple[str, str], ...]
    directory: str


@dataclass(frozen=True)
class LabelRecord:
    """The tables with their labels; how many topics and themes have one, and labels of unknown uids, with the first few."""

    topics: FileRef
    themes: FileRef | None
    labelled: int
    unknown: int
    examples: tuple[str, ...]


def read_user_labels(path: str) -> dict[str, str]:
    """Labels by uid, from the columns `uid` and `label` of a Parquet, CSV or JSON Lines file; white space is collapsed.

    Raises InputError, with the row, for a file or row that cannot be used: a uid or label that is missing or blank, a uid that
    is there twice, a label of more than 200 characters.
    """
    name = f"labels {redact(path)!r}"
    table = read_table_file(path, "labels", ["uid", "label"], numbers=False)
    for column in ("uid", "label"):
        if column not in table.column_names or (table.num_rows and table[column].null_count == table.num_rows):
            found = ", ".join(map(repr, table.column_names[:50]))
            raise InputError(f"{name} have no column {column!r} (found: {found}): name the columns uid and label")
        if not (pa.types.is_string(table[column].type) or pa.types.is_large_string(table[column].type)):
            raise InputError(f"{name}: column {column!r} is {table[column].type}, not text: write it as text")
    labels: dict[str, str] = {}
    for row, values in enumerate(zip(table["uid"].to_pylist(), table["label"].to_pylist(), strict=True)):
        uid, label = (" ".join((value or "").split()) for value in values)
        if not uid or not label:
            what = "label" if uid else "uid"
            raise InputError(f"{name}: row {row} has no {what}: write one, or remove the row")
        if uid in labels:
            raise InputError(f"{name}: row {row} labels {uid!r} a second time: keep one of both rows")
        if len(label) > _LONGEST:
            raise InputError(f"{name}: row {row} has a label of {len(label):,} characters: at most {_LONGEST} are a title")
        labels[uid] = label
    return labels


def label_topics(task: LabelTask, options: TopicsOptions) -> LabelRecord:
    """Write the tables with the labels as titles, and with the titles that were found where there is none.

    Memory: both tables and the labels.
    """
    labels, known, labelled = dict(task.labels), set(), 0
    written: list[FileRef | None] = []
    kinds = ((task.topics, "topic_uid", TOPICS_SCHEMA), (task.themes, "theme_uid", THEMES_SCHEMA))
    for file, uid, schema in kinds:
        if file is None:
            written.append(None)
            continue
        # As it was written first: a column that was read names what is in its lists otherwise.
        table = with_labels(read_table(file.path), uid, labels).cast(schema)
        known.update(table[uid].to_pylist())
        labelled += table.num_rows - table["label"].null_count
        written.append(write_table(join(task.directory, file.name), table))
    unknown = [uid for uid in labels if uid not in known]
    topics, themes = written
    assert topics is not None
    return LabelRecord(topics, themes, labelled, len(unknown), tuple(unknown[:_EXAMPLES]))


def with_labels(table: pa.Table, uid: str, labels: Mapping[str, str]) -> pa.Table:
    """A table of topics or themes, by the column `uid`, with these labels and no others, whatever it had before."""
    label = pa.array([labels.get(own) for own in table[uid].to_pylist()], pa.string())
    title = pc.coalesce(label, table["found_title"].combine_chunks())
    for name, values in (("label", label), ("title", title)):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), values)
    return table
