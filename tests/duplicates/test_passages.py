"""Mining where documents have several passages: no document is its own duplicate, and every row says which passages."""

from collections import defaultdict

import numpy as np
import pytest

from tests.duplicates.helpers import Corpus, make_corpus
from tests.neighbors.helpers import integer_cosines, random_vectors, unit
from transforms.duplicates import DuplicatesOptions, mine_part

THRESHOLD = 0.8


@pytest.fixture(params=range(4))
def corpus(tmp_path, request) -> Corpus:
    """Texts around eight centres, of twelve documents with up to some ten passages each; some texts have several owners."""
    generator = np.random.default_rng(request.param)
    centres = random_vectors(8, 16)
    documents = [f"d{i:02d}" for i in range(12)]
    numbers: dict[str, int] = defaultdict(int)
    owned, vectors = {}, {}
    for i in range(90):
        text = f"text {i}"
        # A document keeps to few subjects, so that most similar passages are its own.
        first = int(generator.integers(12))
        vectors[text] = unit((centres[first % 8] + 0.12 * generator.normal(size=16))[None])[0]
        owners = [documents[first]] * int(generator.integers(1, 3))
        if generator.random() < 0.3:
            owners += generator.choice(documents, 2).tolist()
        owned[text] = []
        for name in owners:
            owned[text].append((name, numbers[name]))
            numbers[name] += 1
    return make_corpus(tmp_path, owned, vectors)


def expected_pairs(corpus: Corpus) -> list[tuple]:
    """By definition: for two texts the smallest pair of different documents, the first one's text named first."""
    cosines = integer_cosines(corpus.vectors)
    rows = []
    for i, j in zip(*np.triu_indices(len(corpus.ids), 1), strict=True):
        if cosines[i, j].astype(np.float64) < THRESHOLD:
            continue
        candidates = []
        for a, (name_a, number_a) in [(i, owner) for owner in corpus.occurrences[i]]:
            for b, (name_b, number_b) in [(j, owner) for owner in corpus.occurrences[j]]:
                if name_a != name_b:
                    one, other = sorted([(name_a, number_a, a), (name_b, number_b, b)])
                    candidates.append((one[0], other[0], one[2] != min(i, j), one[1], other[1], one[2], other[2]))
        if candidates:
            name_a, name_b, _, number_a, number_b, a, b = min(candidates)
            rows.append((name_a, number_a, name_b, number_b, float(cosines[i, j]), int(corpus.ids[a]), int(corpus.ids[b])))
    return sorted(rows)


def test_pairs_are_those_of_different_documents(corpus):
    columns = ("doc_id_a", "passage_no_a", "doc_id_b", "passage_no_b", "cosine", "id_a", "id_b")
    for tiling in ({"k": 2, "rows_per_tile": 20}, {"k": 60, "rows_per_tile": 1000}):
        rows, _, record = corpus.duplicates(DuplicatesOptions(threshold=THRESHOLD), **tiling)
        found = sorted(tuple(row[name] for name in columns) for row in rows if row["relation"] != "exact")
        expected = expected_pairs(corpus)
        assert found == expected
        assert record.near + record.paraphrase == len(expected)
    alone = (np.triu(integer_cosines(corpus.vectors), 1) >= THRESHOLD).sum()
    assert 20 < len(expected) < alone


def test_exact_pairs_join_the_first_document_with_every_other_once(corpus):
    rows, _, _ = corpus.duplicates(DuplicatesOptions(threshold=THRESHOLD))
    found = sorted(
        (row["doc_id_a"], row["passage_no_a"], row["doc_id_b"], row["passage_no_b"])
        for row in rows
        if row["relation"] == "exact"
    )
    expected = []
    for names in corpus.occurrences:
        first: dict[str, int] = {}
        for name, number in names:
            first.setdefault(name, number)
        (name, number), *others = first.items()
        expected += [(name, number, other, other_number) for other, other_number in others]
    assert found == sorted(expected)
    assert all(row["doc_id_a"] < row["doc_id_b"] for row in rows)


