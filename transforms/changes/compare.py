"""Two tables of documents, compared document by document within one range of doc hashes."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from transforms.changes.counts import Changes
from transforms.changes.plan import CompareTask
from transforms.corpus import RESERVED_COLUMNS, part_of
from transforms.corpus.keys import doc_hash, fixed_bytes
from transforms.corpus.validate import printable
from transforms.files import CorruptFileError, FileRef, open_parquet, read_table, sha256_of


@dataclass(frozen=True)
class _Documents:
    """The documents of a range: the rows of their passages, and where each document's rows begin and how many they are."""

    rows: pa.Table
    ids: pa.Array
    starts: np.ndarray
    counts: np.ndarray

    @property
    def metadata(self) -> list[str]:
        """The published metadata columns."""
        return [name for name in self.rows.column_names if name not in RESERVED_COLUMNS]


def compare_part(task: CompareTask) -> Changes:
    """Count the documents of one range by what became of them. Memory: one part of each table without its texts.

    Raises CorruptFileError when the published part is not what was published.
    """
    _check(task.published)
    old = _documents(task.published, task.part, task.parts, task.published_parts)
    new = _documents(task.current, task.part, task.parts, task.current_parts)
    at = pc.index_in(new.ids, value_set=old.ids)
    there = at.is_valid().to_numpy(zero_copy_only=False)
    ours, theirs = np.flatnonzero(there), at.drop_null().to_numpy().astype(np.int64)
    same_texts = _same_texts(new, ours, old, theirs)
    same_metadata = _same_metadata(new, ours, old, theirs)
    gone = old.ids.filter(pc.invert(pc.is_in(old.ids, value_set=new.ids)))
    quarantined = _in_quarantine(gone, task.quarantine)
    return Changes(
        added=len(new.ids) - len(ours),
        changed=int(np.count_nonzero(~same_texts)),
        metadata_only=int(np.count_nonzero(same_texts & ~same_metadata)),
        unchanged=int(np.count_nonzero(same_texts & same_metadata)),
        deleted=len(gone) - quarantined,
        quarantined=quarantined,
    )


def _check(file: FileRef) -> None:
    try:
        found = sha256_of(file.path)
    except FileNotFoundError:
        found = None
    if found != (file.sha256, file.size):
        raise CorruptFileError(
            f"{file.path} is {'missing' if found is None else 'not what was published'}: what changed since cannot be told; "
            "run `corpusbeam verify`, and `corpusbeam rollback` to a whole generation"
        )


def _documents(file: FileRef, part: int, parts: int, own_parts: int) -> _Documents:
    """The documents of range `part` of `parts`, from the file of one of `own_parts` parts that holds it."""
    with open_parquet(file.path) as parquet:
        names = [name for name in parquet.schema_arrow.names if name != "text"]
    rows = read_table(file.path, names).combine_chunks()
    ids = _column(rows, "doc_id")
    if len(ids):
        first = np.concatenate([[True], pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)])
    else:
        first = np.empty(0, bool)
    starts = np.flatnonzero(first)
    counts = np.diff(np.append(starts, len(ids)))
    ids = ids.take(pa.array(starts, pa.int64()))
    if own_parts < parts:
        here = np.array([part_of(doc_hash(doc_id), parts) == part for doc_id in ids.to_pylist()], bool)
        ids, starts, counts = ids.filter(pa.array(here, pa.bool_())), starts[here], counts[here]
    return _Documents(rows, ids, starts, counts)


def _column(table: pa.Table, name: str) -> pa.Array:
    column = table[name]
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _same_texts(new: _Documents, ours: np.ndarray, old: _Documents, theirs: np.ndarray) -> np.ndarray:
    """Which documents have the same passages with the same content keys: bool (documents,)."""
    same = new.counts[ours] == old.counts[theirs]
    pairs = np.flatnonzero(same)
    counts = new.counts[ours[pairs]]
    if not len(pairs):
        return same
    rows_new, rows_old = _expanded(new.starts[ours[pairs]], counts), _expanded(old.starts[theirs[pairs]], counts)
    keys = [fixed_bytes(_column(side.rows, "content_key")) for side in (new, old)]
    numbers = [_column(side.rows, "passage_no").to_numpy() for side in (new, old)]
    differ = np.any(keys[0][rows_new] != keys[1][rows_old], axis=1) | (numbers[0][rows_new] != numbers[1][rows_old])
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    same[pairs] = ~np.logical_or.reduceat(differ, first)
    return same


def _expanded(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The positions `start … start + count` of all documents, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1]) + np.repeat(starts - (ends - counts), counts)


def _same_metadata(new: _Documents, ours: np.ndarray, old: _Documents, theirs: np.ndarray) -> np.ndarray:
    """Which documents have the same metadata: bool (documents,). A column that one table lacks is null in all its documents."""
    same = np.ones(len(ours), bool)
    # All passages of a document have its metadata: the first says it.
    rows_new, rows_old = pa.array(new.starts[ours], pa.int64()), pa.array(old.starts[theirs], pa.int64())
    for name in dict.fromkeys([*new.metadata, *old.metadata]):
        a, b = (
            _column(side.rows, name).take(rows) if name in side.metadata else pa.nulls(len(rows))
            for side, rows in ((new, rows_new), (old, rows_old))
        )
        same &= _equal(a, b)
    return same


def _equal(a: pa.Array, b: pa.Array) -> np.ndarray:
    """Where two columns have equal values, nulls and NaNs among them."""
    if a.type != b.type:
        # The kind of a column is decided by all its rows: 3 may be 3.0 tonight, and is the same value.
        return np.array([x == y or (x != x and y != y) for x, y in zip(a.to_pylist(), b.to_pylist(), strict=True)], bool)
    equal = pc.fill_null(pc.equal(a, b), False)
    equal = pc.or_(equal, pc.and_(a.is_null(), b.is_null()))
    if pt.is_floating(a.type):
        equal = pc.or_(equal, pc.fill_null(pc.and_(pc.is_nan(a), pc.is_nan(b)), False))
    return equal.to_numpy(zero_copy_only=False)


def _in_quarantine(gone: pa.Array, quarantine: tuple[FileRef, ...]) -> int:
    """How many of the documents `gone` have a row in quarantine; ids are shortened there, as they are here."""
    if not len(gone) or not quarantine:
        return 0
    shown = pa.array([printable(doc_id) for doc_id in gone.to_pylist()], pa.string())
    found = np.zeros(len(gone), bool)
    for file in quarantine:
        ids = _column(read_table(file.path, ["doc_id"]), "doc_id").drop_null()
        if len(ids):
            found |= pc.is_in(shown, value_set=ids).to_numpy(zero_copy_only=False)
    return int(np.count_nonzero(found))
