"""Which documents came, went, or have another text or other metadata."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from transforms.comparison.kinds import Kinds
from transforms.comparison.merge import merge_sorted
from transforms.corpus import doc_hash
from transforms.files import open_parquet, read_table
from transforms.generations import Generation, PublishedFile

_KEYS = ("doc_id", "passage_no", "content_key", "text")
_ROWS = 4096


@dataclass(frozen=True)
class _Document:
    """A document's place in the order, digests of its passages' content keys and of its metadata."""

    order: tuple[bytes, str]
    text: bytes
    metadata: bytes


def compare_documents(a: Generation, b: Generation, limit: int) -> dict[str, Any]:
    """Counts of documents `added`, `changed` (text), `metadata_only`, `deleted` and `unchanged`, with example ids.

    A metadata column that one generation lacks counts as empty there.
    """
    kinds = Kinds(
        ("added", "changed", "metadata_only", "deleted", "unchanged"), ("added", "changed", "metadata_only", "deleted"), limit
    )
    parts_a, parts_b = a.manifest.under("documents"), b.manifest.under("documents")
    # Of equally many parts each holds the same range of documents, and an equal file need not be compared row by row.
    ranges = zip(parts_a, parts_b, strict=True) if len(parts_a) == len(parts_b) else None
    for own_a, own_b in [(parts_a, parts_b)] if ranges is None else (([x], [y]) for x, y in ranges):
        if [part.sha256 for part in own_a] == [part.sha256 for part in own_b]:
            kinds.add("unchanged", None, sum(_count(b, part) for part in own_b))
            continue
        columns = sorted({*_metadata_columns(a, own_a), *_metadata_columns(b, own_b)})
        for old, new in merge_sorted(_read(a, own_a, columns), _read(b, own_b, columns), lambda document: document.order):
            if old is None:
                assert new is not None
                kinds.add("added", new.order[1])
            elif new is None:
                kinds.add("deleted", old.order[1])
            elif old.text != new.text:
                kinds.add("changed", new.order[1])
            elif old.metadata != new.metadata:
                kinds.add("metadata_only", new.order[1])
            else:
                kinds.add("unchanged", None)
    return kinds.as_dict()


def _count(generation: Generation, part: PublishedFile) -> int:
    ids = read_table(generation.checked(part), ["doc_id"])["doc_id"].to_numpy()
    return int(len(ids) and 1 + np.count_nonzero(ids[1:] != ids[:-1]))


def _metadata_columns(generation: Generation, parts: Sequence[PublishedFile]) -> list[str]:
    if not parts:
        return []
    with open_parquet(generation.checked(parts[0])) as parquet:
        return [name for name in parquet.schema_arrow.names if name not in _KEYS]


def _read(generation: Generation, parts: Sequence[PublishedFile], columns: list[str]) -> Iterator[_Document]:
    """The documents of some parts, in order of (doc hash, id); the text itself is not read, its key stands for it."""
    for part in parts:
        with open_parquet(generation.checked(part)) as parquet:
            wanted = [name for name in parquet.schema_arrow.names if name in columns or name in ("doc_id", "content_key")]
            rows = (row for batch in parquet.iter_batches(_ROWS, columns=wanted) for row in batch.to_pylist())
            for doc_id, passages in groupby(rows, lambda row: row["doc_id"]):
                text, first = hashlib.sha256(), None
                for passage in passages:
                    first = first or passage
                    text.update(passage["content_key"])
                assert first is not None
                metadata = hashlib.sha256(repr([first.get(name) for name in columns]).encode("utf-8", "surrogatepass"))
                yield _Document((doc_hash(doc_id), doc_id), text.digest(), metadata.digest())
