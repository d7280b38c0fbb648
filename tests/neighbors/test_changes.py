"""Which texts count as changed, told from what was written: no graph is brought up to date here."""

from pathlib import Path

import numpy as np
import pytest

import transforms.neighbors.changes as changes
from tests.neighbors.helpers import make_blocks, make_ids, random_vectors
from transforms.neighbors import ChangesTask, NeighborsOptions, NeighborsTask, build_part, find_changes, plan_tiles
from transforms.neighbors.changes import load_ids
from transforms.vectors import write_shard

ROWS = 60


def shard(folder, ids, vectors):
    keys = [(int(i) << 1).to_bytes(8, "big") + bytes(24) for i in ids]
    return write_shard(str(folder), keys, vectors, np.zeros(len(ids), bool), unit=False).path


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The parts of a graph of `ROWS` texts: of them only the ids matter here."""
    folder = tmp_path_factory.mktemp("parts")
    blocks = make_blocks(folder, random_vectors(ROWS), make_ids(ROWS), ROWS)
    options = NeighborsOptions(k=2)
    tasks = [NeighborsTask(i, tile, blocks, f"{folder}/out", None, None) for i, tile in enumerate(plan_tiles(blocks, options))]
    return tuple(build_part(task, options).file for task in tasks)


def changed(folder, parts, then, now, vectors, rows=ROWS):
    """The ids of the texts that count as changed, ascending."""
    blocks = make_blocks(f"{folder}/blocks", vectors, make_ids(ROWS), rows)
    record = find_changes(ChangesTask(parts, tuple(sorted(then)), tuple(sorted(now)), blocks, f"{folder}/changes"))
    assert load_ids(record.gone).tolist() == load_ids(record.added).tolist()
    return load_ids(record.added).tolist()


@pytest.mark.parametrize("folders", ["ab", "ba"])
def test_of_two_shards_with_a_text_the_one_with_most_rows_had_its_vector(tmp_path, parts, folders):
    ids, vectors = make_ids(ROWS), random_vectors(ROWS)
    other = vectors.copy()
    other[7] = random_vectors(1, seed=5)[0]
    small, large = tmp_path / "then" / folders[0], tmp_path / "then" / folders[1]
    then = [shard(small, ids[[7]], other[[7]]), shard(large, ids, vectors)]
    assert changed(tmp_path / "1", parts, then, [shard(tmp_path / "now", ids, other)], other, 25) == [ids[7]]
    # The same texts in another shard, as when a part's shards are written as one.
    split = [shard(tmp_path / "now", ids[:30], vectors[:30]), shard(tmp_path / "now", ids[30:], vectors[30:])]
    assert changed(tmp_path / "2", parts, then, split, vectors, 25) == []


@pytest.mark.parametrize("rows", [1, 7, ROWS])
def test_the_least_change_of_any_vector_is_found_in_every_block(tmp_path, parts, rows):
    ids, vectors = make_ids(ROWS), 3 * random_vectors(ROWS)
    vectors[20, 3] = 0.0
    then = [shard(tmp_path / "then", ids[i::17], vectors[i::17]) for i in range(17)]
    now = vectors.copy()
    now[[0, 33, ROWS - 1], 2] = np.nextafter(now[[0, 33, ROWS - 1], 2], np.float32(9))
    now[20, 3] = -0.0
    merged = [shard(tmp_path / "now", ids, now)]
    assert changed(tmp_path, parts, then, merged, now, rows) == ids[[0, 20, 33, ROWS - 1]].tolist()


def test_shards_that_are_written_as_one_are_compared_block_by_block(tmp_path, parts, monkeypatch):
    ids, vectors = make_ids(ROWS), random_vectors(ROWS)
    then = [shard(tmp_path / "then", ids[i::17], vectors[i::17]) for i in range(17)]
    asked = []

    def find(shards, keys):
        asked.append(len(keys))
        return find_vectors(shards, keys)

    find_vectors = changes.find_vectors
    monkeypatch.setattr(changes, "find_vectors", find)
    assert changed(tmp_path, parts, then, [shard(tmp_path / "now", ids, vectors)], vectors, 25) == []
    assert asked == [25, 25, 10]


def test_only_texts_whose_shards_differ_are_looked_up(tmp_path, parts):
    ids, vectors = make_ids(ROWS), random_vectors(ROWS)
    kept, left = shard(tmp_path / "s", ids[:40], vectors[:40]), shard(tmp_path / "s", ids[40:], vectors[40:])
    # Nobody opens a shard of a text that cannot have changed.
    Path(kept).write_bytes(Path(kept).read_bytes()[:-1] + b"!")
    now = [kept, shard(tmp_path / "now", ids[39:], vectors[39:])]
    assert changed(tmp_path / "a", parts, [kept, left], [kept, left], vectors, 20) == []
    # Text 39 is in a new shard too: whether it had this vector only the damaged one knows.
    assert changed(tmp_path / "b", parts, [kept, left], now, vectors, 20) == ids.tolist()


@pytest.mark.parametrize("damage", ["missing", "cut", "renamed"])
def test_where_a_shard_of_then_is_lost_every_text_counts_as_changed(tmp_path, parts, damage):
    ids, vectors = make_ids(ROWS), random_vectors(ROWS)
    whole, extra = shard(tmp_path / "then", ids, vectors), shard(tmp_path / "then", ids[:3], vectors[:3])
    now = [shard(tmp_path / "now", ids[:30], vectors[:30]), shard(tmp_path / "now", ids[30:], vectors[30:])]
    assert changed(tmp_path / "a", parts, [whole, extra], now, vectors) == []
    # Another shard answers for all its texts, but which of them had its own vector nobody knows any more.
    if damage == "missing":
        Path(extra).unlink()
    elif damage == "cut":
        Path(extra).write_bytes(Path(extra).read_bytes()[:-200])
    else:
        Path(extra).write_bytes(Path(shard(tmp_path / "x", ids[:1], vectors[:1])).read_bytes())
    assert changed(tmp_path / "b", parts, [whole, extra], now, vectors) == ids.tolist()
