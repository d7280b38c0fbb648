"""The two published tables, each one file, from what many tasks have left of them."""

from dataclasses import dataclass

import pyarrow as pa

from transforms.files import FileRef, join, read_table, write_batches, write_table
from transforms.topics.assigning import PlaceRecord, with_uids
from transforms.topics.naming import NameRecord
from transforms.topics.options import TopicsOptions
from transforms.topics.tables import ASSIGNMENTS_SCHEMA, TOPICS_SCHEMA


@dataclass(frozen=True)
class PublishTask:
    """All topics and all passages with their labels, each in order, and the folder to publish in."""

    named: tuple[NameRecord, ...]
    placed: tuple[PlaceRecord, ...]
    directory: str


@dataclass(frozen=True)
class TopicsRecord:
    """The published topics and assignments, with how many documents have no passage in a topic or even near one."""

    topics: FileRef
    assignments: FileRef
    noise_documents: int
    unassigned_documents: int


def publish_topics(task: PublishTask, options: TopicsOptions) -> TopicsRecord:
    """Write both tables. Memory: the topics, and one row group of the assignments."""
    tables = (read_table(record.topics.path) for record in task.named)
    topics = pa.concat_tables([TOPICS_SCHEMA.empty_table(), *tables]).combine_chunks()
    uids = topics["topic_uid"].combine_chunks()
    pieces = tuple(piece for record in task.placed for piece in record.pieces)
    return TopicsRecord(
        write_table(join(task.directory, "topics.parquet"), topics),
        write_batches(join(task.directory, "assignments.parquet"), ASSIGNMENTS_SCHEMA, with_uids(pieces, uids)),
        sum(record.noise for record in task.placed),
        sum(record.unassigned for record in task.placed),
    )
