"""Comparison of two documents tables against dictionaries of the same documents."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.changes import Changes, compare_part, plan_comparison, total
from transforms.corpus import QUARANTINE_SCHEMA
from transforms.files import CorruptFileError, FileRef, write_table

LONG = "a document id of more than two hundred characters " * 5


def write_documents(
    folder: Path, documents: dict, parts: int, columns=("meta",), keep_text: bool = True
) -> tuple[list[FileRef], list[int]]:
    """The published documents table of {id: (texts, metadata by column)}: its parts and how many documents each has."""
    hashed = {doc_id: hashlib.sha256(doc_id.encode()).digest() for doc_id in documents}
    files, counts = [], []
    for part in range(parts):
        here = sorted(
            (doc_id for doc_id in documents if int.from_bytes(hashed[doc_id][:8], "big") * parts >> 64 == part),
            key=lambda doc_id: (hashed[doc_id][:8], doc_id),
        )
        rows = [(doc_id, number, text) for doc_id in here for number, text in enumerate(documents[doc_id][0])]
        table = {
            "doc_id": pa.array([row[0] for row in rows], pa.string()),
            "passage_no": pa.array([row[1] for row in rows], pa.int32()),
            "content_key": pa.array([hashlib.sha256(row[2].encode()).digest() for row in rows], pa.binary(32)),
        }
        if keep_text:
            table["text"] = pa.array([row[2] for row in rows], pa.string())
        for name in columns:
            values = [documents[row[0]][1].get(name) for row in rows]
            mixed = any(isinstance(value, float) for value in values)
            table[name] = pa.array(values, pa.float64() if mixed else pa.int64())
        files.append(write_table(str(folder / f"part-{part:05d}.parquet"), pa.table(table)))
        counts.append(len(here))
    return files, counts


def write_quarantine(path: Path, ids) -> FileRef:
    rows = [{"source": "f", "row": i, "doc_id": doc_id, "reason": "null_text"} for i, doc_id in enumerate(ids)]
    return write_table(str(path), pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA))


def compare(published, current, quarantine=()) -> Changes:
    (files, _), (now, counts) = published, current
    known, tasks = plan_comparison(files, now, counts, quarantine)
    return total([known, *map(compare_part, tasks)])


def expected(old: dict, new: dict, quarantined=()) -> Changes:
    """The same by looking at one document after the other."""
    found = dict.fromkeys(("added", "changed", "metadata_only", "unchanged", "deleted", "quarantined"), 0)
    for doc_id in old.keys() | new.keys():
        if doc_id not in old:
            state = "added"
        elif doc_id not in new:
            state = "quarantined" if doc_id[:200] in quarantined else "deleted"
        elif old[doc_id][0] != new[doc_id][0]:
            state = "changed"
        else:
            before, after = (
                {name: value for name, value in side[doc_id][1].items() if value is not None} for side in (old, new)
            )
            state = "unchanged" if before == after else "metadata_only"
        found[state] += 1
    return Changes(**found)


IDS = st.sampled_from([*(f"d{i}" for i in range(40)), LONG, "é", "a/b"])
TEXTS = st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=3)
META = st.fixed_dictionaries(
    {}, optional={"meta": st.sampled_from([None, 1, 2, 2.0, 2.5]), "other": st.sampled_from([None, 7])}
)
CORPUS = st.dictionaries(IDS, st.tuples(TEXTS, META), max_size=30)


@given(
    old=CORPUS,
    edits=CORPUS,
    removed=st.sets(IDS, max_size=8),
    quarantined=st.sets(IDS, max_size=6),
    sizes=st.tuples(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4])),
    columns=st.tuples(st.booleans(), st.booleans()),
    keep_text=st.tuples(st.booleans(), st.booleans()),
)
@settings(max_examples=150, deadline=None)
def test_every_document_is_counted_as_a_dictionary_counts_it(
    tmp_path_factory, old, edits, removed, quarantined, sizes, columns, keep_text
):
    folder = tmp_path_factory.mktemp("changes")
    new = {doc_id: value for doc_id, value in {**old, **edits}.items() if doc_id not in removed | quarantined}
    # A column that a table does not have: its documents have no value there.
    names = [("meta", "other") if both else ("meta",) for both in columns]
    shown = [
        {doc_id: (texts, {k: v for k, v in meta.items() if k in cols}) for doc_id, (texts, meta) in side.items()}
        for side, cols in zip((old, new), names, strict=True)
    ]
    tables = [
        write_documents(folder / name, side, parts, cols, keep)
        for name, side, parts, cols, keep in zip(("old", "new"), shown, sizes, names, keep_text, strict=True)
    ]
    ids = sorted({doc_id[:200] for doc_id in quarantined})
    found = compare(*tables, [write_quarantine(folder / "q.parquet", [None, *ids])])
    assert found == expected(*shown, ids)
    assert (found.published, found.current) == (len(old), len(new))


def test_a_part_with_the_same_bytes_is_not_read(tmp_path):
    documents = {f"d{i}": (["text"], {"meta": i}) for i in range(30)}
    files, counts = write_documents(tmp_path, documents, 4)
    known, tasks = plan_comparison(files, files, counts, [])
    assert (known, tasks) == (Changes(unchanged=30), [])


def test_nan_is_the_same_value_as_nan(tmp_path):
    tables = [write_documents(tmp_path / name, {"a": (["t"], {"meta": float("nan")})}, 1, keep_text=keep)
              for name, keep in (("old", True), ("new", False))]  # fmt: skip
    assert compare(*tables) == Changes(unchanged=1)


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_published_part_that_is_not_what_was_published_is_refused(tmp_path, damage):
    tables = [write_documents(tmp_path / name, {"a": ([name], {})}, 1) for name in ("old", "new")]
    path = Path(tables[0][0][0].path)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(CorruptFileError, match=r"part-00000\.parquet is (missing|not what was published).*corpusbeam verify"):
        compare(*tables)


def test_a_table_with_a_missing_part_is_refused(tmp_path):
    files, counts = write_documents(tmp_path, {"a": (["t"], {})}, 4)
    with pytest.raises(ValueError, match="3 parts, which is not a power of two"):
        plan_comparison(files[:3], files, counts, [])
