from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from tests.topics.helpers import blobs, unit
from transforms.files import write_table
from transforms.topics import best_members, boundary_scores, centroids, gather, member_scores, varied, vector_sums
from transforms.topics.naming.naming import NameTask, _chosen
from transforms.topics.naming.scoring import SCORES_SCHEMA
from transforms.vectors import write_block


def in_blocks(vectors, rows):
    return [vectors[start : start + rows] for start in range(0, len(vectors), rows)]


def representatives(labels, strength, topics, blocks, count, documents):
    """Positions of the representatives of each topic, found block by block: as the steps of a run do."""
    starts = np.cumsum([0, *(len(block) for block in blocks)]).astype(int)
    spans = [slice(low, high) for low, high in pairwise(starts)]
    sums = np.zeros((topics, blocks[0].shape[1] if blocks else 1))
    for own, block in zip(spans, blocks, strict=True):
        sums += vector_sums(labels[own], topics, block)
    found = [(np.empty(0, int), np.empty(0))]
    for own, block in zip(spans, blocks, strict=True):
        rows, scores = member_scores(labels[own], strength[own], centroids(sums), block)
        at = own.start + rows
        best = best_members(labels[at], scores, at, documents[at])
        found.append((at[best], scores[best]))
    at, scores = (np.concatenate(columns) for columns in zip(*found, strict=True))
    best = at[best_members(labels[at], scores, at, documents[at])]
    vectors = np.concatenate(blocks) if blocks else np.empty((0, 1))

    def vectors_at(some):
        assert (np.diff(some) > 0).all()
        return {position: vectors[position] for position in some.tolist()}

    members = [best[labels[best] == topic] for topic in range(topics)]
    return [own[varied(own, count, vectors_at)].tolist() for own in members]


def chosen_of(labels, strength, topics, blocks, count):
    """Representatives where each text has a document of its own."""
    return representatives(labels, strength, topics, blocks, count, np.arange(len(labels)))


def test_centroids_are_mean_directions_whatever_the_blocks():
    vectors, truth = blobs([30, 20, 10], spread=1.0)
    labels = np.where(np.arange(60) % 7 == 0, -1, truth)
    expected = unit(np.array([vectors[labels == topic].mean(axis=0) for topic in range(3)]))
    for rows in (7, 60):
        cuts = range(0, 60, rows)
        sums = sum(vector_sums(labels[low : low + rows], 3, vectors[low : low + rows]) for low in cuts)
        np.testing.assert_allclose(centroids(sums), expected, atol=1e-6)


def test_representatives_are_the_strong_ones_near_the_centre():
    vectors, labels = blobs([30, 20], spread=1.5)
    strength = np.random.default_rng(0).random(50).astype(np.float32)
    for rows in (7, 50):
        chosen = chosen_of(labels, strength, 2, in_blocks(vectors, rows), 3)
        for topic, positions in enumerate(chosen):
            members = np.flatnonzero(labels == topic)
            centre = unit(vectors[members].mean(axis=0, keepdims=True))[0]
            assert (np.triu(vectors[members] @ vectors[members].T, 1) < 0.9).all()  # none repeats another
            assert positions == members[np.argsort(-strength[members] * (vectors[members] @ centre))][:3].tolist()


def test_repetitions_are_passed_over_unless_there_is_nothing_else():
    vectors = np.vstack([np.tile([[1.0, 0.0, 0.0]], (6, 1)), [[0.6, 0.8, 0.0], [0.6, 0.0, 0.8]]]).astype(np.float32)
    strength = np.ones(8, np.float32)
    (chosen,) = chosen_of(np.zeros(8, int), strength, 1, [vectors], 3)
    assert chosen == [0, 6, 7]
    (chosen,) = chosen_of(np.zeros(6, int), strength[:6], 1, [vectors[:6]], 3)
    assert chosen == [0, 1, 2]
    (chosen,) = chosen_of(np.zeros(1, int), strength[:1], 1, [vectors[:1]], 3)
    assert chosen == [0]


@pytest.mark.parametrize("rows", [9, 100])
@pytest.mark.parametrize("repeated", [40, 97, 98, 100])
def test_many_repetitions_are_passed_over_where_there_are_others(repeated, rows):
    vectors = np.tile(np.eye(61, dtype=np.float32)[0], (100, 1))
    others = np.arange(100 - repeated)
    vectors[repeated + others] = unit(np.eye(61)[0] + np.eye(61)[1 + others])
    strength = np.linspace(1, 0.9, 100, dtype=np.float32)
    (chosen,) = chosen_of(np.zeros(100, int), strength, 1, in_blocks(vectors, rows), 3)
    different = [0, repeated, repeated + 1][: 1 + len(others)]
    assert chosen == [*different, *[1, 2][: 3 - len(different)]]


