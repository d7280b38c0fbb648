import numpy as np
import pytest

from tests.neighbors.helpers import make_blocks, make_ids, random_vectors
from transforms.neighbors import NeighborsOptions, snap
from transforms.neighbors.approximate.arrange import ArrangeTask, arrange_vectors
from transforms.neighbors.approximate.buckets import OrderTask, order_texts
from transforms.neighbors.approximate.join import JoinTask, _slices, join_buckets
from transforms.neighbors.approximate.pieces import Piece
from transforms.neighbors.approximate.products import NOBODY, columns_of
from transforms.vectors import load_array, save_array


@pytest.mark.parametrize("chunk", [10**6, 50])
def test_members_meet_all_members_of_each_of_their_buckets_and_nobody_else(folder, chunk):
    rows, k = 300, 6
    vectors, ids = random_vectors(rows, dim=32), make_ids(rows)
    blocks = make_blocks(folder, vectors, ids, 70)
    generator = np.random.default_rng(0)
    assigned = np.stack([generator.permutation(10)[:2] for _ in range(rows)]).astype(np.int32)
    # Bucket 11 has one member, bucket 10 two: fewer than k others.
    assigned[:3, 1] = (10, 10, 11)
    save_array(f"{folder}/assigned.npy", assigned)
    options = NeighborsOptions(rows_per_chunk=chunk, k=k)
    order = order_texts(OrderTask((Piece(0, rows, f"{folder}/assigned.npy"),), 12, folder), options)
    position_of, members = load_array(order.position_of), load_array(order.members)
    arranged = arrange_vectors(ArrangeTask(0, rows, order, blocks, folder), options).vectors
    scores = snap(vectors) @ snap(vectors).T
    seen = 0
    for part, (first, last) in enumerate(order.groups):
        record = join_buckets(JoinTask(part, first, last, order, arranged, k, folder), options, threads=2)
        places, begins, keys = (load_array(path) for path in (record.places, record.begins, record.keys))
        assert np.all(np.diff(places) >= 0)
        assert record.slices == 0
        for place, begin, own in zip(places, begins, keys, strict=True):
            bucket = np.searchsorted(load_array(order.starts), begin, side="right") - 1
            mates = members[load_array(order.starts)[bucket] : load_array(order.starts)[bucket + 1]]
            own = own[own != NOBODY]
            found = position_of[members[begin + columns_of(own)]]
            expected = [p for p in position_of[mates] if p != position_of[place]]
            assert set(found) <= set(expected)
            assert len(set(found)) == min(k, len(expected))
            best = np.sort(scores[position_of[place], expected])[::-1][:k]
            assert np.allclose(np.sort(scores[position_of[place], found])[::-1], best, atol=0.01)
            seen += 1
    assert seen == 2 * rows


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 0, 5, []),
        (7, 12, 5, [(7, 12)]),
        (7, 13, 5, [(7, 10), (10, 13)]),
        (0, 11, 5, [(0, 3), (3, 7), (7, 11)]),
    ],
)
def test_large_buckets_are_cut_evenly(low, high, most, expected):
    assert _slices(low, high, most) == expected
