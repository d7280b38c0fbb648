import functools
import tracemalloc
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.index.helpers import clustered_vectors
from transforms.files import file_ref, filesystem_of, write_bytes
from transforms.index import LayoutError, ShardError, fingerprint_of, index_bytes, index_from_bytes, trained_template
from transforms.index.merge import Source, merge_files, merge_in_memory

VECTORS = clustered_vectors(400, dim=16)
IDS = np.sort(np.random.default_rng(5).choice(2**62, len(VECTORS), replace=False))
# Most lists filled, few lists filled, one list, none.
TYPES = ["IVF8,SQ8", "RR,IVF300,PQ4", "IVF1,Flat", "IDMap2,Flat"]


@functools.cache
def template(factory: str) -> bytes:
    return trained_template(factory, VECTORS)


def index_of(factory: str, rows: np.ndarray) -> bytes:
    """By FAISS alone, rows in the order in which they are given."""
    index = index_from_bytes(template(factory))
    if len(rows):
        index.add_with_ids(VECTORS[rows], IDS[rows])
    return index_bytes(index)


def write_sources(folder: str, factory: str, parts: list[np.ndarray]) -> list[Source]:
    write_bytes(f"{folder}/template", template(factory))
    for number, rows in enumerate(parts):
        write_bytes(f"{folder}/{number}", index_of(factory, rows))
    return [Source(f"{folder}/{number}") for number in range(len(parts))]


def read(path: str) -> bytes:
    fs, inner = filesystem_of(path)
    return fs.cat_file(inner)


def gone_of(rows: np.ndarray) -> np.ndarray:
    return np.sort(IDS[rows])


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("merge")


@pytest.mark.parametrize("factory", TYPES)
@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(
    rows=st.integers(0, len(VECTORS)),
    parts=st.integers(1, 5),
    deleted=st.integers(0, 60),
    piece=st.sampled_from([1, 100, 3000, 1 << 20]),
    seed=st.integers(0, 2**16),
)
def test_any_cut_and_any_deletions_give_the_bytes_of_one_build(scratch, factory, rows, parts, deleted, piece, seed):
    dice = np.random.default_rng(seed)
    chosen, part_of = np.sort(dice.choice(len(VECTORS), rows, replace=False)), dice.integers(0, parts, rows)
    sources = write_sources(str(scratch), factory, [chosen[part_of == part] for part in range(parts)])
    earlier = chosen[part_of == 0]
    lost = dice.choice(earlier, min(deleted, len(earlier)), replace=False)
    sources[0] = Source(sources[0].path, gone_of(lost))
    expected = index_of(factory, np.setdiff1d(chosen, lost))
    merged = merge_files(f"{scratch}/template", sources, f"{scratch}/merged", piece)
    assert read(merged.file.path) == expected
    assert merged.file == file_ref(merged.file.path)
    assert merged.entries == rows - len(lost)
    in_memory = merge_in_memory(f"{scratch}/template", sources, f"{scratch}/merged")
    assert in_memory.file == merged.file
    assert in_memory.sizes.tolist() == merged.sizes.tolist()


@pytest.mark.parametrize("factory", TYPES)
def test_files_may_be_elsewhere(folder, factory):
    parts = [np.arange(0, 400, 2), np.arange(1, 400, 2), np.arange(0)]
    sources = write_sources(folder, factory, parts)
    sources[1] = Source(sources[1].path, gone_of(parts[1][:20]))
    merged = merge_files(f"{folder}/template", sources, f"{folder}/merged", piece=2000)
    assert read(merged.file.path) == index_of(factory, np.setdiff1d(np.arange(400), parts[1][:20]))


def test_files_may_be_on_s3(s3_bucket):
    parts = [np.arange(0, 400, 2), np.arange(1, 400, 2)]
    sources = write_sources(s3_bucket, "IVF8,SQ8", parts)
    sources[0] = Source(sources[0].path, gone_of(parts[0][::5]))
    merged = merge_files(f"{s3_bucket}/template", sources, f"{s3_bucket}/merged", piece=2000)
    assert read(merged.file.path) == index_of("IVF8,SQ8", np.setdiff1d(np.arange(400), parts[0][::5]))


