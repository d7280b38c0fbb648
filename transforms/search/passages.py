"""Passages of a few documents, from the published documents."""

from collections.abc import Collection, Sequence
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.corpus import doc_hash, part_of
from transforms.files import filesystem_of, read_table
from transforms.generations import Generation


def find_passages(
    generation: Generation, doc_ids: Collection[str], columns: Sequence[str]
) -> dict[tuple[str, int], dict[str, Any]]:
    """The `columns` of every passage of the documents, by (document id, passage number).

    Documents that are not there have none; a column that the generation does not keep, such as the text, is None. Only the
    parts that can hold the documents are read, each checked.
    """
    parts = generation.manifest.under("documents")
    by_part: dict[int, set[str]] = {}
    for doc_id in doc_ids:
        by_part.setdefault(part_of(doc_hash(doc_id), len(parts)), set()).add(doc_id)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for part, wanted in sorted(by_part.items()):
        path = generation.checked(parts[part])
        fs, inner = filesystem_of(path)
        kept = pq.read_schema(inner, filesystem=fs).names
        table = read_table(path, columns=["doc_id", "passage_no", *(name for name in columns if name in kept)])
        for row in table.filter(pc.field("doc_id").isin(sorted(wanted))).to_pylist():
            found[row["doc_id"], row["passage_no"]] = {name: row.get(name) for name in columns}
    return found
