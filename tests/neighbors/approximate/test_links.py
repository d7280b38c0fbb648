import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.neighbors import NeighborsOptions
from transforms.neighbors.approximate.buckets import Order
from transforms.neighbors.approximate.join import JoinRecord
from transforms.neighbors.approximate.links import LINKS, SPARE, LinkTask, MergeTask, _best_of_each, link_texts, merge_lists
from transforms.neighbors.approximate.products import COLUMN_BITS, NOBODY
from transforms.vectors import save_array


@given(
    st.lists(st.lists(st.tuples(st.integers(-1, 9), st.integers(0, 5)), min_size=7, max_size=7), min_size=1), st.integers(1, 9)
)
def test_of_all_entries_the_best_of_each_other_count(rows, kept):
    entries = np.array([[-1 if place < 0 else (place << 21) | score for place, score in row] for row in rows], np.int64)
    lists = _best_of_each(entries, kept)
    for row, found in zip(rows, lists.tolist(), strict=True):
        best = {place: max(s for p, s in row if p == place) for place, _ in row if place >= 0}
        expected = sorted(best, key=lambda place: (-best[place], place))[:kept]
        assert found == expected + [-1] * (kept - len(expected))


@pytest.mark.parametrize("cut", [(0, 40), (0, 13, 40)])
def test_lists_are_merged_and_linked_both_ways_whatever_the_ranges(folder, cut):
    """Forty texts in the order of their places; each pair's score is given, whichever of two joined buckets has it."""
    rows, k = 40, 5
    generator = np.random.default_rng(0)
    scores = generator.permutation(rows * rows).reshape(rows, rows)
    members = np.arange(rows, dtype=np.int32)
    save_array(f"{folder}/members.npy", members)
    order = Order(rows, "", "", f"{folder}/members.npy", "", (), 0)
    joined, met = [], np.zeros((rows, rows), bool)
    for part, columns in enumerate((np.arange(0, 25), np.arange(15, 40))):
        keys = np.full((len(columns), k), NOBODY, np.int32)
        for row, place in enumerate(columns):
            others = columns[columns != place]
            best = others[np.argsort(-scores[place, others])][:k]
            keys[row] = generator.permutation((scores[place, best] << COLUMN_BITS) | (best - columns[0]))
            met[place, best] = True
        if not part:
            keys[3, 2:] = NOBODY
            met[3] = False
            met[3, columns[0] + (keys[3, :2] & 4095)] = True
        paths = [f"{folder}/{part}-{name}.npy" for name in ("places", "begins", "keys")]
        arrays = (columns.astype(np.int32), np.full(len(columns), columns[0], np.int64), keys)
        for path, array in zip(paths, arrays, strict=True):
            save_array(path, array)
        joined.append(JoinRecord(part, paths[0], paths[1], paths[2], 0))
    ranges = list(itertools.pairwise(cut))
    merged = [merge_lists(MergeTask(low, high, order, tuple(joined), k, folder), NeighborsOptions(), 2) for low, high in ranges]
    lists = np.concatenate([record.lists.rows() for record in merged])
    assert lists.shape == (rows, k + SPARE)
    for place in range(rows):
        others = np.flatnonzero(met[place])
        expected = others[np.argsort(-scores[place, others])][: k + SPARE].tolist()
        assert lists[place].tolist() == expected + [-1] * (k + SPARE - len(expected))
    links = np.concatenate(
        [link_texts(LinkTask(low, high, tuple(merged), folder), NeighborsOptions()).rows() for low, high in ranges]
    )
    for place in range(rows):
        assert [other for other in links[place, :LINKS] if other >= 0] == [
            other for other in lists[place, :LINKS] if other >= 0
        ]
        back = sorted((lists[other].tolist().index(place), other) for other in range(rows) if place in lists[other, :LINKS])
        expected = [other for _, other in back][:LINKS]
        assert links[place, LINKS:].tolist() == expected + [-1] * (LINKS - len(expected))
