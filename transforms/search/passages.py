"""Passages of a few documents, from the published documents."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.corpus import doc_hash, part_of
from transforms.files import filesystem_of, read_table
from transforms.generations import Generation
from transforms.search.owners import Passage
from transforms.search.row_groups import RowGroups

# Columns of the documents that are no metadata of the corpus.
CONTRACT = ("doc_id", "passage_no", "content_key", "text")

# Parts that stay open, and bytes of all of them, for one reader; of one part the row groups used last.
_PARTS, _BYTES, _PART_BYTES = 128, 256 << 20, 4 << 20


def find_passages(generation: Generation, doc_ids: Collection[str], columns: Sequence[str]) -> dict[Passage, dict[str, Any]]:
    """The `columns` of every passage of the documents, by (document id, passage number).

    Documents that are not there have none; a column that the generation does not keep, such as the text, is None. Only the
    parts that can hold the documents are read, each checked.
    """
    parts = generation.manifest.under("documents")
    by_part: dict[int, set[str]] = {}
    for doc_id in doc_ids:
        by_part.setdefault(part_of(doc_hash(doc_id), len(parts)), set()).add(doc_id)
    found: dict[Passage, dict[str, Any]] = {}
    for part, wanted in sorted(by_part.items()):
        path = generation.checked(parts[part])
        fs, inner = filesystem_of(path)
        kept = pq.read_schema(inner, filesystem=fs).names
        table = read_table(path, columns=["doc_id", "passage_no", *(name for name in columns if name in kept)])
        for row in table.filter(pc.field("doc_id").isin(sorted(wanted))).to_pylist():
            found[row["doc_id"], row["passage_no"]] = {name: row.get(name) for name in columns}
    return found


class Passages:
    """All passages of a generation for a reader who asks again and again: what was read stays in memory, as far as it may.

    Safe to share between threads. Of the parts used last the ids stay (some 200 KB for 4,096 passages) and at least one row
    group of texts, and their files stay open: 128 parts, or fewer where they have more than 256 MB together.
    """

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._parts = generation.manifest.under("documents")
        rows = [part.rows or 0 for part in self._parts]
        # The first row of each part among all rows: tables in the order of the documents are looked up by it.
        self._starts = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)]).astype(np.int64)
        self._opened: OrderedDict[int, tuple[RowGroups, pa.Array, np.ndarray]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, passage: Passage) -> tuple[dict[str, Any], int] | None:
        """What the documents table has of a passage, but for its content key, and its row among all; None where it is not."""
        doc_id, number = passage
        part = part_of(doc_hash(doc_id), len(self._parts))
        groups, doc_ids, numbers = self._open(part)
        at = np.flatnonzero(pc.equal(doc_ids, doc_id).to_numpy(zero_copy_only=False))
        at = at[numbers[at] == number]
        if not len(at):
            return None
        row = groups.row(int(at[0]))
        self._close_some()
        return row, int(self._starts[part] + at[0])

    def _open(self, part: int) -> tuple[RowGroups, pa.Array, np.ndarray]:
        with self._lock:
            if part not in self._opened:
                path = self._generation.checked(self._parts[part])
                names = read_table(path, columns=["doc_id", "passage_no"]).combine_chunks()
                fs, inner = filesystem_of(path)
                columns = [name for name in pq.read_schema(inner, filesystem=fs).names if name != "content_key"]
                doc_ids = pa.concat_arrays(names["doc_id"].chunks) if names.num_rows else pa.array([], pa.string())
                self._opened[part] = RowGroups(path, columns, _PART_BYTES), doc_ids, names["passage_no"].to_numpy()
            self._opened.move_to_end(part)
            return self._opened[part]

    def _close_some(self) -> None:
        """Let go of the parts used longest ago; a file closes when the last thread that reads it has done."""
        with self._lock:
            size = sum(_size(part) for part in self._opened.values())
            while len(self._opened) > _PARTS or (len(self._opened) > 1 and size > _BYTES):
                size -= _size(self._opened.popitem(last=False)[1])


def _size(part: tuple[RowGroups, pa.Array, np.ndarray]) -> int:
    groups, doc_ids, numbers = part
    return int(groups.nbytes + doc_ids.nbytes + numbers.nbytes)
