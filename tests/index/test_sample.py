import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.index.helpers import make_corpus, random_vectors
from transforms.index import mixed, rows_of, sampled, sampled_rows

IDS = (
    st.lists(st.integers(0, 2**63 - 1), unique=True, min_size=1, max_size=60)
    .map(sorted)
    .map(lambda ids: np.array(ids, np.int64))
)


def test_mixing_is_splitmix64():
    # The first outputs of the reference generator with seed 0, whose state grows by the same constant.
    states = np.array([0], np.int64)
    assert mixed(states)[0] == np.uint64(0xE220A8397B1DCDAF)


@given(IDS, st.integers(0, 80), st.booleans())
def test_a_text_is_chosen_by_its_own_hash(ids, count, last):
    rows = sampled_rows(ids, count, last=last)
    by_hash = np.argsort(mixed(ids))
    expected = by_hash[len(ids) - min(count, len(ids)) :] if last else by_hash[:count]
    assert rows.tolist() == sorted(expected.tolist())


@given(IDS, st.integers(1, 30), st.data())
def test_other_texts_leave_the_order_of_choice(ids, count, data):
    removed = data.draw(st.sampled_from(range(len(ids))))
    chosen = set(ids[sampled_rows(ids, count)].tolist())
    fewer = np.delete(ids, removed)
    again = set(fewer[sampled_rows(fewer, count)].tolist())
    assert chosen - {int(ids[removed])} <= again


def test_training_and_queries_are_different_texts_spread_over_the_corpus():
    ids = np.arange(0, 10_000, dtype=np.int64) << 40
    training, queries = sampled_rows(ids, 4000), sampled_rows(ids, 1000, last=True)
    assert not set(training) & set(queries)
    for rows in (training, queries):
        assert abs(rows.mean() - 5000) < 300


def test_rows_across_blocks(tmp_path):
    corpus = make_corpus(tmp_path, random_vectors(100), rows_per_block=7)
    rows = np.array([0, 6, 7, 50, 98, 99])
    assert np.array_equal(rows_of(corpus.blocks[::-1], rows), corpus.vectors[rows])


def test_no_rows_of_blocks_have_the_blocks_dimension(tmp_path):
    corpus = make_corpus(tmp_path, random_vectors(4, 6))
    assert rows_of(corpus.blocks, np.empty(0, np.int64)).shape == (0, 6)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("count", [0, 1, 10, 99, 100, 200])
def test_the_texts_of_all_blocks_are_chosen_one_block_at_a_time(tmp_path, monkeypatch, count, last):
    corpus = make_corpus(tmp_path, random_vectors(100), rows_per_block=7)
    held = []

    def counted(ids, count, *, last):
        held.append(len(ids))
        return sampled_rows(ids, count, last=last)

    monkeypatch.setattr("transforms.index.sample.sampled_rows", counted)
    rows, ids = sampled(corpus.blocks[::-1], count, last=last)
    expected = sampled_rows(corpus.ids, count, last=last)
    assert rows.tolist() == expected.tolist()
    assert ids.tolist() == corpus.ids[expected].tolist()
    assert max(held) <= 2 * count + 7
