import dataclasses
import json

import numpy as np
import pytest
from pydantic import TypeAdapter

from tests.neighbors.helpers import brute_force, make_blocks, make_ids, random_vectors, unit
from transforms.files import file_ref, open_parquet, read_table
from transforms.neighbors import NeighborsOptions, NeighborsRecord, NeighborsTask, build_part, plan_tiles, read_neighbors
from transforms.vectors import write_block


def build(folder, vectors, ids, rows, options):
    blocks = make_blocks(folder, vectors, ids, rows)
    return [
        build_part(NeighborsTask(part, tile, blocks, f"{folder}/out"), options)
        for part, tile in enumerate(plan_tiles(blocks, options))
    ]


def joined(records):
    return [np.concatenate(arrays) for arrays in zip(*(read_neighbors(record.file.path) for record in records), strict=True)]


@pytest.fixture(scope="module")
def vectors():
    generator = np.random.default_rng(3)
    return np.vstack([random_vectors(300, 24), unit(np.ones(24) + 1e-6 * generator.normal(size=(80, 24)))])


@pytest.mark.parametrize("rows", [380, 100, 7])
@pytest.mark.parametrize("sizes", [(50, 60), (10_000, 10_000), (1, 150)])
def test_the_graph_is_brute_force_whatever_the_blocks_tiles_and_chunks(tmp_path, vectors, rows, sizes):
    ids = make_ids(len(vectors))
    records = build(
        tmp_path, vectors, ids, rows, NeighborsOptions(k=9, rows_per_tile=sizes[0], rows_per_chunk=sizes[1], margin=3)
    )
    found_ids, neighbor_ids, cosines = joined(records)
    expected_ids, expected_cosines = brute_force(vectors, ids, 9)
    assert np.array_equal(found_ids, ids)
    assert np.array_equal(neighbor_ids, expected_ids)
    assert np.array_equal(cosines, expected_cosines)
    assert sum(record.rows for record in records) == len(ids)
    assert sum(record.searched_exactly for record in records) >= 80


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_tiny_corpora(folder, rows):
    vectors, ids = random_vectors(rows), make_ids(rows)
    (record,) = build(folder, vectors, ids, 2048, NeighborsOptions())
    found_ids, neighbor_ids, cosines = read_neighbors(record.file.path)
    assert np.array_equal(found_ids, ids)
    assert neighbor_ids.shape == cosines.shape == (rows, rows - 1)
    assert record.k == rows - 1
    if rows > 1:
        assert np.array_equal(neighbor_ids, brute_force(vectors, ids, rows)[0])


def test_the_file_is_described_and_a_function_of_the_task(tmp_path, vectors):
    ids = make_ids(len(vectors))
    first = build(tmp_path, vectors, ids, 100, NeighborsOptions(k=5, rows_per_tile=100))
    with open_parquet(first[0].file.path) as parquet:
        schema = parquet.schema_arrow
    assert schema.names == ["id", "neighbor_ids", "cosines"]
    assert all(field.metadata[b"description"] for field in schema)
    assert str(schema.field("neighbor_ids").type) == "list<element: int64>"
    assert str(schema.field("cosines").type) == "list<element: float>"
    again = build(tmp_path, vectors, ids, 100, NeighborsOptions(k=5, rows_per_tile=100, margin=2, rows_per_chunk=150))
    assert [record.file for record in again] == [record.file for record in first]
    assert file_ref(first[0].file.path, first[0].rows) == first[0].file
    some = read_table(first[1].file.path, key="id", low=int(ids[150]), high=int(ids[160]))
    assert some["id"].to_pylist() == ids[150:160].tolist()


def test_records_survive_json(tmp_path, vectors):
    for record in build(tmp_path, vectors, make_ids(len(vectors)), 100, NeighborsOptions()):
        text = json.dumps(dataclasses.asdict(record))
        assert TypeAdapter(NeighborsRecord).validate_python(json.loads(text)) == record


def test_vectors_that_are_not_unit_stop_the_part(tmp_path):
    with pytest.raises(ValueError, match="norm"):
        build(tmp_path, random_vectors(10) * 1.1, make_ids(10), 5, NeighborsOptions())


def test_real_vectors_with_real_near_duplicates(tmp_path, shared_data):
    stored = np.load(shared_data / "debian_packages.minilm.f16.npy", mmap_mode="r")
    vectors = unit(stored[20_000:22_000].astype(np.float32))
    ids = make_ids(len(vectors))
    _, neighbor_ids, cosines = joined(build(tmp_path, vectors, ids, 700, NeighborsOptions(k=32, margin=4)))
    whole = np.rint(vectors.astype(np.float64) * 2**26)
    exact = np.clip(((whole @ whole.T) / 2**52).astype(np.float32), -1, 1)
    np.fill_diagonal(exact, -np.inf)
    order = np.argsort(-exact, axis=1, kind="stable")[:, :32]
    assert np.array_equal(neighbor_ids, ids[order])
    assert np.array_equal(cosines, np.take_along_axis(exact, order, 1))


def test_an_empty_block_has_an_empty_graph(tmp_path):
    blocks = (write_block(f"{tmp_path}/v.npy", f"{tmp_path}/i.npy", 0, np.empty(0, np.int64), np.empty((0, 6))),)
    options = NeighborsOptions()
    (tile,) = plan_tiles(blocks, options)
    record = build_part(NeighborsTask(0, tile, blocks, f"{tmp_path}/out"), options)
    assert (record.rows, record.k) == (0, 0)
    assert [len(array) for array in read_neighbors(record.file.path)] == [0, 0, 0]
