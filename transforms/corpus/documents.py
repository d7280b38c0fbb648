"""Canonical documents: part b of B is the documents of an equal range of doc hashes, each id once, in one order.

What is published is a function of the rows: neither the files they came in nor their order can be told from it. (Of rows
that share an id the first by (source, row) is the document, so there, and only there, names of files matter.)
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.corpus import python_docs
from transforms.corpus.keys import CONTENT_KEY_TYPE, DOC_HASH_TYPE, content_keys, part_bounds, part_count
from transforms.corpus.metadata import arrow_type, published, unified_kind
from transforms.corpus.options import CorpusOptions
from transforms.corpus.passages import KEYS_SCHEMA, distinct_texts
from transforms.corpus.read import RUN_GROUP_ROWS
from transforms.corpus.records import DocumentsRecord, PartTask, UnitRecord
from transforms.corpus.rows import BATCH_BYTES, Row
from transforms.corpus.splitter import PassageSplitter
from transforms.corpus.validate import quarantine_table, without_excerpts
from transforms.files import FileRef, describe, join, read_table, write_table

_ROW_COLUMNS = {
    "doc_hash": DOC_HASH_TYPE,
    "doc_id": pa.string(),
    "content_key": CONTENT_KEY_TYPE,
    "text": pa.string(),
    "source": pa.string(),
    "row": pa.int64(),
}


@dataclass(frozen=True)
class DocumentsPlan:
    """All that a part of the documents is made from. `metadata` is (column, kind) in published order.

    Documents go to `directory`, rejected ones to `quarantine`, the runs for the passages to `work`. Without a `splitter` a
    document is one passage. `failed` are the texts that the model has failed on, as (content key in hex, error): a document
    with one of them is rejected.
    """

    runs: tuple[FileRef, ...]
    parts: int
    metadata: tuple[tuple[str, str], ...]
    sample: int | None
    keep_text: bool
    directory: str
    quarantine: str
    work: str
    splitter: PassageSplitter | None = None
    failed: tuple[tuple[str, str], ...] = ()

    def tasks(self) -> list[PartTask]:
        """One task per part."""
        return [PartTask(part, self.parts) for part in range(self.parts)]


def plan_documents(
    records: Iterable[UnitRecord],
    options: CorpusOptions,
    directory: str,
    quarantine: str,
    work: str,
    splitter: PassageSplitter | None = None,
    failed: Iterable[tuple[str, str]] = (),
) -> DocumentsPlan:
    """What the driver decides once all units are read: the number of parts and the kinds of the metadata columns."""
    records = sorted(records, key=lambda record: record.number)
    found: dict[str, set[str]] = {}
    for record in records:
        for name, kinds in record.kinds:
            found.setdefault(name, set()).update(kinds)
    names = dict.fromkeys([*options.metadata_columns, *(name for name in python_docs.METADATA if name in found)])
    rows = sum(record.rows_valid for record in records)
    return DocumentsPlan(
        runs=tuple(run for record in records for run in record.runs),
        parts=part_count(min(rows, options.sample or rows), options.rows_per_part),
        metadata=tuple((name, unified_kind(found.get(name, ()))) for name in names),
        sample=options.sample,
        keep_text=options.keep_text,
        directory=directory,
        quarantine=quarantine,
        work=work,
        splitter=splitter,
        failed=tuple(failed),
    )


def write_documents(task: PartTask, plan: DocumentsPlan, threshold: bytes | None = None) -> DocumentsRecord:
    """Write one part: `documents` sorted by (doc hash, doc_id, passage_no), its keys run, and what is rejected if any.

    `threshold` is `sample_threshold` of the plan's runs when there is a sample. Memory: the part's rows with their passages,
    and what splitting one document takes, which is in proportion to its length.
    """
    low, high = part_bounds(task.part, task.parts)
    empty = pa.table({name: pa.array([], kind) for name, kind in _columns(plan).items()})
    rows = pa.concat_tables([empty, *(_read(run, plan, low, high, threshold) for run in plan.runs)])
    rows = rows.sort_by([(name, "ascending") for name in ("doc_hash", "doc_id", "source", "row")])
    first = _is_first(rows["doc_id"])
    kept, repeated = rows.filter(first), rows.filter(pc.invert(first))
    rejected = _duplicates(kept, repeated)
    passages = _passages(kept, plan.splitter)
    errors = _errors(passages, plan.failed)
    if errors:
        rejected += _failed(kept, errors)
        bad = pa.array(list(errors), pa.string())
        kept, passages = (table.filter(pc.invert(pc.is_in(table["doc_id"], bad))) for table in (kept, passages))
    name = f"part-{task.part:05d}.parquet"
    return DocumentsRecord(
        part=task.part,
        documents=write_table(join(plan.directory, name), _published(passages, plan)),
        keys=write_table(join(plan.work, name), _keys_run(passages), RUN_GROUP_ROWS, durable=False),
        quarantine=_quarantine(join(plan.quarantine, f"part-documents-{task.part:05d}.parquet"), rejected, plan.keep_text),
        rows=kept.num_rows,
        passages=passages.num_rows,
        duplicate_ids=repeated.num_rows,
        model_failed=len(errors),
    )


def _columns(plan: DocumentsPlan) -> dict[str, pa.DataType]:
    return _ROW_COLUMNS | {name: arrow_type(kind) for name, kind in plan.metadata}


def _read(run: FileRef, plan: DocumentsPlan, low: bytes | None, high: bytes | None, threshold: bytes | None) -> pa.Table:
    """A run's rows in the hash range and the sample, metadata in its published type."""
    table = read_table(run.path, key="doc_hash", low=low, high=high)
    if threshold is not None:
        table = table.filter(pc.less_equal(table["sample_hash"], pa.scalar(threshold, DOC_HASH_TYPE)))
    stored = dict(reversed(column.split(":", 1)) for column in table.column_names if ":" in column)
    columns = {name: table[name] for name in _ROW_COLUMNS}
    for name, kind in plan.metadata:
        if name in stored:
            columns[name] = published(table[f"{stored[name]}:{name}"], stored[name], kind)
        else:
            columns[name] = pa.nulls(table.num_rows, arrow_type(kind))
    return pa.table(columns)


