"""The table from ids in the index to documents."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from transforms.corpus import ids_of
from transforms.files import ROW_GROUP_ROWS, FileRef, describe, join, read_table, remove, write_batches, write_table


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


# Rows that are sorted in memory at a time: some 100 MB. More are sorted in parts, which wait in files.
ROWS = 250_000
_ORDER = ("id", "content_key", "doc_id", "passage_no")


def write_ids(documents: Sequence[FileRef], path: str, scratch: str, rows: int = ROWS) -> tuple[FileRef, int]:
    """Write the ids of all documents; also says how many different ids there are.

    Memory holds a few times `rows` rows, whatever the number of documents; `scratch` is a folder for what does not fit. The
    bytes do not depend on `rows`. Raises IdCollisionError when different texts share an id (the chance is n²/2⁶⁴: 5e-8 for a
    million texts).
    """
    texts = 0

    def counted() -> Iterator[pa.Table]:
        nonlocal texts
        for table in _in_order(documents, scratch, rows):
            texts += _different(table)
            yield table

    return write_batches(path, ids_schema(), _row_groups(counted())), texts


def _in_order(documents: Sequence[FileRef], scratch: str, rows: int) -> Iterator[pa.Table]:
    """All rows, sorted, in tables of about `rows`, none of which has an id of another one."""
    groups: list[list[FileRef]] = [[]]
    for part in documents:
        if groups[-1] and sum(other.rows or 0 for other in groups[-1]) + (part.rows or 0) > rows:
            groups.append([])
        groups[-1].append(part)
    if len(groups) == 1:
        yield _sorted(_with_ids(groups[0]))
        return
    runs = [join(scratch, f"ids-{number:05d}.parquet") for number in range(len(groups))]
    for run, group in zip(runs, groups, strict=True):
        write_table(run, _sorted(_with_ids(group)))
    # Ids are hashes: in equal parts of their range there are about equally many.
    borders = [2**63 * number // len(groups) for number in range(1, len(groups))]
    for low, high in zip([None, *borders], [*borders, None], strict=True):
        yield _sorted(pa.concat_tables(read_table(run, key="id", low=low, high=high) for run in runs))
    for run in runs:
        remove(run)


def _with_ids(documents: Sequence[FileRef]) -> pa.Table:
    table = pa.concat_tables(read_table(part.path, list(_ORDER[1:])) for part in documents).combine_chunks()
    return table.add_column(0, "id", pa.array(ids_of(table["content_key"].combine_chunks()))).cast(ids_schema())


def _sorted(table: pa.Table) -> pa.Table:
    return table.sort_by([(name, "ascending") for name in _ORDER])


def _different(table: pa.Table) -> int:
    """How many different ids a sorted table has. Raises IdCollisionError when an id has two content keys."""
    ids, keys = table["id"].to_numpy(), table["content_key"].to_numpy()
    repeated = ids[1:] == ids[:-1]
    clash = np.flatnonzero(repeated & (keys[1:] != keys[:-1]))
    if len(clash):
        a, b = table["doc_id"].slice(int(clash[0]), 2).to_pylist()
        raise IdCollisionError(
            f"the different texts of documents {a!r} and {b!r} have the same 63-bit id {ids[clash[0]]}: "
            "remove one of them, or change its text by a character"
        )
    return int(len(ids) - repeated.sum())


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, cut where row groups end, so that a file does not show how its rows were sorted."""
    rest = ids_schema().empty_table()
    for table in tables:
        whole = pa.concat_tables([rest, table]).combine_chunks()
        rows = whole.num_rows // ROW_GROUP_ROWS * ROW_GROUP_ROWS
        if rows:
            yield whole.slice(0, rows)
        rest = whole.slice(rows)
    if rest.num_rows:
        yield rest


def is_in(ids: np.ndarray, ascending: np.ndarray | None) -> np.ndarray:
    """Which of the ids, int64 (n,), are among others that are in ascending order, None for no others: bool (n,)."""
    if ascending is None or not len(ascending):
        return np.zeros(len(ids), bool)
    places = np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)
    return np.asarray(ascending[places] == ids)
