"""Passages of a few documents, from the published documents."""

from collections.abc import Collection

import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.corpus import doc_hash, part_of
from transforms.files import filesystem_of, read_table
from transforms.generations import Generation


def find_passages(generation: Generation, doc_ids: Collection[str]) -> dict[tuple[str, int], tuple[bytes, str | None]]:
    """Content key and text of every passage of the documents, by (document id, passage number).

    Documents that are not there have none; texts are None when the generation keeps none. Only the parts that can hold the
    documents are read, each checked.
    """
    parts = generation.manifest.under("documents")
    by_part: dict[int, set[str]] = {}
    for doc_id in doc_ids:
        by_part.setdefault(part_of(doc_hash(doc_id), len(parts)), set()).add(doc_id)
    found: dict[tuple[str, int], tuple[bytes, str | None]] = {}
    for part, wanted in sorted(by_part.items()):
        path = generation.checked(parts[part])
        fs, inner = filesystem_of(path)
        names = ["doc_id", "passage_no", "content_key"]
        has_text = "text" in pq.read_schema(inner, filesystem=fs).names
        table = read_table(path, columns=[*names, "text"] if has_text else names)
        table = table.filter(pc.field("doc_id").isin(sorted(wanted)))
        texts = table["text"].to_pylist() if has_text else [None] * table.num_rows
        for doc_id, passage_no, key, text in zip(*(table[name].to_pylist() for name in names), texts, strict=True):
            found[doc_id, passage_no] = key, text
    return found
