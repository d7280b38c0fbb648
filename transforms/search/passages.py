"""Passages of a few documents, from the published documents."""

import threading
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

    Safe to share between threads. Of a part the ids stay (some 200 KB for 4,096 passages), of the texts those used last.
    """

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._parts = generation.manifest.under("documents")
        rows = [part.rows or 0 for part in self._parts]
        # The first row of each part among all rows: tables in the order of the documents are looked up by it.
        self._starts = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)]).astype(np.int64)
        self._opened: dict[int, tuple[RowGroups, pa.Array, np.ndarray]] = {}
        self._lock = threading.Lock()

    def find(self, passage: Passage) -> tuple[dict[str, Any], int] | None:
        """What the documents table has of a passage, but for its content key, and its row among all; None where it is not."""
        doc_id, number = passage
        part = part_of(doc_hash(doc_id), len(self._parts))
        groups, doc_ids, numbers = self._open(part)
        at = np.flatnonzero(pc.equal(doc_ids, doc_id).to_numpy(zero_copy_only=False))
        at = at[numbers[at] == number]
        return (groups.row(int(at[0])), int(self._starts[part] + at[0])) if len(at) else None

    def _open(self, part: int) -> tuple[RowGroups, pa.Array, np.ndarray]:
        with self._lock:
            if part not in self._opened:
                path = self._generation.checked(self._parts[part])
                names = read_table(path, columns=["doc_id", "passage_no"]).combine_chunks()
                fs, inner = filesystem_of(path)
                columns = [name for name in pq.read_schema(inner, filesystem=fs).names if name != "content_key"]
                doc_ids = pa.concat_arrays(names["doc_id"].chunks) if names.num_rows else pa.array([], pa.string())
                self._opened[part] = RowGroups(path, columns, 4 << 20), doc_ids, names["passage_no"].to_numpy()
            return self._opened[part]