@pytest.mark.parametrize("piece", [100, 1 << 20])
@pytest.mark.parametrize("factory", ["IVF8,SQ8", "IDMap2,Flat"])
def test_a_text_in_two_shards_is_refused(tmp_path, factory, piece):
    sources = write_sources(str(tmp_path), factory, [np.arange(100), np.arange(99, 200)])
    with pytest.raises(ShardError, match=f"text {IDS[99]} comes more than once"):
        merge_files(f"{tmp_path}/template", sources, f"{tmp_path}/merged", piece)
    with pytest.raises(ShardError, match=f"text {IDS[99]} comes more than once"):
        merge_in_memory(f"{tmp_path}/template", sources, f"{tmp_path}/merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("factory", ["IVF8,SQ8", "IDMap2,Flat"])
@pytest.mark.parametrize("merge", [merge_files, merge_in_memory])
def test_deleting_what_is_not_there_is_refused(tmp_path, factory, merge):
    (source,) = write_sources(str(tmp_path), factory, [np.arange(100)])
    with pytest.raises(ShardError, match=r"are not in the published index: .*index\.retrain=always"):
        merge(f"{tmp_path}/template", [Source(source.path, gone_of(np.array([5, 300])))], f"{tmp_path}/merged")


def test_ids_in_another_order_are_sorted_or_refused(tmp_path):
    sources = write_sources(str(tmp_path), "IVF1,Flat", [np.arange(200)[::-1], np.arange(200, 400)])
    merged = merge_files(f"{tmp_path}/template", sources, f"{tmp_path}/merged")
    assert read(merged.file.path) == index_of("IVF1,Flat", np.arange(400))
    with pytest.raises(ShardError, match=r"the ids of list 0 in .* do not ascend"):
        merge_files(f"{tmp_path}/template", sources, f"{tmp_path}/merged", piece=5000)


def test_a_shard_that_was_cut_off_is_refused(tmp_path):
    sources = write_sources(str(tmp_path), "IVF8,SQ8", [np.arange(200), np.arange(200, 400)])
    data = Path(sources[1].path).read_bytes()
    Path(sources[1].path).write_bytes(data[:-100])
    with pytest.raises(LayoutError, match=r"/1 has \d+ bytes, its lists end at"):
        merge_files(f"{tmp_path}/template", sources, f"{tmp_path}/merged")


@pytest.mark.parametrize("factory", ["IVF1,SQ8", "IVF64,SQ8", "IDMap2,Flat"])
def test_memory_does_not_grow_with_the_index(tmp_path, factory):
    """Four shards of 1.5 MB and more, pieces of 256 KB: with one list, and with many. From the first, half is left out."""
    rows, dim = 24_000, 256
    vectors = np.random.default_rng(0).normal(size=(rows, dim)).astype(np.float32)
    index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:3000])
    data = index_bytes(index)
    write_bytes(f"{tmp_path}/template", data)
    for part in range(4):
        shard = index_from_bytes(data)
        shard.add_with_ids(vectors[part::4], np.arange(part, rows, 4))
        write_bytes(f"{tmp_path}/{part}", index_bytes(shard))
    gone = np.arange(0, rows, 8)
    sources = [Source(f"{tmp_path}/0", gone), *(Source(f"{tmp_path}/{part}") for part in range(1, 4))]
    merge_files(f"{tmp_path}/template", sources, f"{tmp_path}/warm", 1 << 18)
    tracemalloc.start()
    merged = merge_files(f"{tmp_path}/template", sources, f"{tmp_path}/merged", 1 << 18)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert merged.file.size > 5_000_000
    assert peak < 2_500_000
    kept = np.setdiff1d(np.arange(rows), gone)
    index.add_with_ids(vectors[kept], kept)
    assert fingerprint_of(index_bytes(index)) == merged.file.sha256


def test_of_many_shards_of_many_lists_only_the_sizes_are_in_memory(tmp_path):
    lists, shards, rows = 8192, 64, 200
    index = faiss.index_factory(4, f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    index.quantizer.add(np.random.default_rng(0).normal(size=(lists, 4)).astype(np.float32))
    index.is_trained = True
    data = index_bytes(index)
    write_bytes(f"{tmp_path}/template", data)
    vectors = np.random.default_rng(1).normal(size=(shards * rows, 4)).astype(np.float32)
    for part in range(shards):
        shard = index_from_bytes(data)
        shard.add_with_ids(vectors[part::shards], np.arange(part, shards * rows, shards))
        write_bytes(f"{tmp_path}/{part}", index_bytes(shard))
    sources = [Source(f"{tmp_path}/{part}") for part in range(shards)]
    merge_files(f"{tmp_path}/template", sources[:2], f"{tmp_path}/warm", 1 << 16)
    tracemalloc.start()
    merged = merge_files(f"{tmp_path}/template", sources, f"{tmp_path}/merged", 1 << 16)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sizes = lists * shards * 4
    assert peak < 1.5 * sizes + 2_000_000
    index.add_with_ids(vectors, np.arange(len(vectors)))
    assert fingerprint_of(index_bytes(index)) == merged.file.sha256
