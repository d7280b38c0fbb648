import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.corpus import content_key, content_keys, doc_hash, ids_of, part_bounds, part_count
from transforms.corpus.keys import MOST_PARTS, fixed_bytes, leading_uint64, sample_hash

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def test_the_key_format_is_pinned():
    # A change of this value is a change of every key in every published index.
    assert content_key("Grüße 👋").hex() == hashlib.sha256(b"exact-1\x00" + "Grüße 👋".encode()).hexdigest()
    assert content_key("") == hashlib.sha256(b"exact-1\x00").digest()
    assert doc_hash("a") == bytes.fromhex("ca978112ca1bbdca")  # sha256("a"), first 8 bytes
    assert sample_hash("a") == bytes.fromhex("fac231b39a23dc4d")  # and the next 8


@given(st.lists(TEXT, max_size=30))
def test_ids_are_63_bits_of_the_key_in_its_order(texts):
    keys = content_keys(texts)
    ids = ids_of(keys)
    assert ids.dtype == np.int64
    assert ids.tolist() == [int.from_bytes(key[:8], "big") >> 1 for key in keys.to_pylist()]
    by_key = sorted(range(len(texts)), key=lambda i: keys[i].as_py())
    assert ids[by_key].tolist() == sorted(ids.tolist())


@given(st.binary(min_size=0, max_size=0) | st.lists(st.binary(min_size=8, max_size=8), max_size=20), st.integers(0, 5))
def test_bytes_of_sliced_arrays(values, offset):
    array = pa.array(list(values), pa.binary(8)).slice(offset)
    assert [bytes(row) for row in fixed_bytes(array)] == array.to_pylist()
    assert leading_uint64(array).tolist() == [int.from_bytes(value, "big") for value in array.to_pylist()]


@given(st.integers(0, 10**9), st.integers(1, 10**5))
def test_part_count_is_the_smallest_power_of_two_that_suffices(rows, per_part):
    parts = part_count(rows, per_part)
    assert parts & (parts - 1) == 0
    assert parts * per_part >= rows or parts == MOST_PARTS
    assert parts == 1 or parts // 2 * per_part < rows
    assert parts <= MOST_PARTS


@given(st.integers(0, 10), st.sampled_from([8, 32]), st.data())
def test_parts_are_disjoint_and_complete(power, width, data):
    parts = 1 << power
    key = data.draw(st.binary(min_size=width, max_size=width))
    holders = []
    for part in range(parts):
        low, high = part_bounds(part, parts, width)
        assert {len(bound) for bound in (low, high) if bound is not None} <= {width}
        if (low is None or low <= key) and (high is None or key < high):
            holders.append(part)
    assert holders == [int.from_bytes(key[:8], "big") >> (64 - power)]


@pytest.mark.parametrize(("part", "parts"), [(0, 3), (2, 2), (-1, 2), (0, 0)])
def test_a_part_that_does_not_exist_is_refused(part, parts):
    with pytest.raises(ValueError, match=f"part {part} of {parts}"):
        part_bounds(part, parts)
