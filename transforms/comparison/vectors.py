"""Which distinct texts' vectors are reused, new, or no longer needed."""

from collections.abc import Iterator

from transforms.comparison.merge import merge_sorted
from transforms.comparison.tables import batches_of
from transforms.generations import Generation


def compare_vectors(a: Generation, b: Generation) -> dict[str, int]:
    """Counts of distinct content keys whose vector is `reused`, `new`, or `dropped`; none is reused from another encoder."""
    counts = {"reused": 0, "new": 0, "dropped": 0}
    same_encoder = a.manifest.encoder.get("fingerprint") == b.manifest.encoder.get("fingerprint")
    for old, new in merge_sorted(_keys(a), _keys(b), lambda key: key):
        if old is not None and new is not None and same_encoder:
            counts["reused"] += 1
            continue
        counts["new"] += new is not None
        counts["dropped"] += old is not None
    return counts


def _keys(generation: Generation) -> Iterator[bytes]:
    """Distinct content keys, ascending: the index's ids are sorted by the first bits of the key, and no two keys share them."""
    before = None
    for batch in batches_of(generation, "index/ids.parquet", ["content_key"]):
        for key in batch.column("content_key").to_pylist():
            if key != before:
                yield key
            before = key
