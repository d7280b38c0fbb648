import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.vectors.shards import AWKWARD, DIM, truncated_of, vector_of, write
from transforms.files import file_ref
from transforms.vectors import ShardIndex, StoredShard, describe_shard, describe_shards, find_vectors, write_shard

KEYS = st.one_of(
    st.sampled_from(AWKWARD), st.binary(min_size=32, max_size=32), st.integers(0, 40).map(lambda i: bytes(31) + bytes([i]))
)
SHARD = st.dictionaries(KEYS, st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=25)


@given(shards=st.lists(SHARD, max_size=4), more=st.lists(KEYS, max_size=20))
@example(shards=[dict.fromkeys(AWKWARD, 1)], more=[])
@example(shards=[{AWKWARD[-1]: 1}, {AWKWARD[0]: 2}], more=AWKWARD)
@example(shards=[{AWKWARD[5]: 1}], more=[AWKWARD[0], AWKWARD[-1]])
@settings(max_examples=120, deadline=None)
def test_look_ups_are_those_of_a_dict(tmp_path_factory, shards, more):
    folder = str(tmp_path_factory.mktemp("store"))
    written = {write(folder, shard): shard for shard in shards}
    wanted = sorted({*more, *(key for shard in shards[:2] for key in list(shard)[::2])})
    oracle: dict[bytes, int] = {}
    answered = []
    for path, shard in sorted(written.items(), key=lambda item: (-len(item[1]), item[0])):
        if new := {key for key in wanted if key in shard and key not in oracle}:
            answered.append(file_ref(path, len(shard)))
            oracle.update({key: shard[key] for key in new})

    stored = find_vectors(describe_shards(written), wanted)
    vectors, found = stored.vectors, stored.found

    assert found.tolist() == [key in oracle for key in wanted]
    assert (stored.shards, stored.damaged) == (answered, [])
    assert (vectors is None) == (not oracle)
    for i, key in enumerate(wanted):
        if found[i]:
            assert vectors[i].tobytes() == vector_of(oracle[key]).tobytes()
            assert stored.truncated[i] == truncated_of(oracle[key])
    if wanted:
        # Without the shards that cannot have a key: the same answer.
        chosen = ShardIndex(describe_shards(written)).between(wanted[0], wanted[-1])
        assert {shard.path for shard in chosen} == {
            path for path, shard in written.items() if min(shard) <= wanted[-1] and max(shard) >= wanted[0]
        }
        again = find_vectors(chosen, wanted)
        assert again.shards == answered
        assert again.found.tolist() == found.tolist()


def test_many_rows_over_several_row_groups(tmp_path):
    rng = np.random.default_rng(0)
    keys = sorted(rng.bytes(32) for _ in range(10_000))
    vectors = rng.random((10_000, 5), dtype=np.float32)
    ref = write_shard(str(tmp_path), keys, vectors, vectors[:, 0] < 0.5)
    assert pq.ParquetFile(ref.path).num_row_groups > 1
    shard = describe_shard(ref.path)
    assert shard == StoredShard(ref.path, keys[0], keys[-1], 10_000)
    wanted = np.sort(rng.choice(10_000, 500, replace=False))
    stored = find_vectors([shard], [keys[i] for i in wanted])
    assert stored.found.all()
    assert stored.shards == [ref]
    np.testing.assert_array_equal(stored.vectors, vectors[wanted])
    np.testing.assert_array_equal(stored.truncated, vectors[wanted, 0] < 0.5)


