"""The table from ids in the index to documents."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from transforms.corpus import ids_of
from transforms.files import FileRef, describe, read_table, write_table


class IdCollisionError(Exception):
    """Two different texts have the same 63-bit id."""


def ids_schema() -> pa.Schema:
    """Columns of `index/ids.parquet`."""
    schema = pa.schema(
        [("id", pa.int64()), ("content_key", pa.binary(32)), ("doc_id", pa.string()), ("passage_no", pa.int32())]
    )
    return describe(
        schema,
        {
            "id": "What the index answers: the first 63 bits of the content key. Rows are sorted by id, doc_id, passage_no.",
            "content_key": "sha256 of the text as the encoder sees it.",
            "doc_id": "A document that has this text; equal texts share an id and have a row for each document.",
            "passage_no": "Number of the passage in its document, from 0.",
        },
    )


def write_ids(documents: Sequence[FileRef], path: str) -> tuple[FileRef, int]:
    """Write the ids of all documents; also says how many different ids there are.

    Raises IdCollisionError when different texts share an id (the chance is n²/2⁶⁴: 5e-8 for a million texts).
    """
    names = ["content_key", "doc_id", "passage_no"]
    table = pa.concat_tables(read_table(part.path, names) for part in documents).combine_chunks()
    ids = ids_of(table["content_key"].combine_chunks())
    table = table.add_column(0, "id", pa.array(ids)).sort_by([(name, "ascending") for name in ("id", *names)])
    ids, keys = table["id"].to_numpy(), table["content_key"].to_numpy()
    repeated = ids[1:] == ids[:-1]
    clash = np.flatnonzero(repeated & (keys[1:] != keys[:-1]))
    if len(clash):
        a, b = table["doc_id"].slice(int(clash[0]), 2).to_pylist()
        raise IdCollisionError(
            f"the different texts of documents {a!r} and {b!r} have the same 63-bit id {ids[clash[0]]}: "
            "remove one of them, or change its text by a character"
        )
    return write_table(path, table.cast(ids_schema())), int(len(ids) - repeated.sum())


def is_in(ids: np.ndarray, ascending: np.ndarray | None) -> np.ndarray:
    """Which of the ids, int64 (n,), are among others that are in ascending order, None for no others: bool (n,)."""
    if ascending is None or not len(ascending):
        return np.zeros(len(ids), bool)
    places = np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)
    return np.asarray(ascending[places] == ids)
