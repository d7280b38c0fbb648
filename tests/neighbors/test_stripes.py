import itertools
import json
import tempfile
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.neighbors.helpers import brute_force, clumpy_vectors, make_blocks, make_ids, random_vectors, unit
from transforms.neighbors import (
    NeighborsOptions,
    NeighborsRecord,
    NeighborsTask,
    build_graph,
    build_part,
    plan_stripes,
    plan_tiles,
    read_neighbors,
    screening_error,
    snap,
    stripes,
    tiles,
)
from transforms.neighbors import candidates as candidates_module
from transforms.neighbors.screen import BF16, FP32
from transforms.vectors import write_block


def build(folder, blocks, options, workers=1, threads=1):
    return build_graph(plan_stripes(blocks, options, f"{folder}/out", f"{folder}/scratch", workers), options, threads)


def joined(records):
    return [np.concatenate(arrays) for arrays in zip(*(read_neighbors(record.file.path) for record in records), strict=True)]


def files(records):
    return [(record.part, record.file.name, record.file.sha256, record.rows, record.k) for record in records]


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of 16 rows, so that small corpora have many."""
    for module in (tiles, candidates_module):
        monkeypatch.setattr(module, "ROWS", 16)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("precisions", [[FP32], [BF16], [FP32, BF16]], ids=["fp32", "bf16", "workers that differ"])
def test_the_graph_is_brute_force_and_the_same_bytes_for_every_cut(monkeypatch, precisions):
    of_tasks = itertools.cycle(precisions)
    monkeypatch.setattr(stripes, "precision_for", lambda _: next(of_tasks))

    @settings(max_examples=12)
    @given(clumpy_vectors(90), st.data())
    def check(vectors, data):
        size = st.sampled_from([7, 30, 1000])
        ids, k = make_ids(len(vectors)), data.draw(st.integers(1, 40))
        shape = {"k": k, "rows_per_tile": data.draw(size)}
        with tempfile.TemporaryDirectory() as folder:
            blocks = make_blocks(folder, vectors, ids, data.draw(size))
            options = NeighborsOptions(**shape, rows_per_chunk=data.draw(size), margin=data.draw(size))
            found = build(folder, blocks, options, data.draw(st.sampled_from([1, 2, 3, None])), data.draw(st.integers(1, 2)))
            options = NeighborsOptions(**shape)
            again = [
                build_part(NeighborsTask(part, tile, blocks, f"{folder}/again"), options)
                for part, tile in enumerate(plan_tiles(blocks, options))
            ]
            assert files(found) == files(again)
            found_ids, neighbor_ids, cosines = joined(found)
        expected_ids, expected_cosines = brute_force(vectors, ids, k)
        assert np.array_equal(found_ids, ids)
        assert np.array_equal(neighbor_ids, expected_ids)
        assert np.array_equal(cosines, expected_cosines)

    check()


def test_every_pair_is_compared_once(monkeypatch, tmp_path):
    ids, vectors = make_ids(90), random_vectors(90)
    blocks = make_blocks(tmp_path, vectors, ids, 10)
    options = NeighborsOptions(k=3, rows_per_tile=10)
    compared = []
    scores = stripes.Screen.scores

    def seen(self, rows, other, columns, buffer):
        a, b = (names[id(some)][part] for some, part in ((self, rows), (other, columns)))
        compared.append(np.add.outer(1000 * a, b).ravel())
        return scores(self, rows, other, columns, buffer)

    names, kept = {}, []

    def named(stripe, *settings):
        some = make(stripe, *settings)
        kept.append(some)  # no other one can have its id
        names[id(some)] = np.arange(stripe.start, stripe.start + stripe.rows)
        return some

    make = stripes._screen
    monkeypatch.setattr(stripes, "_screen", named)
    monkeypatch.setattr(stripes.Screen, "scores", seen)
    for workers in range(1, 10):
        compared.clear()
        tasks = plan_stripes(blocks, options, f"{tmp_path}/out", f"{tmp_path}/scratch", workers)
        assert len(tasks) == workers
        work = []
        for task in tasks:
            before = len(compared)
            list(stripes.compare_stripe(task, options))
            work.append(sum(map(len, compared[before:])))
        a, b = np.divmod(np.concatenate(compared), 1000)
        pairs = np.stack([np.minimum(a, b), np.maximum(a, b)], 1)[a != b]
        within = {(int(x), int(y)) for x, y in pairs.tolist()}
        assert len(within) == 90 * 89 // 2
        # Within one block the product has both halves.
        counts = np.unique(pairs, axis=0, return_counts=True)[1]
        stripe_of = np.array([task.number for task in tasks for _ in range(task.stripe.rows)])
        first, second = np.array(sorted(within)).T
        assert np.array_equal(counts, np.where(stripe_of[first] == stripe_of[second], 2, 1))
        if 9 % workers == 0:  # stripes of equal length
            assert max(work) <= 1.1 * min(work)


@pytest.mark.parametrize(
    ("total", "workers", "tasks"), [(100, 1, 1), (100, 2, 2), (100, 3, 3), (600, 1, 12), (600, 8, 16), (20, 8, 2)]
)
def test_stripes_fit_the_memory_and_are_as_many_for_every_worker(tmp_path, total, workers, tasks):
    blocks = make_blocks(tmp_path, random_vectors(total, 4), make_ids(total), 10)
    planned = plan_stripes(blocks, NeighborsOptions(rows_per_tile=10, rows_per_chunk=100), "out", "scratch", workers)
    assert len(planned) == tasks
    stripes_ = planned[0].stripes
    assert [block for stripe in stripes_ for block in stripe.blocks] == list(blocks)
    assert all(2 * stripe.rows <= 100 for stripe in stripes_) or len(stripes_) == 1


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("precision", [FP32, BF16])
@pytest.mark.parametrize("workers", [1, 3])
def test_many_near_equal_texts_take_no_more_memory(tmp_path, monkeypatch, precision, workers):
    monkeypatch.setattr(stripes, "precision_for", lambda _: precision)
    generator = np.random.default_rng(0)
    clump = unit(np.ones(24) + 1e-8 * generator.normal(size=(250, 24)))
    vectors = np.vstack([clump, random_vectors(150, 24)])[generator.permutation(400)]
    ids = make_ids(400)
    held = []
    shortlist = candidates_module.Candidates.shortlist

    def measured(self):
        held.append(self._entries.shape[1])
        return shortlist(self)

    monkeypatch.setattr(candidates_module.Candidates, "shortlist", measured)
    records = build(
        tmp_path, make_blocks(tmp_path, vectors, ids, 50), NeighborsOptions(k=5, margin=9, rows_per_tile=50), workers
    )
    _, neighbor_ids, cosines = joined(records)
    expected_ids, expected_cosines = brute_force(vectors, ids, 5)
    assert np.array_equal(neighbor_ids, expected_ids)
    assert np.array_equal(cosines, expected_cosines)
    assert 250 <= sum(record.searched_exactly for record in records) < 300
    assert set(held) == {5 + 9 + candidates_module._ROOM}


@pytest.mark.parametrize("workers", [1, 3])
def test_cosines_that_are_cut_at_one_tie(tmp_path, workers):
    """Vectors a little longer than 1, whose dot products differ by more than the screen's error, all above 1."""
    generator = np.random.default_rng(0)
    vectors = unit(generator.normal(size=16) + 0.005 * generator.normal(size=(90, 16))) * np.float32(1.0005)
    ids, exact = make_ids(90), snap(vectors).astype(np.float64) @ snap(vectors).T.astype(np.float64)
    assert np.ptp(exact) > 10 * screening_error(16)
    blocks = make_blocks(tmp_path, vectors, ids, 30)
    records = build(tmp_path, blocks, NeighborsOptions(k=3, rows_per_tile=30), workers)
    _, neighbor_ids, cosines = joined(records)
    expected_ids, _ = brute_force(vectors, ids, 3)
    assert np.array_equal(neighbor_ids, expected_ids)
    assert (cosines == 1).all()
    # The screen lists all of them: none is taken to be excluded by those whose product is larger.
    assert sum(record.searched_exactly for record in records) == 0


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_tiny_corpora(folder, rows):
    vectors, ids = random_vectors(3, 6)[:rows], make_ids(rows)
    blocks = (write_block(f"{folder}/v.npy", f"{folder}/i.npy", 0, ids, vectors),)
    (record,) = build(folder, blocks, NeighborsOptions())
    found_ids, neighbor_ids, cosines = read_neighbors(record.file.path)
    assert np.array_equal(found_ids, ids)
    assert record.k == max(rows - 1, 0)
    assert neighbor_ids.size == cosines.size == rows * max(rows - 1, 0)
    if rows > 1:
        assert np.array_equal(neighbor_ids, brute_force(vectors, ids, rows)[0])
    assert TypeAdapter(NeighborsRecord).validate_python(json.loads(json.dumps(asdict(record)))) == record


