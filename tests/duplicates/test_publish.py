from collections import Counter, defaultdict

import numpy as np
import pytest

from tests.duplicates.helpers import brute_pairs, found_pairs, is_pair, make_corpus
from tests.neighbors.helpers import random_vectors, unit
from transforms.duplicates import DuplicatesOptions, is_current
from transforms.files import open_parquet

THRESHOLD = 0.75


@pytest.mark.parametrize("keep", [(), ("most_documents", "longest"), ("shortest",)])
def test_groups_keep_their_promises(corpus, keep):
    rows, groups, record = corpus.duplicates(DuplicatesOptions(threshold=THRESHOLD, keep=keep))
    cosine_of = brute_pairs(corpus, THRESHOLD)
    first_of = {name: names[0] for names in corpus.owners for name in names}
    id_of = {name: int(text_id) for text_id, names in zip(corpus.ids, corpus.owners, strict=True) for name in names}
    assert len({row["doc_id"] for row in groups}) == len(groups)
    members = defaultdict(list)
    for row in groups:
        members[row["group_id"]].append(row)
        kept, own = first_of[row["kept_doc_id"]], first_of[row["doc_id"]]
        assert row["kept_doc_id"] == kept
        assert row["group_id"] == id_of[kept]
        expected = 1.0 if kept == own else cosine_of[tuple(sorted((kept, own)))]
        assert row["cosine_to_kept"] == expected >= THRESHOLD
    for group in members.values():
        assert {row["size"] for row in group} == {len(group)}
        assert len(group) > 1
        assert group[0]["doc_id"] == group[0]["kept_doc_id"]
    kept_texts = {first_of[row["kept_doc_id"]] for row in groups}
    assert not any(a in kept_texts and b in kept_texts for a, b in cosine_of)
    grouped = {row["doc_id"] for row in groups}
    copied = {name for names in corpus.owners if len(names) > 1 for name in names}
    assert copied <= grouped <= copied | {name for pair in cosine_of for name in pair}
    assert all(a in grouped or b in grouped for a, b in cosine_of)
    assert record.groups == len(members)
    assert record.duplicate_documents == len(groups) - len(members)
    assert record.pairs == len(rows)


def test_components_join_what_pairs_connect(corpus):
    rows, groups, _ = corpus.duplicates(DuplicatesOptions(threshold=THRESHOLD))
    component = {row["doc_id"]: row["component_id"] for row in groups}
    assert all(component[row["doc_id_a"]] == component[row["doc_id_b"]] for row in rows)
    ids = {name: int(text_id) for text_id, names in zip(corpus.ids, corpus.owners, strict=True) for name in names}
    smallest = defaultdict(list)
    for name, number in component.items():
        smallest[number].append(ids[name])
    assert all(number == min(members) for number, members in smallest.items())


def test_tables_are_sorted_described_and_independent_of_parts(corpus):
    options = DuplicatesOptions(threshold=THRESHOLD)
    rows, groups, record = corpus.duplicates(options, k=4, rows_per_tile=10)
    assert rows == sorted(rows, key=lambda row: (-row["cosine"], row["doc_id_a"], row["doc_id_b"]))
    assert groups == sorted(
        groups,
        key=lambda row: (row["group_id"], row["doc_id"] != row["kept_doc_id"], -row["cosine_to_kept"], row["doc_id"]),
    )
    files = record.pairs_file, record.groups_file, record.texts_file
    for ref in files:
        with open_parquet(ref.path) as parquet:
            assert all(field.metadata[b"description"] for field in parquet.schema_arrow)
            assert is_current(parquet.schema_arrow)
    _, _, again = corpus.duplicates(options, k=4, rows_per_tile=1000)
    assert (again.pairs_file, again.groups_file, again.texts_file) == files
    longer, _, again = corpus.duplicates(options, k=32, rows_per_tile=1000)
    # Longer lists say more of the texts around a pair, and nothing else.
    assert [row | {"margin": None} for row in longer] == [row | {"margin": None} for row in rows] != rows
    assert (again.groups_file, again.texts_file) == files[1:]


