"""Distinct passages: one row per text, in content-key order; part b of B is an equal range of the key space.

The number of a row over all parts in order is the text's position: vectors, index and neighbours are in this order.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.corpus.errors import IdCollisionError
from transforms.corpus.keys import CONTENT_KEY_TYPE, fixed_bytes, ids_of, part_bounds, part_count
from transforms.corpus.options import CorpusOptions
from transforms.corpus.read import RUN_GROUP_ROWS
from transforms.corpus.records import DocumentsRecord, PartTask, PassagesRecord
from transforms.files import FileRef, describe, join, open_parquet, read_table, write_table

KEYS_SCHEMA = pa.schema(
    [
        ("content_key", CONTENT_KEY_TYPE),
        ("text", pa.string()),
        ("doc_id", pa.string()),
        ("passage_no", pa.int32()),
        ("n_documents", pa.int32()),
    ]
)

PASSAGES_SCHEMA = describe(
    pa.schema(
        [
            ("content_key", CONTENT_KEY_TYPE),
            ("id", pa.int64()),
            ("text", pa.string()),
            ("doc_id", pa.string()),
            ("passage_no", pa.int32()),
            ("n_documents", pa.int32()),
        ]
    ),
    {
        "content_key": "sha256 of the normaliser's name, a zero byte and the UTF-8 text; rows are sorted by it",
        "id": "first 63 bits of the content key: the id in the index",
        "text": "the text that is embedded",
        "doc_id": "the smallest id of a document that has this text",
        "passage_no": "the first passage of that document that is this text",
        "n_documents": "how many documents have this text",
    },
)


@dataclass(frozen=True)
class PassagesPlan:
    """All that a part of the passages is made from: the keys runs of the documents, and where parts go."""

    runs: tuple[FileRef, ...]
    parts: int
    directory: str

    def tasks(self) -> list[PartTask]:
        """One task per part."""
        return [PartTask(part, self.parts) for part in range(self.parts)]


def plan_passages(records: Iterable[DocumentsRecord], options: CorpusOptions, directory: str) -> PassagesPlan:
    """What the driver decides once the documents are written: the number of parts, from the distinct texts of their runs."""
    records = sorted(records, key=lambda record: record.part)
    texts = sum(record.keys.rows or 0 for record in records)
    return PassagesPlan(tuple(record.keys for record in records), part_count(texts, options.rows_per_part), directory)


def write_keys_run(documents: FileRef, path: str) -> FileRef:
    """The keys run of a part of published documents; their texts are null where the corpus does not keep them.

    Memory: the part's texts.
    """
    with open_parquet(documents.path) as parquet:
        names = [name for name in KEYS_SCHEMA.names if name in parquet.schema_arrow.names]
        table = parquet.read(columns=names)
    if "text" not in names:
        table = table.append_column("text", pa.nulls(table.num_rows, pa.string()))
    table = table.append_column("n_documents", pa.array(np.ones(table.num_rows, np.int32)))
    return write_table(path, distinct_texts(table.select(KEYS_SCHEMA.names).cast(KEYS_SCHEMA)), RUN_GROUP_ROWS, durable=False)


def write_passages(task: PartTask, plan: PassagesPlan) -> PassagesRecord:
    """Write one part of the distinct passages. Memory: the part's texts.

    Raises IdCollisionError when two different texts have one 63-bit id.
    """
    low, high = part_bounds(task.part, task.parts, CONTENT_KEY_TYPE.byte_width)
    tables = [read_table(run.path, key="content_key", low=low, high=high) for run in plan.runs]
    texts = distinct_texts(pa.concat_tables([KEYS_SCHEMA.empty_table(), *tables]))
    ids = ids_of(texts["content_key"].combine_chunks())
    check_ids(ids, texts)
    passages = texts.append_column("id", pa.array(ids)).select(PASSAGES_SCHEMA.names).cast(PASSAGES_SCHEMA)
    path = join(plan.directory, f"part-{task.part:05d}.parquet")
    documents = int(texts["n_documents"].to_numpy().sum())
    characters = pc.sum(pc.utf8_length(passages["text"])).as_py() or 0
    return PassagesRecord(task.part, write_table(path, passages, durable=False), passages.num_rows, documents, characters)


def distinct_texts(rows: pa.Table) -> pa.Table:
    """Rows of KEYS_SCHEMA with each content key once, sorted: the smallest (doc_id, passage_no), the sum of n_documents.

    Of rows that share key and document only the first counts: a document that repeats a text is one document.
    """
    if not rows.num_rows:
        return rows
    rows = rows.sort_by([(name, "ascending") for name in ("content_key", "doc_id", "passage_no")])
    keys = fixed_bytes(rows["content_key"].combine_chunks())
    first = np.concatenate([[True], np.any(keys[1:] != keys[:-1], axis=1)])
    doc_ids = rows["doc_id"].combine_chunks()
    other = first.copy()
    other[1:] |= pc.not_equal(doc_ids[1:], doc_ids[:-1]).to_numpy(zero_copy_only=False)
    counts = np.add.reduceat(np.where(other, rows["n_documents"].to_numpy(), 0), np.flatnonzero(first), dtype=np.int32)
    distinct = rows.filter(pa.array(first))
    return distinct.set_column(distinct.schema.get_field_index("n_documents"), "n_documents", pa.array(counts))


def check_ids(ids: np.ndarray, texts: pa.Table) -> None:
    """Raise IdCollisionError, naming two documents, when ascending `ids` of different texts repeat."""
    repeated = np.flatnonzero(ids[1:] == ids[:-1])
    if len(repeated):
        at = int(repeated[0])
        one, other = texts["doc_id"][at], texts["doc_id"][at + 1]
        raise IdCollisionError(
            f"the different texts of documents {one} and {other} have the same 63-bit id {ids[at]}: remove one of them, "
            "or change its text by a character"
        )
