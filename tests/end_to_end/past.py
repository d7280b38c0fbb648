"""What a generation says of its topics beside what it carries on from others."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.generations import Generation

# What is decided by the generations before, in each table of topics; and the files that tell of them only.
CARRIED = {
    "topics/topics.parquet": ("topic_uid", "title", "found_title", "first_seen", "generations", "x", "y"),
    "topics/themes.parquet": ("theme_uid", "title", "found_title", "first_seen", "generations", "x", "y"),
    "topics/assignments.parquet": ("topic_uid", "x", "y"),
    "topics/centroids.parquet": ("uid",),
    "topics/tables.parquet": ("uid",),
}
OF_THE_PAST = ("topics/events.parquet", "topics/flow.parquet", "topics/drift.parquet", "topics/clustering.json")


def without_past(generation: Generation, files: dict[str, str]) -> dict[str, str]:
    """Files by name with their sha256, where those of topics have a digest of what does not depend on generations before."""
    return {
        name: _digest(pq.read_table(generation.path(name)).drop_columns(list(CARRIED[name]))) if name in CARRIED else sha256
        for name, sha256 in files.items()
        if name not in OF_THE_PAST
    }


def _digest(table: pa.Table) -> str:
    return hashlib.sha256(repr(table.to_pydict()).encode()).hexdigest()
