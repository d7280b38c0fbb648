import dataclasses
import json

import numpy as np
import pytest
from pydantic import TypeAdapter

from tests.neighbors.helpers import make_blocks, make_ids, random_vectors
from transforms.neighbors import NeighborsOptions, snap
from transforms.neighbors.approximate.buckets import (
    AssignTask,
    Order,
    OrderTask,
    TrainTask,
    assign_buckets,
    bucket_count,
    order_texts,
    train_buckets,
)
from transforms.neighbors.approximate.pieces import Piece
from transforms.vectors import load_array, save_array

OPTIONS = NeighborsOptions(texts_per_bucket=20, buckets_per_text=3, recall_rows=50)


def test_centroids_are_unit_and_depend_on_neither_blocks_nor_the_order_of_the_texts_that_are_not_sampled(tmp_path):
    vectors, ids = random_vectors(700), make_ids(700)
    found = []
    for rows in (700, 64):
        blocks = make_blocks(f"{tmp_path}/{rows}", vectors, ids, rows)
        record = train_buckets(TrainTask(blocks, f"{tmp_path}/{rows}"), OPTIONS)
        found.append(load_array(record.centroids))
        assert (record.buckets, record.queries.rows) == (35, 50)
        assert np.isin(record.queries.ids(), ids).all()
    assert np.array_equal(*found)
    assert np.allclose(np.linalg.norm(found[0], axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("texts", "buckets"), [(1, 1), (9, 1), (10, 1), (31, 2), (1000, 50)])
def test_the_number_of_buckets(texts, buckets):
    assert bucket_count(texts, OPTIONS) == buckets


def test_texts_are_in_the_buckets_of_their_nearest_centroids(folder):
    # More centroids than a key can name.
    vectors, ids, centroids = random_vectors(1100), make_ids(1100), random_vectors(5000, seed=1)
    save_array(f"{folder}/centroids.npy", centroids)
    blocks = make_blocks(folder, vectors, ids, 300)
    pieces = [
        assign_buckets(AssignTask(low, high, blocks, f"{folder}/centroids.npy", folder), OPTIONS, threads=2)
        for low, high in ((0, 512), (512, 1100))
    ]
    assigned = np.concatenate([piece.rows() for piece in pieces])
    scores = snap(vectors).astype(np.float64) @ centroids.astype(np.float64).T
    best = np.take_along_axis(scores, assigned.astype(int), 1)
    assert assigned.shape == (1100, 3)
    assert all(len(set(row)) == 3 for row in assigned.tolist())
    # Products are rounded to bf16 where the processor has it.
    assert np.allclose(best, -np.sort(-scores, axis=1)[:, :3], atol=0.01)
    assert np.all(np.diff(best, axis=1) < 0.01)


@pytest.mark.parametrize("ordered", [7, 1000])
def test_places_are_by_bucket_and_members_by_place(folder, monkeypatch, ordered):
    monkeypatch.setattr("transforms.neighbors.approximate.buckets._ORDERED", ordered)
    assigned = np.random.default_rng(0).permuted(np.tile(np.arange(9, dtype=np.int32), (100, 1)), axis=1)[:, :3]
    assigned[assigned == 4] = 5  # nobody is in bucket 4; some are twice in 5
    pieces = []
    for low, high in ((0, 60), (60, 100)):
        save_array(f"{folder}/{low}.npy", assigned[low:high])
        pieces.append(Piece(low, high, f"{folder}/{low}.npy"))
    order = order_texts(OrderTask(tuple(pieces), 9, folder), NeighborsOptions(rows_per_chunk=70))
    position_of, place_of = load_array(order.position_of), load_array(order.place_of)
    members, starts = load_array(order.members), load_array(order.starts)
    assert position_of.tolist() == sorted(range(100), key=lambda position: (assigned[position, 0], position))
    assert np.array_equal(place_of[position_of], np.arange(100))
    for bucket in range(9):
        expected = sorted(place_of[position] for position in np.nonzero(assigned == bucket)[0])
        assert members[starts[bucket] : starts[bucket + 1]].tolist() == expected
    assert [bucket for low, high in order.groups for bucket in range(low, high)] == list(range(9))
    sizes = np.diff(starts)
    assert all(sizes[low:high].sum() <= 70 or high - low == 1 for low, high in order.groups)
    assert (order.texts, order.largest) == (100, sizes.max())
    assert TypeAdapter(Order).validate_python(json.loads(json.dumps(dataclasses.asdict(order)))) == order
