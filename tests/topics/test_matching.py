"""The matching against all ways to match, and against scipy's solver for dense matrices."""

from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from transforms.topics import match_by_centroids, match_by_documents
from transforms.topics.lineage import matching
from transforms.topics.lineage.flow import ABSENT, FLOW_SCHEMA, flow_table
from transforms.topics.lineage.matching import CONTAINMENT, JACCARD, best_matching


def flow_of(*rows):
    return flow_table(*np.array(rows, int).reshape(-1, 3).T)


def by_counting(flow, before, now):
    """Scores of all pairs that may match, (before, now), 0 where they may not: by sets of documents."""
    documents, number = {}, 0
    for row in flow.to_pylist():
        for _ in range(row["documents"]):
            documents[number] = row["before"], row["now"]
            number += 1
    both = {name: ends for name, ends in documents.items() if ABSENT not in ends}
    olds = [{name for name, (old, _) in both.items() if old == topic} for topic in range(before)]
    news = [{name for name, (_, new) in both.items() if new == topic} for topic in range(now)]
    scores = np.zeros((before, now))
    for i, old in enumerate(olds):
        for j, new in enumerate(news):
            if old & new and len(old & new) >= CONTAINMENT * min(len(old), len(new)):
                jaccard = len(old & new) / len(old | new)
                scores[i, j] = jaccard if jaccard >= JACCARD else 0
    return scores


def total(scores, matched):
    return sum(scores[old, new] for new, old in enumerate(matched) if old >= 0)


FLOWS = st.lists(st.tuples(st.integers(-2, 3), st.integers(-2, 3), st.integers(1, 9)), max_size=12)


@settings(deadline=None)
@given(FLOWS)
def test_no_other_one_to_one_matching_shares_more(rows):
    flow = flow_of(*[row for row in rows if row[:2] != (ABSENT, ABSENT)])
    scores = by_counting(flow, 4, 4)
    matched = match_by_documents(flow, 4, 4)
    assert matched.dtype == np.int32
    carried = matched[matched >= 0]
    assert len(set(carried.tolist())) == len(carried)
    assert all(scores[old, new] > 0 for new, old in enumerate(matched) if old >= 0), "the floor holds"
    best = max(sum(scores[old, new] for new, old in enumerate(chosen)) for chosen in permutations(range(4)))
    assert total(scores, matched) == pytest.approx(best)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_many_topics_are_matched_as_by_the_dense_solver(seed):
    rng = np.random.default_rng(seed)
    scores = np.where(rng.random((60, 50)) < 0.1, rng.uniform(0.2, 1, (60, 50)), 0)
    olds, news = np.nonzero(scores)
    matched = best_matching(olds, news, scores[olds, news], 60, 50)
    assert total(scores, matched) == pytest.approx(scores[linear_sum_assignment(-scores)].sum())


@given(FLOWS, st.randoms())
def test_the_order_of_rows_and_parts_does_not_matter(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    cut = len(rows) // 2
    parts = pa.concat_tables([flow_of(*shuffled[:cut]), flow_of(*shuffled[cut:])])
    again = flow_table(*(parts[name].to_numpy() for name in FLOW_SCHEMA.names))
    assert again.equals(flow_of(*rows))


def test_the_larger_half_of_a_topic_carries_it_on():
    assert match_by_documents(flow_of((0, 0, 60), (0, 1, 40)), 1, 2).tolist() == [0, -1]
    # A new text more or less decides nothing: the documents of both generations do.
    assert match_by_documents(flow_of((0, 0, 60), (0, 1, 40), (ABSENT, 0, 500), (0, ABSENT, 70)), 1, 2).tolist() == [0, -1]


def test_of_two_topics_that_merge_the_larger_is_carried_on():
    assert match_by_documents(flow_of((0, 0, 60), (1, 0, 100)), 2, 1).tolist() == [1]


def test_a_topic_that_breaks_to_pieces_or_falls_into_noise_is_none_of_them():
    assert match_by_documents(flow_of(*[(0, piece, 10) for piece in range(6)]), 1, 6).tolist() == [-1] * 6
    assert match_by_documents(flow_of((0, 0, 10), (0, -1, 90)), 1, 1).tolist() == [-1]
    assert match_by_documents(flow_of((0, 0, 30), (0, -1, 70)), 1, 1).tolist() == [0]
    # Less than half of either.
    assert match_by_documents(flow_of((0, 0, 4), (0, -1, 6), (-1, 0, 6)), 1, 1).tolist() == [-1]


def test_a_topic_gives_way_where_both_gain():
    """Greedy would take 0-0, the largest coefficient, and leave 1 without."""
    flow = flow_of((0, 0, 60), (0, 1, 38), (1, 0, 30))
    scores = by_counting(flow, 2, 2)
    assert scores[0, 0] == scores.max()
    assert match_by_documents(flow, 2, 2).tolist() == [1, 0]


def test_no_topics():
    assert match_by_documents(flow_of(), 0, 0).tolist() == []
    assert match_by_documents(flow_of((0, ABSENT, 9)), 1, 0).tolist() == []
    assert match_by_documents(flow_of((ABSENT, 0, 9)), 0, 1).tolist() == [-1]


def unit(*rows):
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_centroids_carry_on_topics_whose_documents_were_replaced():
    flow = flow_of((0, ABSENT, 90), (ABSENT, 0, 80), (1, 1, 50), (2, ABSENT, 40), (ABSENT, 2, 30))
    before, now = unit([1, 0, 0], [0, 1, 0], [0, 0, 1]), unit([9, 1, 0], [0, 1, 0], [1, 1, 1])
    matched = match_by_documents(flow, 3, 3)
    assert matched.tolist() == [-1, 1, -1]
    assert match_by_centroids(flow, matched, before, now).tolist() == [0, 1, -1]


def test_centroids_are_compared_some_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    before = unit(*rng.normal(size=(40, 8)))
    now = unit(*(before[rng.permutation(40)] + rng.normal(scale=0.1, size=(40, 8))))
    flow = flow_of(*((i, ABSENT, 9) for i in range(40)), *((ABSENT, i, 9) for i in range(40)))
    found = match_by_centroids(flow, np.full(40, -1, np.int32), before, now)
    cosines = before.astype(np.float64) @ now.T.astype(np.float64)
    rows, columns = linear_sum_assignment(np.where(cosines >= 0.85, cosines, 0), maximize=True)
    expected = np.full(40, -1)
    for row, column in zip(rows, columns, strict=True):
        if cosines[row, column] >= 0.85:
            expected[column] = row
    assert found.tolist() == expected.tolist()
    assert (found >= 0).sum() > 30
    monkeypatch.setattr(matching, "_ROWS", 7)
    assert match_by_centroids(flow, np.full(40, -1, np.int32), before, now).tolist() == found.tolist()


def test_centroids_do_not_carry_on_what_documents_say_has_dissolved():
    flow = flow_of((0, -1, 90), (ABSENT, 0, 80))
    matched = match_by_documents(flow, 1, 1)
    assert match_by_centroids(flow, matched, unit([1, 0]), unit([1, 0])).tolist() == [-1]
