import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.embedding import packed_tokens, plan_packed
from transforms.embedding.options import EmbeddingOptions
from transforms.vectors import cut_batches, text_costs

CHARACTERS = st.lists(st.integers(1, 3000), max_size=200)
SIZE = st.integers(1, 20_000)
MAX_TOKENS = st.integers(8, 600)


@given(characters=CHARACTERS, size=SIZE, max_tokens=MAX_TOKENS)
def test_a_batch_ends_with_the_text_that_makes_it_large_enough(characters, size, max_tokens):
    expected, batch, done = [], [], 0
    for i, length in enumerate(characters):
        batch.append(i)
        done += min(length, 4 * max_tokens)
        if done >= size:
            expected.append(batch)
            batch, done = [], 0
    expected += [batch] if batch else []
    found = cut_batches(text_costs(np.array(characters, np.int64), max_tokens), size)
    assert [list(range(len(characters)))[one] for one in found] == expected


@given(characters=CHARACTERS, size=SIZE, max_tokens=MAX_TOKENS, finished=st.integers(0, 5))
def test_the_rest_is_cut_as_it_was_before_a_run_died(characters, size, max_tokens, finished):
    characters = np.array(characters, np.int64)
    costs = text_costs(characters, max_tokens)
    before = cut_batches(costs, size)
    stored = before[min(finished, len(before)) - 1].stop if finished and before else 0
    after = cut_batches(costs[stored:], size)
    assert [(one.start + stored, one.stop + stored) for one in after] == [
        (one.start, one.stop) for one in before if one.start >= stored
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("typical", [15, 60, 250, 4_000])
def test_filling_is_below_two_percent_of_a_part_also_when_it_is_cut(seed, typical):
    """`typical` tokens in a text: from titles to pages, of which the model reads 256."""
    generator = np.random.default_rng(seed)
    tokens = generator.lognormal(np.log(typical), 0.8, 8192).astype(int) + 3
    characters = np.maximum(1, tokens * generator.normal(4.5, 0.7, len(tokens))).astype(int)
    lengths = np.minimum(tokens, 256)
    default = EmbeddingOptions.model_fields["characters_per_batch"].default
    batches = cut_batches(text_costs(characters, 256), default)
    assert typical == 15 or len(batches) > 1
    parts = [lengths[one] for one in batches]
    computed = sum(packed_tokens(part, plan_packed(part, 1024), 1024) for part in parts)
    assert computed <= 1.02 * lengths.sum()
