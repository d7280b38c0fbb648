import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.neighbors.helpers import clumpy_vectors, integer_cosines, make_ids, random_vectors, unit
from transforms.duplicates import listed_pairs, pairs_by_range, unfinished_rows
from transforms.neighbors import nearest_others, snap


def expected_pairs(vectors, ids, threshold):
    cosines = integer_cosines(vectors).astype(np.float64)
    rows, columns = np.nonzero(np.triu(cosines >= threshold, 1))
    return {(int(r), int(ids[c])): cosines[r, c] for r, c in zip(rows, columns, strict=True)}


def as_dict(pairs):
    found = {(int(r), int(o)): float(c) for r, o, c in zip(pairs.rows, pairs.others, pairs.cosines, strict=True)}
    assert len(found) == len(pairs.rows)
    return found


@given(clumpy_vectors(), st.sampled_from([-1.0, 0.0, 0.5, 0.9, 0.999999, 1.0]), st.integers(1, 40))
def test_range_search_finds_every_pair_and_nothing_else(vectors, threshold, rows_per_chunk):
    ids, snapped = make_ids(len(vectors)), snap(vectors)
    chunks = [(ids[i : i + rows_per_chunk], snapped[i : i + rows_per_chunk]) for i in range(0, len(ids), rows_per_chunk)]
    found = pairs_by_range(ids, snapped, chunks, threshold, cap=1000)
    assert as_dict(found) == expected_pairs(vectors, ids, threshold)
    assert not found.dropped.any()


@given(clumpy_vectors(), st.data())
def test_a_threshold_that_is_a_cosine_of_the_corpus_includes_it(vectors, data):
    cosines = integer_cosines(vectors)
    threshold = float(data.draw(st.sampled_from(sorted(set(cosines[np.triu_indices(len(vectors), 1)].tolist())))))
    ids, snapped = make_ids(len(vectors)), snap(vectors)
    found = pairs_by_range(ids, snapped, [(ids, snapped)], threshold, cap=1000)
    assert as_dict(found) == expected_pairs(vectors, ids, threshold)
    assert min(found.cosines) == np.float32(threshold)


@given(clumpy_vectors(), st.integers(1, 10), st.integers(1, 30))
def test_a_cap_keeps_the_best_and_counts_the_rest(vectors, cap, rows_per_chunk):
    ids, snapped = make_ids(len(vectors)), snap(vectors)
    chunks = [(ids[i : i + rows_per_chunk], snapped[i : i + rows_per_chunk]) for i in range(0, len(ids), rows_per_chunk)]
    found = pairs_by_range(ids, snapped, chunks, 0.5, cap)
    by_row = {}
    for (row, other), cosine in expected_pairs(vectors, ids, 0.5).items():
        by_row.setdefault(row, []).append((-cosine, other))
    expected = {(row, other): -negative for row, all_of in by_row.items() for negative, other in sorted(all_of)[:cap]}
    assert as_dict(found) == expected
    assert found.dropped.tolist() == [max(len(by_row.get(row, ())) - cap, 0) for row in range(len(ids))]


def test_many_intermediate_cuts_change_nothing(monkeypatch):
    vectors = unit(np.ones(8) + 0.2 * np.random.default_rng(0).normal(size=(200, 8)))
    ids, snapped = make_ids(200), snap(vectors)
    chunks = [(ids[i : i + 9], snapped[i : i + 9]) for i in range(0, 200, 9)]
    whole = pairs_by_range(ids, snapped, chunks, 0.9, 20)
    monkeypatch.setattr("transforms.duplicates.pairs._PENDING", 50)
    monkeypatch.setattr("transforms.duplicates.pairs._ROWS", 30)
    monkeypatch.setattr("transforms.duplicates.pairs._COLUMNS", 7)
    parts = pairs_by_range(ids, snapped, chunks, 0.9, 20)
    assert whole.dropped.sum() > 0
    for name in ("rows", "others", "cosines", "dropped"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))


@given(clumpy_vectors(), st.integers(1, 20), st.sampled_from([0.0, 0.5, 0.9, 0.999999]))
def test_finished_lists_already_hold_all_their_pairs(vectors, k, threshold):
    ids, snapped = make_ids(len(vectors)), snap(vectors)
    nearest = nearest_others(ids, snapped, [(ids, snapped)], min(k, len(ids) - 1))
    unfinished = set(unfinished_rows(nearest.cosines, len(ids) - 1, threshold).tolist())
    listed = as_dict(listed_pairs(ids, nearest.ids, nearest.cosines, threshold))
    expected = expected_pairs(vectors, ids, threshold)
    assert listed.items() <= expected.items()
    assert {pair for pair in expected if pair[0] not in unfinished} <= listed.keys()


@pytest.mark.parametrize("threshold", [0.8, 0.3])
def test_both_ways_of_rescoring_agree(threshold):
    vectors = unit(np.ones(16) + random_vectors(100) * 3)
    ids, snapped = make_ids(100), snap(vectors)
    assert as_dict(pairs_by_range(ids, snapped, [(ids, snapped)], threshold, 1000)) == expected_pairs(vectors, ids, threshold)