@pytest.mark.parametrize("workers", [1, 3])
def test_blocks_without_texts_change_nothing(tmp_path, workers):
    vectors, ids = random_vectors(30), make_ids(30)
    blocks, options = make_blocks(tmp_path, vectors, ids, 10), NeighborsOptions(k=3, rows_per_tile=10)
    names = [(f"{tmp_path}/empty-v{start}.npy", f"{tmp_path}/empty-i{start}.npy", start) for start in (0, 30)]
    empty = [write_block(*name, ids[:0], vectors[:0]) for name in names]
    expected = build(tmp_path / "full", blocks, options, workers)
    assert files(build(tmp_path / "some", (*blocks, *empty), options, workers)) == files(expected)


def test_vectors_that_are_not_unit_stop_the_job(tmp_path):
    with pytest.raises(ValueError, match="norm"):
        build(tmp_path, make_blocks(tmp_path, random_vectors(10) * 1.1, make_ids(10), 5), NeighborsOptions())


@pytest.mark.parametrize("precision", [FP32, BF16])
def test_real_vectors_are_searched_by_the_screen_alone(tmp_path, shared_data, monkeypatch, precision):
    monkeypatch.setattr(stripes, "precision_for", lambda _: precision)
    stored = np.load(shared_data / "debian_packages.minilm.f16.npy", mmap_mode="r")
    vectors, ids = unit(stored[20_000:23_000].astype(np.float32)), make_ids(3000)
    blocks = make_blocks(tmp_path, vectors, ids, 500)
    records = build(tmp_path, blocks, NeighborsOptions(rows_per_tile=1000), 3, threads=2)
    _, neighbor_ids, cosines = joined(records)
    whole = np.rint(vectors.astype(np.float64) * 2**26)
    exact = np.clip(((whole @ whole.T) / 2**52).astype(np.float32), -1, 1)
    np.fill_diagonal(exact, -np.inf)
    order = np.argsort(-exact, axis=1, kind="stable")[:, :32]
    assert np.array_equal(neighbor_ids, ids[order])
    assert np.array_equal(cosines, np.take_along_axis(exact, order, 1))
    assert sum(record.searched_exactly for record in records) < 30
