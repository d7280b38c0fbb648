import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.neighbors.helpers import clumpy_vectors, integer_cosines, make_ids, random_vectors, unit
from transforms.duplicates.pairs import Dropped, listed_pairs, pairs_by_range
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
    found, dropped = pairs_by_range(ids, snapped, chunks, threshold, cap=1000)
    assert as_dict(found) == expected_pairs(vectors, ids, threshold)
    assert not found.dropped.any()
    assert not len(dropped.ids)


@given(clumpy_vectors(), st.data())
def test_a_threshold_that_is_a_cosine_of_the_corpus_includes_it(vectors, data):
    cosines = integer_cosines(vectors)
    threshold = float(data.draw(st.sampled_from(sorted(set(cosines[np.triu_indices(len(vectors), 1)].tolist())))))
    ids, snapped = make_ids(len(vectors)), snap(vectors)
    found, _ = pairs_by_range(ids, snapped, [(ids, snapped)], threshold, cap=1000)
    assert as_dict(found) == expected_pairs(vectors, ids, threshold)
    assert min(found.cosines) == np.float32(threshold)


@given(clumpy_vectors(), st.integers(1, 10), st.integers(1, 30))
def test_a_cap_keeps_the_best_and_counts_the_rest(vectors, cap, rows_per_chunk):
    ids, snapped = make_ids(len(vectors)), snap(vectors)
    chunks = [(ids[i : i + rows_per_chunk], snapped[i : i + rows_per_chunk]) for i in range(0, len(ids), rows_per_chunk)]
    found, dropped = pairs_by_range(ids, snapped, chunks, 0.5, cap)
    everything = expected_pairs(vectors, ids, 0.5)
    by_row = {}
    for (row, other), cosine in everything.items():
        by_row.setdefault(row, []).append((-cosine, other))
    expected = {(row, other): -negative for row, all_of in by_row.items() for negative, other in sorted(all_of)[:cap]}
    assert as_dict(found) == expected
    assert found.dropped.tolist() == [max(len(by_row.get(row, ())) - cap, 0) for row in range(len(ids))]
    lost = {}
    for row, other in everything.keys() - expected.keys():
        for text in (int(ids[row]), other):
            lost.setdefault(text, []).append(everything[row, other])
    assert dropped.ids.tolist() == sorted(lost)
    assert dropped.counts.tolist() == [len(lost[text]) for text in sorted(lost)]
    assert dropped.best.tolist() == [max(lost[text]) for text in sorted(lost)]
    assert dropped.pairs == len(everything) - len(expected)


def test_many_intermediate_cuts_change_nothing(monkeypatch):
    vectors = unit(np.ones(8) + 0.2 * np.random.default_rng(0).normal(size=(200, 8)))
    ids, snapped = make_ids(200), snap(vectors)
    chunks = [(ids[i : i + 9], snapped[i : i + 9]) for i in range(0, 200, 9)]
    whole, lost = pairs_by_range(ids, snapped, chunks, 0.9, 20)
    monkeypatch.setattr("transforms.duplicates.pairs._PENDING", 50)
    monkeypatch.setattr("transforms.duplicates.pairs._ROWS", 30)
    monkeypatch.setattr("transforms.duplicates.pairs._COLUMNS", 7)
    parts, lost_in_parts = pairs_by_range(ids, snapped, chunks, 0.9, 20)
    assert whole.dropped.sum() > 0
    for name in ("rows", "others", "cosines", "dropped"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
    for name in ("ids", "counts", "best"):
        assert np.array_equal(getattr(lost, name), getattr(lost_in_parts, name))


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(6, 9), st.sampled_from([0.5, 0.75, 1.0])), max_size=20), st.integers(1, 4)
)
def test_what_is_left_out_adds_up_however_it_is_parted(pairs, parts):
    def of(some):
        a, b, cosines = np.array(some, np.float64).reshape(-1, 3).T
        return Dropped.of(a.astype(np.int64), b.astype(np.int64), cosines.astype(np.float32))

    whole, summed = of(pairs), Dropped.summed([of(pairs[i::parts]) for i in range(parts)])
    assert whole.pairs == summed.pairs == len(pairs)
    for name in ("ids", "counts", "best"):
        assert np.array_equal(getattr(whole, name), getattr(summed, name))


@given(clumpy_vectors(), st.integers(1, 20), st.integers(1, 60), st.sampled_from([0.0, 0.5, 0.9, 0.999999]))
def test_lists_hold_each_pair_once_but_those_of_two_unfinished_texts(vectors, k, rows_per_part, threshold):
    ids, snapped = make_ids(len(vectors)), snap(vectors)
    nearest = nearest_others(ids, snapped, [(ids, snapped)], min(k, len(ids) - 1))
    ended = nearest.cosines[:, -1].astype(np.float64) < threshold
    unfinished = ids[~ended] if nearest.cosines.shape[1] < len(ids) - 1 else ids[:0]
    found = []
    for low in range(0, len(ids), rows_per_part):
        part = slice(low, low + rows_per_part)
        a, b, cosines = listed_pairs(ids[part], nearest.ids[part], nearest.cosines[part], threshold, unfinished)
        found += zip(a.tolist(), b.tolist(), cosines.tolist(), strict=True)
    everything = {(int(ids[row]), other): cosine for (row, other), cosine in expected_pairs(vectors, ids, threshold).items()}
    loose = set(unfinished.tolist())
    either = listed_pairs(ids, nearest.ids, nearest.cosines, threshold, unfinished, exact=False)
    assert set(zip(*(values.tolist() for values in either), strict=True)) == set(found)
    assert sorted(found) == sorted((a, b, cosine) for (a, b), cosine in everything.items() if not {a, b} <= loose)


@pytest.mark.parametrize("threshold", [0.8, 0.3])
def test_both_ways_of_rescoring_agree(threshold):
    vectors = unit(np.ones(16) + random_vectors(100) * 3)
    ids, snapped = make_ids(100), snap(vectors)
    found, _ = pairs_by_range(ids, snapped, [(ids, snapped)], threshold, 1000)
    assert as_dict(found) == expected_pairs(vectors, ids, threshold)


def test_blocks_without_a_pair_cost_no_memory(monkeypatch):
    """4,096 blocks, of which each could keep a value for every row: 134 MB."""
    monkeypatch.setattr("transforms.duplicates.pairs._ROWS", 64)
    monkeypatch.setattr("transforms.duplicates.pairs._COLUMNS", 64)
    vectors, ids = snap(np.tile(np.eye(2, dtype=np.float32), (4096, 1))), make_ids(8192)
    tracemalloc.start()
    try:
        found, _ = pairs_by_range(ids[:4096], vectors[:4096], [(ids[4096:], -vectors[4096:])], 0.5, 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not len(found.rows)
    assert peak < 10e6
