from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from tests.duplicates.helpers import make_corpus
from tests.neighbors.helpers import unit
from transforms.duplicates import DuplicatesOptions, KeepError, groups_from_pairs
from transforms.files import read_table, write_table

VECTOR = unit(np.ones((1, 8)))[0]


def with_columns(corpus, **columns):
    """The corpus' documents with metadata columns, in the order of the document ids."""
    table = pa.concat_tables(read_table(part.path) for part in corpus.documents).sort_by("doc_id")
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return [write_table(f"{corpus.folder}/columns/part-{i}.parquet", table.slice(i, 3)) for i in range(0, table.num_rows, 3)]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ([], "a"),
        (["longest"], "c"),
        (["column:priority:desc"], "b2"),
        (["column:priority:asc"], "d"),
        (["newest:updated_at"], "b"),
        (["oldest:updated_at"], "c"),
        (["most_documents", "newest:updated_at"], "b"),
        (["most_documents", "column:priority:desc"], "b2"),
        (["column:kind:desc", "shortest"], "d"),
    ],
)
def test_documents_of_one_text_are_told_apart_by_their_columns(tmp_path, keep, expected):
    owned = {"text aa": ["a"], "text bb": ["b", "b2"], "text long": ["c"], "text": ["d"]}
    corpus = make_corpus(tmp_path, owned, dict.fromkeys(owned, VECTOR))
    _, _, record = corpus.duplicates(DuplicatesOptions())
    documents = with_columns(
        corpus,
        priority=[2, 2, 3, None, 1],
        updated_at=["2024-01-02", "2024-12-31", "2024-03-01T10:00:00Z", "2023-01-01", "2024-05-01"],
        kind=["faq", "faq", "faq", "faq", "ticket"],
    )
    inputs = read_table(record.pairs_file.path), read_table(record.texts_file.path), [part.path for part in documents]
    groups = groups_from_pairs(*inputs, DuplicatesOptions(keep=keep)).to_pylist()
    assert {row["kept_doc_id"] for row in groups} == {expected}
    assert groups[0]["doc_id"] == expected
    assert sorted(row["doc_id"] for row in groups) == ["a", "b", "b2", "c", "d"]
    assert {row["size"] for row in groups} == {5}


def test_a_column_that_the_documents_lack_is_named(corpus):
    _, _, record = corpus.duplicates(DuplicatesOptions())
    inputs = read_table(record.pairs_file.path), read_table(record.texts_file.path), [part.path for part in corpus.documents]
    with pytest.raises(KeepError, match=r"'priority'.*doc_id.*corpus.metadata_columns"):
        groups_from_pairs(*inputs, DuplicatesOptions(keep=["column:priority:desc"]))


@pytest.mark.parametrize("raised", [0.75, 0.9, 0.99999, 1.0])
@pytest.mark.parametrize("keep", [(), ("most_documents", "longest")])
def test_groups_of_the_pairs_above_a_threshold_are_those_of_a_run_with_it(corpus, raised, keep):
    rows, _, record = corpus.duplicates(DuplicatesOptions(threshold=0.5, keep=keep))
    pairs, texts = read_table(record.pairs_file.path), read_table(record.texts_file.path)
    above = pairs.filter(pa.array(pairs["cosine"].to_numpy().astype(np.float64) >= raised))
    options = DuplicatesOptions(threshold=raised, keep=keep)
    found = groups_from_pairs(above, texts, [part.path for part in corpus.documents], options)
    _, expected, _ = corpus.duplicates(options)
    assert found.to_pylist() == expected
    assert 0 < above.num_rows < len(rows)


def test_the_smallest_cosine_of_a_group_is_that_of_its_members(corpus):
    _, groups, _ = corpus.duplicates(DuplicatesOptions(threshold=0.6))
    members = defaultdict(list)
    for row in groups:
        members[row["group_id"]].append(row)
    for rows in members.values():
        assert {row["min_cosine"] for row in rows} == {min(row["cosine_to_kept"] for row in rows)}
    assert len({row["min_cosine"] for row in groups}) > 3