@pytest.mark.parametrize("keep", [(), ("most_documents", "longest")])
def test_groups_hold_passages_of_other_documents_than_the_kept_one(corpus, keep):
    _, groups, record = corpus.duplicates(DuplicatesOptions(threshold=THRESHOLD, keep=keep))
    text_of = {passage: i for i, names in enumerate(corpus.occurrences) for passage in names}
    cosines = integer_cosines(corpus.vectors)
    members = defaultdict(list)
    for row in groups:
        members[row["group_id"]].append(row)
    passages = [(row["doc_id"], row["passage_no"]) for row in groups]
    assert len(set(passages)) == len(passages) > len(members) > 2
    for group_id, rows in members.items():
        kept = rows[0]["kept_doc_id"], rows[0]["kept_passage_no"]
        assert (rows[0]["doc_id"], rows[0]["passage_no"]) == kept
        assert corpus.ids[text_of[kept]] == group_id
        assert {(row["kept_doc_id"], row["kept_passage_no"]) for row in rows} == {kept}
        assert all(row["doc_id"] != kept[0] for row in rows[1:])
        assert {row["size"] for row in rows} == {len(rows)}
        assert len(rows) > 1
        for row in rows:
            own = text_of[row["doc_id"], row["passage_no"]]
            expected = 1 if own == text_of[kept] else cosines[own, text_of[kept]]
            assert row["cosine_to_kept"] == expected >= np.float32(THRESHOLD)
    replaced = {row["doc_id"] for row in groups if row["doc_id"] != row["kept_doc_id"]}
    assert record.duplicate_documents == len(replaced)
    assert groups == sorted(
        groups,
        key=lambda row: (
            row["group_id"], row["doc_id"] != row["kept_doc_id"], -row["cosine_to_kept"], row["doc_id"], row["passage_no"],
        ),
    )  # fmt: skip


def test_passages_of_one_document_do_not_use_up_the_cap(tmp_path):
    """Twenty near-equal passages of one document, and one of another document that all of them are paired with."""
    vectors = unit(np.ones(8) + 1e-3 * np.random.default_rng(0).normal(size=(21, 8)))
    owned = {f"text {i}": [("long", i)] for i in range(20)} | {"other": ["other"]}
    corpus = make_corpus(tmp_path, owned, dict(zip(owned, vectors, strict=True)))
    for k in (2, 20):
        rows, _, record = corpus.duplicates(DuplicatesOptions(threshold=0.9, max_pairs_per_text=20), k=k)
        assert {(row["doc_id_a"], row["doc_id_b"]) for row in rows} == {("long", "other")}
        assert sorted(row["passage_no_a"] for row in rows) == list(range(20))
        assert (record.pairs_dropped, record.complete) == (0, True)
    capped = [mine_part(task, DuplicatesOptions(threshold=0.9, max_pairs_per_text=1)) for task in corpus.mine_tasks()]
    assert sum(record.pairs + record.pairs_dropped for record in capped) == 20


def test_two_passages_of_one_document_alone_are_neither_pair_nor_group(tmp_path):
    vector = unit(np.ones((1, 8)))[0]
    owned = {"once": [("d", 0), ("d", 1)], "again": [("d", 2)], "more": [("d", 3)]}
    corpus = make_corpus(tmp_path, owned, dict.fromkeys(owned, vector))
    rows, groups, record = corpus.duplicates(DuplicatesOptions())
    assert rows == groups == []
    assert (record.pairs, record.groups, record.duplicate_documents, record.complete) == (0, 0, 0, True)


def test_the_tables_say_passage_numbers_of_whole_documents_too(tmp_path):
    vector = unit(np.ones((1, 8)))[0]
    rows, groups, _ = make_corpus(tmp_path, {"a": ["a"], "b": ["b"]}, {"a": vector, "b": vector}).duplicates(
        DuplicatesOptions()
    )
    assert [(row["passage_no_a"], row["passage_no_b"]) for row in rows] == [(0, 0)]
    assert [(row["passage_no"], row["kept_passage_no"]) for row in groups] == [(0, 0), (0, 0)]