def _is_first(sorted_ids: pa.ChunkedArray) -> pa.Array:
    """Which rows of a sorted column differ from the row before."""
    ids = sorted_ids.combine_chunks()
    if len(ids) < 2:
        return pa.array([True] * len(ids), pa.bool_())
    return pa.concat_arrays([pa.array([True]), pc.not_equal(ids[1:], ids[:-1])])


def _passages(kept: pa.Table, splitter: PassageSplitter | None) -> pa.Table:
    """The documents with a row for each passage: a column `passage_no`, and text and content key of the passage."""
    if splitter is None:
        return kept.append_column("passage_no", pa.array(np.zeros(kept.num_rows, np.int32)))
    counts: list[int] = []
    texts = pa.chunked_array(_split(kept["text"], splitter, counts), pa.string())
    document = np.repeat(np.arange(kept.num_rows), np.array(counts, np.int64))
    numbers = np.concatenate([np.empty(0, np.int32), *(np.arange(count, dtype=np.int32) for count in counts)])
    passages = kept.drop_columns(["text", "content_key"]).take(pa.array(document))
    passages = passages.append_column("passage_no", pa.array(numbers))
    keys = pa.chunked_array((content_keys(chunk.to_pylist()) for chunk in texts.chunks), CONTENT_KEY_TYPE)
    return passages.append_column("text", texts).append_column("content_key", keys)


def _split(texts: pa.ChunkedArray, splitter: PassageSplitter, counts: list[int]) -> Iterator[pa.Array]:
    """The passages of all texts in arrays of bounded size; `counts` gets the number of each text's."""
    pending: list[str] = []
    size = 0
    for text in texts:
        passages = splitter.split(text.as_py())
        counts.append(len(passages))
        pending += passages
        size += sum(map(len, passages))
        if size >= BATCH_BYTES:
            yield pa.array(pending, pa.string())
            pending, size = [], 0
    yield pa.array(pending, pa.string())


def _published(passages: pa.Table, plan: DocumentsPlan) -> pa.Table:
    columns = {
        "doc_id": passages["doc_id"],
        "passage_no": passages["passage_no"],
        "content_key": passages["content_key"],
        **({"text": passages["text"]} if plan.keep_text else {}),
        **{name: passages[name] for name, _ in plan.metadata},
    }
    table = pa.table(columns)
    descriptions = {
        "doc_id": "document id; rows are sorted by (first 8 bytes of its sha256, doc_id, passage_no)",
        "passage_no": "number of the passage within the document, from 0",
        "content_key": "sha256 of the normaliser's name, a zero byte and the UTF-8 text; equal texts share one vector",
        **({"text": "the exact text of the passage"} if plan.keep_text else {}),
        **{name: f"metadata column {name!r} of the input ({kind})" for name, kind in plan.metadata},
    }
    return table.cast(describe(table.schema, descriptions))


def _keys_run(passages: pa.Table) -> pa.Table:
    ones = pa.array(np.ones(passages.num_rows, np.int32))
    return distinct_texts(passages.append_column("n_documents", ones).select(KEYS_SCHEMA.names).cast(KEYS_SCHEMA))


def _duplicates(kept: pa.Table, repeated: pa.Table) -> list[Row]:
    """Rows whose id an earlier row has."""
    position = pc.index_in(repeated["doc_id"], kept["doc_id"])
    first = kept.select(["source", "row"]).take(position).to_pylist()
    return [
        _rejected(row, "duplicate_id", f"the document is {other['source']}" + _at_row(other["row"]))
        for row, other in zip(_rows(repeated), first, strict=True)
    ]


def _at_row(row: int | None) -> str:
    return "" if row is None else f" row {row}"


def _errors(passages: pa.Table, failed: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """The documents that have a failed text, with the error of their first one."""
    if not failed:
        return {}
    error_of = {bytes.fromhex(key): error for key, error in failed}
    found = passages.filter(pc.is_in(passages["content_key"], pa.array(list(error_of), CONTENT_KEY_TYPE)))
    pairs = zip(found["doc_id"].to_pylist(), found["content_key"].to_pylist(), strict=True)
    return {doc_id: error_of[key] for doc_id, key in reversed(list(pairs))}


def _failed(kept: pa.Table, errors: dict[str, str]) -> list[Row]:
    """Documents that the model has failed on."""
    rows = kept.filter(pc.is_in(kept["doc_id"], pa.array(list(errors), pa.string())))
    return [_rejected(row, "model_failed", errors[row["doc_id"]]) for row in _rows(rows)]


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    return table.select(list(_ROW_COLUMNS)).to_pylist()


def _rejected(row: dict[str, Any], reason: str, detail: str) -> Row:
    return Row(row["source"], row["row"], row["doc_id"], row["text"], (), reason, detail)


def _quarantine(path: str, rejected: list[Row], keep_text: bool) -> FileRef | None:
    if not rejected:
        return None
    table = quarantine_table(rejected)
    return write_table(path, table if keep_text else without_excerpts(table))
