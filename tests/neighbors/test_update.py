import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.neighbors.helpers import brute_force, clumpy_vectors, make_blocks, make_ids, random_vectors, unit
from transforms.neighbors import (
    ChangesTask,
    NeighborsOptions,
    NeighborsTask,
    ParentGraph,
    build_part,
    build_parts,
    find_changes,
    plan_tiles,
    read_neighbors,
)
from transforms.vectors import write_shard


def build(folder, vectors, ids, rows, options, parent=None, together=True):
    blocks = make_blocks(folder, vectors, ids, rows)
    tiles = plan_tiles(blocks, options)
    tasks = [NeighborsTask(part, tile, blocks, f"{folder}/out", None, parent) for part, tile in enumerate(tiles)]
    return build_parts(tasks, options) if together else [build_part(task, options) for task in tasks]


def graph_of(folder, records, ids, then=(), now=(), vectors=None, rows=None):
    """The graph of these records as the parent of a corpus with these ids; `vectors` of now matter where shards differ."""
    parts = tuple(record.file for record in records)
    vectors = np.zeros((len(ids), 1), np.float32) if vectors is None else vectors
    blocks = make_blocks(f"{folder}/ids", vectors, ids, rows or len(ids))
    shards = (tuple(sorted({shard.path for shard in shards})) for shards in (then, now))
    return ParentGraph(parts, find_changes(ChangesTask(parts, *shards, blocks, f"{folder}/changes")))


def bytes_of(records):
    return [(record.file.name, record.file.sha256, record.rows, record.k) for record in records]


def shard(folder, ids, vectors):
    """A shard of the vector store with texts of these ids: an id is the first 63 bits of the content key."""
    return write_shard(folder, [(int(i) << 1).to_bytes(8, "big") + bytes(24) for i in ids], vectors, np.zeros(len(ids), bool))


class Case:
    """A corpus before and after: few, or many, texts leave, come, or get another vector."""

    def __init__(self, draw) -> None:
        self.vectors = draw(clumpy_vectors(80))
        rows = len(self.vectors)
        self.ids = make_ids(rows, draw(st.integers(0, 9)))
        generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        leaving, coming, changing = (draw(st.sampled_from([0.0, 0.03, 0.1, 0.4])) for _ in range(3))
        fate = generator.random(rows)
        self.before, self.after = np.flatnonzero(fate >= coming), np.flatnonzero(fate < 1 - leaving)
        self.changed = np.flatnonzero((generator.random(rows) < changing) & (fate < 1 - leaving))
        self.now = self.vectors.copy()
        # Where the new vector is near the old one, as after a small edit, and where it is anywhere.
        noise = draw(st.sampled_from([1e-7, 0.01, 1.0])) * generator.normal(size=self.vectors.shape)
        self.now[self.changed] = unit(self.vectors + noise)[self.changed]

    def shards(self, folder, compacted):
        """What the parent's vectors were stored in, and what those of now are: new shards for what changed, or one for all."""
        same = np.setdiff1d(np.arange(len(self.ids)), self.changed)
        old = [shard(folder, self.ids[rows], self.vectors[rows]) for rows in (same, self.changed) if len(rows)]
        rows = [np.arange(len(self.ids))] if compacted else [rows for rows in (same, self.changed) if len(rows)]
        return old, [shard(folder, self.ids[some], self.now[some]) for some in rows]


@settings(max_examples=40)
@given(st.data())
def test_an_update_writes_the_bytes_of_a_graph_from_nothing(data):
    case = Case(data.draw)
    if not len(case.before) or not len(case.after):
        return
    sizes = st.sampled_from([9, 20, 100])
    k = data.draw(st.integers(1, 12))
    old_k = data.draw(st.sampled_from([k, k, k, max(1, k - 2), k + 3, 100]))
    before = NeighborsOptions(k=old_k, rows_per_tile=data.draw(sizes))
    now = NeighborsOptions(k=k, rows_per_tile=data.draw(sizes), rows_per_chunk=data.draw(sizes), margin=data.draw(sizes))
    with tempfile.TemporaryDirectory() as folder:
        rows = data.draw(sizes)
        parent = build(f"{folder}/a", case.vectors[case.before], case.ids[case.before], data.draw(sizes), before)
        vectors, ids = case.now[case.after], case.ids[case.after]
        shards = case.shards(f"{folder}/s", data.draw(st.booleans()))
        graph = graph_of(folder, parent, ids, *shards, vectors, data.draw(sizes))
        updated = build(f"{folder}/b", vectors, ids, rows, now, graph, data.draw(st.booleans()))
        assert bytes_of(updated) == bytes_of(build(f"{folder}/c", vectors, ids, rows, now))
        for record in updated:
            assert record.searched + record.taken_over + record.updated == record.rows
        found = [read_neighbors(record.file.path) for record in updated]
        expected = brute_force(vectors, ids, k)
        assert np.array_equal(np.concatenate([part[1].ravel() for part in found]), expected[0].ravel())


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """400 texts and the records of their graph."""
    folder = tmp_path_factory.mktemp("before")
    vectors, ids = random_vectors(400), make_ids(400)
    return vectors, ids, build(folder, vectors, ids, 100, NeighborsOptions(k=8))