def test_pairs_point_to_the_texts_of_their_documents(corpus):
    rows, _, _ = corpus.duplicates(DuplicatesOptions(threshold=THRESHOLD))
    ids = {name: int(text_id) for text_id, names in zip(corpus.ids, corpus.owners, strict=True) for name in names}
    for row in rows:
        assert row["doc_id_a"] < row["doc_id_b"]
        assert (row["id_a"], row["id_b"]) == (ids[row["doc_id_a"]], ids[row["doc_id_b"]])
        assert is_pair(row) == (row["id_a"] != row["id_b"])


def test_equal_texts_are_a_star_of_exact_pairs_and_one_group(tmp_path):
    vectors = random_vectors(3)
    owned = {"many": [f"m{i}" for i in range(50)], "few": ["a", "b"], "one": ["c"]}
    corpus = make_corpus(tmp_path, owned, dict(zip(owned, vectors, strict=True)))
    rows, groups, record = corpus.duplicates(DuplicatesOptions(threshold=0.99))
    assert Counter(row["relation"] for row in rows) == {"exact": 50}
    assert {row["cosine"] for row in rows} == {1.0}
    assert {row["doc_id_a"] for row in rows} == {"a", "m0"}
    assert sorted((row["kept_doc_id"], row["size"]) for row in groups if row["doc_id"] in ("m7", "b")) == [("a", 2), ("m0", 50)]
    assert len(groups) == 52
    assert (record.exact, record.groups, record.duplicate_documents) == (50, 2, 50)


@pytest.mark.parametrize(
    ("keep", "expected"),
    [(("most_documents",), "b"), (("longest",), "c"), (("shortest",), "d"), ((), "a"), (("most_documents", "shortest"), "b")],
)
def test_the_policy_says_who_is_kept(tmp_path, keep, expected):
    owned = {"text aa": ["a"], "text bb": ["b", "b2"], "text long": ["c"], "text": ["d"]}
    vector = unit(np.ones((1, 8)))[0]
    corpus = make_corpus(tmp_path, owned, dict.fromkeys(owned, vector))
    _, groups, _ = corpus.duplicates(DuplicatesOptions(keep=keep))
    assert {row["kept_doc_id"] for row in groups} == {expected}
    assert {row["size"] for row in groups} == {5}


@pytest.mark.parametrize("texts", [1, 2, 5])
def test_small_corpora_without_any_pair(tmp_path, texts):
    vectors = np.eye(8, dtype=np.float32)[:texts]
    owned = {f"text {i}": [f"d{i}"] for i in range(texts)}
    rows, groups, record = make_corpus(tmp_path, owned, dict(zip(owned, vectors, strict=True))).duplicates(DuplicatesOptions())
    assert rows == groups == []
    assert (record.pairs, record.groups, record.duplicate_documents, record.complete) == (0, 0, 0, True)


def test_all_texts_nearly_equal(tmp_path):
    vectors = unit(np.ones(8) + 1e-7 * np.random.default_rng(0).normal(size=(120, 8)))
    owned = {f"text {i}": [f"d{i:03d}"] for i in range(120)}
    corpus = make_corpus(tmp_path, owned, dict(zip(owned, vectors, strict=True)))
    rows, groups, record = corpus.duplicates(DuplicatesOptions(threshold=0.9))
    assert found_pairs(rows) == brute_pairs(corpus, 0.9)
    assert len(rows) == 120 * 119 // 2
    assert (record.groups, len(groups)) == (1, 120)


def test_a_corpus_on_another_file_system(folder):
    vectors = unit(np.ones(8) + 0.2 * np.random.default_rng(0).normal(size=(40, 8)))
    owned = {f"text {i}": [f"d{i:03d}"] for i in range(40)}
    corpus = make_corpus(folder, owned, dict(zip(owned, vectors, strict=True)))
    rows, _, _ = corpus.duplicates(DuplicatesOptions(threshold=0.9))
    assert found_pairs(rows) == brute_pairs(corpus, 0.9)