def test_a_task_reads_more_vectors_where_the_first_repeat_each_other(tmp_path):
    vectors = np.tile(np.eye(3, dtype=np.float32)[0], (100, 1))
    vectors[[60, 99]] = unit(np.array([[1, 1, 0], [1, 0, 1]]))
    block = write_block(f"{tmp_path}/v.npy", f"{tmp_path}/i.npy", 0, np.arange(100), vectors)
    rows = [[0] * 100, range(100), np.linspace(1, 0, 100), [f"d{i}" for i in range(100)], [0] * 100, [None] * 100]
    columns = [pa.array(column, field.type) for column, field in zip(rows, SCORES_SCHEMA, strict=True)]
    scores = write_table(f"{tmp_path}/scores.parquet", pa.table(columns, schema=SCORES_SCHEMA))
    task = NameTask(0, 0, 0, 1, scores, (), (), (), (block,), str(tmp_path))
    (chosen,) = _chosen([scores], task, 3)
    assert chosen["doc_id"].to_pylist() == ["d0", "d60", "d99"]


def test_noise_is_never_chosen_and_nothing_gives_nothing():
    vectors, _ = blobs([10])
    labels = np.array([-1] * 9 + [0])
    assert chosen_of(labels, np.ones(10), 1, [vectors], 3) == [[9]]
    assert chosen_of(np.full(10, -1), np.ones(10), 0, [vectors], 3) == []
    assert chosen_of(np.empty(0, int), np.empty(0), 0, [], 3) == []
    assert chosen_of(labels, np.ones(10), 1, [vectors], 0) == [[]]


@pytest.mark.parametrize("rows", [9, 100])
def test_representatives_are_of_different_documents(rows):
    vectors, labels = blobs([60, 40], spread=1.5)
    strength = np.random.default_rng(0).random(100).astype(np.float32)
    documents = np.arange(100) // 30  # a long document has more passages in a topic than there are candidates
    alone = representatives(labels, strength, 2, [vectors], 5, np.arange(100))
    for topic, positions in enumerate(representatives(labels, strength, 2, in_blocks(vectors, rows), 5, documents)):
        members = np.flatnonzero(labels == topic)
        assert sorted(documents[positions]) == sorted(set(documents[members].tolist()))
        assert positions[0] == alone[topic][0]
        centre = unit(vectors[members].mean(axis=0, keepdims=True))[0]
        for position in positions:
            same = members[documents[members] == documents[position]]
            assert position == same[np.argmax(strength[same] * (vectors[same] @ centre))]


def test_only_blocks_that_have_some_are_opened(tmp_path):
    vectors, _ = blobs([30])
    blocks = [
        write_block(f"{tmp_path}/v{low}.npy", f"{tmp_path}/i{low}.npy", low, np.arange(low, low + 10), vectors[low : low + 10])
        for low in (0, 10, 20)
    ]
    (tmp_path / "v10.npy").unlink()
    found = gather(np.array([0, 9, 20, 29]), blocks)
    assert sorted(found) == [0, 9, 20, 29]
    for position, vector in found.items():
        np.testing.assert_array_equal(vector, vectors[position])


def test_border_members_are_those_of_the_smallest_margin():
    rng = np.random.default_rng(3)
    vectors, truth = blobs([30, 20, 10], spread=2.0)
    labels = np.where(rng.random(60) < 0.2, -1, truth)
    centres = centroids(vector_sums(labels, 3, vectors))
    cosines = vectors.astype(np.float64) @ centres.T.astype(np.float64)
    rows, score, other = boundary_scores(labels, centres, vectors)
    np.testing.assert_array_equal(rows, np.flatnonzero(labels >= 0))
    for row, value, topic in zip(rows, score, other, strict=True):
        others = [t for t in range(3) if t != labels[row]]
        assert topic == max(others, key=lambda t: cosines[row, t])
        assert value == pytest.approx(cosines[row, topic] - cosines[row, labels[row]], abs=1e-6)
    assert len(boundary_scores(np.zeros(60, int), centres[:1], vectors)[0]) == 0  # there is no other topic


def test_sums_and_scores_do_not_depend_on_the_blocks():
    vectors, labels = blobs([300, 200, 100], spread=2.0)
    # Of so many sizes that sums of them round, in an order that shows.
    vectors = unit(vectors * 10 ** np.random.default_rng(0).uniform(-12, 0, vectors.shape)).astype(np.float32)
    strength = np.ones(600, np.float32)
    whole = vector_sums(labels, 3, vectors)
    centres = centroids(whole)
    for rows in (7, 599):
        spans = [slice(low, low + rows) for low in range(0, 600, rows)]
        np.testing.assert_array_equal(sum(vector_sums(labels[own], 3, vectors[own]) for own in reversed(spans)), whole)
        near = np.concatenate([member_scores(labels[own], strength[own], centres, vectors[own])[1] for own in spans])
        np.testing.assert_array_equal(near, member_scores(labels, strength, centres, vectors)[1])
        far = np.concatenate([boundary_scores(labels[own], centres, vectors[own])[1] for own in spans])
        np.testing.assert_array_equal(far, boundary_scores(labels, centres, vectors)[1])


def test_members_that_cancel_out_are_at_no_border():
    vectors = np.array([[1, 0], [-1, 0], [0, 1], [0.6, 0.8]], np.float32)
    labels = np.array([0, 0, 1, 1])
    centres = centroids(vector_sums(labels, 2, vectors))
    assert (centres[0] == 0).all()
    rows, score, other = boundary_scores(labels, centres, vectors)
    assert (rows.tolist(), other.tolist()) == ([0, 1, 2, 3], [1, 1, 0, 0])
    assert np.isfinite(score).all()