def counts(records):
    return tuple(sum(getattr(record, name) for record in records) for name in ("searched", "updated", "taken_over"))


def test_nothing_is_searched_when_nothing_changed(tmp_path, before):
    vectors, ids, parts = before
    assert counts(build(tmp_path, vectors, ids, 150, NeighborsOptions(k=8), graph_of(tmp_path, parts, ids))) == (0, 0, 400)


def test_a_smaller_k_searches_nothing_and_a_larger_one_everything(tmp_path, before):
    vectors, ids, parts = before
    assert counts(build(tmp_path / "a", vectors, ids, 150, NeighborsOptions(k=5), graph_of(tmp_path, parts, ids))) == (
        0,
        400,
        0,
    )
    assert counts(build(tmp_path / "b", vectors, ids, 150, NeighborsOptions(k=9), graph_of(tmp_path, parts, ids))) == (
        400,
        0,
        0,
    )


def test_only_new_texts_are_searched_when_none_left(tmp_path, before):
    vectors, ids, _ = before
    old = np.arange(400) % 40 != 7
    parent = build(tmp_path / "a", vectors[old], ids[old], 100, NeighborsOptions(k=8))
    graph = graph_of(tmp_path, parent, ids)
    searched, updated, taken_over = counts(build(tmp_path / "b", vectors, ids, 100, NeighborsOptions(k=8), graph))
    _, neighbor_ids, _ = read_neighbors(before[2][0].file.path)
    concerned = np.isin(neighbor_ids, ids[~old]).any(axis=1)[old].sum()
    assert (searched, updated, taken_over) == (10, concerned, 390 - concerned)


def test_lists_that_lost_somebody_are_searched_unless_a_new_text_takes_the_place(tmp_path, before):
    vectors, ids, parts = before
    _, neighbor_ids, _ = read_neighbors(parts[0].file.path)
    stay = np.arange(400) != 123
    losers = np.isin(neighbor_ids, ids[123]).any(axis=1).sum()
    assert losers
    left = build(
        tmp_path / "a", vectors[stay], ids[stay], 100, NeighborsOptions(k=8), graph_of(tmp_path / "a", parts, ids[stay])
    )
    assert counts(left) == (losers, 0, 399 - losers)
    # An edit: text 123 leaves and a new one with the same vector comes, which stands wherever the old one stood. Of two that
    # tie with a list's end only the one of smaller id is certain to be in it.
    edited = ids.copy()
    edited[123] -= 1
    replaced = build(tmp_path / "b", vectors, edited, 100, NeighborsOptions(k=8), graph_of(tmp_path / "b", parts, edited))
    assert counts(replaced) == (1, losers, 399 - losers)


def test_too_many_new_texts_do_not_pay(tmp_path, before):
    vectors, ids, records = before
    parent = build(tmp_path / "a", vectors[::2], ids[::2], 100, NeighborsOptions(k=8))
    assert not graph_of(tmp_path, parent, ids).changes.pays
    assert graph_of(tmp_path, records, ids[:350]).changes.pays


def test_a_text_with_the_largest_possible_id_keeps_its_list(tmp_path):
    vectors, ids = random_vectors(30), make_ids(30)
    ids[-1] = np.iinfo(np.int64).max
    parts = build(tmp_path, vectors, ids, 30, NeighborsOptions(k=4))
    assert counts(build(tmp_path, vectors, ids, 10, NeighborsOptions(k=4), graph_of(tmp_path, parts, ids))) == (0, 0, 30)


@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_where_a_shard_is_lost_every_text_counts_as_changed(tmp_path, before, damage):
    vectors, ids, records = before
    then = shard(f"{tmp_path}/s", ids, vectors)
    now = [shard(f"{tmp_path}/s", ids[:200], vectors[:200]), shard(f"{tmp_path}/s", ids[200:], vectors[200:])]
    assert graph_of(tmp_path, records, ids, [then], now, vectors).changes.texts_added == 0
    data = bytearray(Path(then.path).read_bytes())
    data[300] ^= 1
    Path(then.path).unlink() if damage == "missing" else Path(then.path).write_bytes(data)
    assert graph_of(tmp_path, records, ids, [then], now, vectors).changes.texts_added == 400