def test_the_largest_shards_answer_whatever_the_order_given(tmp_path):
    rng = np.random.default_rng(1)
    keys = sorted(rng.bytes(32) for _ in range(30))

    def shard_of(chosen: list[bytes], value: int) -> str:
        vectors = np.full((len(chosen), DIM), value, np.float32)
        return write_shard(str(tmp_path), chosen, vectors, np.zeros(len(chosen), bool)).path

    small = [shard_of(keys[i : i + 3], i) for i in range(0, 30, 3)]
    large, medium = shard_of(keys[:20], 100), shard_of(keys[5:], 101)
    twins = sorted(shard_of(keys, value) for value in (200, 201))
    for seed in range(5):
        some = describe_shards(random.Random(seed).sample([*small, large, medium], 12))
        assert [ref.path for ref in find_vectors(some, keys).shards] == [medium, large]
        every = describe_shards(random.Random(seed).sample([*small, large, medium, *twins], 14))
        assert [ref.path for ref in find_vectors(every, keys).shards] == [twins[0]]


def test_nothing_is_read_when_all_is_found_or_nothing_is_asked(tmp_path):
    shard = describe_shard(write(str(tmp_path), dict.fromkeys(AWKWARD[:4], 1)))
    gone = StoredShard("/no/such/file", bytes(32), b"\xff" * 32, 1)
    assert find_vectors([gone], []).shards == []
    assert [ref.path for ref in find_vectors([gone, shard], [AWKWARD[3]]).shards] == [shard.path]
    with pytest.raises(FileNotFoundError):
        find_vectors([shard, gone], [AWKWARD[3], AWKWARD[4]])


def test_vectors_of_another_dimension_are_refused(tmp_path):
    path = write(str(tmp_path), {AWKWARD[3]: 1})
    other = write_shard(str(tmp_path), [AWKWARD[4]], np.zeros((1, 4), np.float32), np.zeros(1, bool)).path
    with pytest.raises(ValueError, match=r"holds vectors of (3|4) dimensions, other shards beside it (3|4)"):
        find_vectors(describe_shards([path, other]), [AWKWARD[3], AWKWARD[4]])


def _damages(data: bytes) -> dict[str, bytes]:
    """The bytes of a file with one bit flipped at 60 places, footer and magic included, cut short, and other."""
    places = sorted({*range(0, len(data), max(1, len(data) // 50)), *range(len(data) - 10, len(data))})
    flipped = {f"byte {i}": data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :] for i in places}
    return {**flipped, "half": data[: len(data) // 2], "one byte less": data[:-1], "empty": b"", "text": b"no Parquet" * 9}


def test_a_damaged_shard_is_named_and_not_believed(tmp_path):
    rng = np.random.default_rng(0)
    keys = sorted(rng.bytes(32) for _ in range(100))
    vectors = rng.random((100, DIM), dtype=np.float32)
    path = Path(write_shard(str(tmp_path), keys, vectors, np.zeros(100, bool)).path)
    other = write_shard(str(tmp_path), keys[:40], vectors[:40], np.zeros(40, bool))
    for name, data in _damages(path.read_bytes()).items():
        path.write_bytes(data)
        stored = find_vectors(describe_shards([str(path), other.path]), keys)
        assert stored.damaged == [str(path)], name
        assert stored.shards == [other], name
        assert stored.found.tolist() == [True] * 40 + [False] * 60, name
        np.testing.assert_array_equal(stored.vectors[:40], vectors[:40])


def test_a_footer_that_cannot_be_read_may_have_any_key(tmp_path):
    path = tmp_path / "part-0.parquet"
    path.write_bytes(b"no Parquet")
    shard = describe_shard(str(path))
    assert shard == StoredShard(str(path), bytes(32), b"\xff" * 32, 0)
    assert ShardIndex([shard]).between(AWKWARD[3], AWKWARD[3]) == (shard,)
    # And so has a table of something else.
    pq.write_table(pa.table({"text": ["a"]}), path)
    assert describe_shard(str(path)) == shard


def test_a_store_without_shards():
    assert ShardIndex([]).between(AWKWARD[0], AWKWARD[-1]) == ()
    stored = find_vectors([], AWKWARD[:2])
    assert (stored.vectors, stored.found.tolist(), stored.shards) == (None, [False, False], [])
