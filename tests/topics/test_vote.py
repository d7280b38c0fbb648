"""Votes for texts of later, against plain sums, and against what the stage says of the corpus's own texts."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topics.helpers import blobs, graph_of
from transforms.files import write_table
from transforms.neighbors import neighbors_schema
from transforms.topics import Labels, assign_noise, lonely_cosine, vote_for_labels, without_labels


def winner(votes):
    """The heaviest vote, of equal ones the smallest, and its weight; -1 where nobody votes."""
    weights = defaultdict(float)
    for vote, weight in votes:
        weights[vote] += max(weight, 0.0)
    weight, vote = min(((-weight, vote) for vote, weight in weights.items() if weight > 0), default=(0.0, None))
    return (-1, 0.0) if vote is None else (vote, -weight)


def by_hand(known, near, cosines, layer):
    rows = [(i, float(c)) for i, c in zip(near, cosines, strict=True) if i >= 0]
    themes = [winner([(known.themes[i, at], c) for i, c in rows])[0] for at in range(known.themes.shape[1])]
    voters = [(i, c) for i, c in rows if layer is None or known.themes[i, layer] == themes[layer]]
    topic, _ = winner([(known.topic_id[i], c) for i, c in voters])
    assigned, weight = winner([(known.topic_id[i], c) for i, c in voters if known.topic_id[i] >= 0])
    if assigned < 0:
        of_noise = [(known.assigned_topic_id[i], c) for i, c in voters if known.assigned_topic_id[i] >= 0]
        assigned, weight = winner(of_noise)
    total = sum(max(c, 0.0) for _, c in rows)
    return themes, topic, assigned, weight / total if assigned >= 0 else 0


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 12), m=st.integers(0, 5), k=st.integers(0, 6), layers=st.integers(0, 3))
def test_votes_are_plain_sums(seed, n, m, k, layers):
    dice = np.random.default_rng(seed)
    topic_id = dice.integers(-1, 3, n).astype(np.int32)
    assigned = np.where(topic_id >= 0, topic_id, dice.integers(-1, 3, n)).astype(np.int32)
    known = Labels(dice.integers(0, 3, (n, layers)).astype(np.int32), topic_id, assigned, np.ones(n, np.float32))
    neighbors = dice.integers(-1, n, (m, k)) if n else np.full((m, k), -1)
    # Few different values, so that there are ties; sums of eighths are exact.
    cosines = (dice.integers(-2, 9, (m, k)) / 8).astype(np.float32)
    for layer in (None, *range(layers)):
        found = vote_for_labels(known, neighbors, cosines, layer)
        for row in range(m):
            themes, topic, near, score = by_hand(known, neighbors[row], cosines[row], layer)
            assert found.themes[row].tolist() == themes
            assert (found.topic_id[row], found.assigned_topic_id[row]) == (topic, near)
            assert found.score[row] == pytest.approx(score, rel=1e-6)
            # A text that is in a topic is assigned to it.
            assert topic in (-1, near)


def test_left_out_noise_gets_the_topic_and_score_that_the_stage_gives_noise():
    vectors, truth = blobs([60, 60, 60], spread=0.8)
    neighbors, cosines = graph_of(vectors, 12)
    noise = np.arange(180) % 9 == 0
    topic_id = np.where(noise, -1, truth).astype(np.int32)
    assigned, score = assign_noise(topic_id, neighbors, cosines)
    known = Labels(np.zeros((180, 1), np.int32), topic_id, assigned, score)
    found = vote_for_labels(known, neighbors[noise], cosines[noise], 0)
    np.testing.assert_array_equal(found.assigned_topic_id, assigned[noise])
    np.testing.assert_array_equal(found.score, score[noise])


def test_who_is_outside_has_nothing():
    one = np.ones(2, np.int32)
    found = without_labels(Labels(np.ones((2, 3), np.int32), one, one, np.ones(2, np.float32)), np.array([True, False]))
    assert found.themes.tolist() == [[-1] * 3, [1] * 3]
    assert [values.tolist() for values in (found.topic_id, found.assigned_topic_id, found.score)] == [[-1, 1], [-1, 1], [0, 1]]


def test_the_lonely_cosine_is_a_quantile_of_all_parts(tmp_path):
    cosines = np.random.default_rng(0).permutation(1000) / 1000
    for part, low in enumerate((0, 300)):
        own = cosines[low:300] if part == 0 else cosines[low:]
        lists = [[1, 2]] * len(own), [[value, 0.0] for value in own]
        arrays = [np.arange(len(own)), *lists]
        columns = [pa.array(values, field.type) for values, field in zip(arrays, neighbors_schema(), strict=True)]
        write_table(f"{tmp_path}/{part}.parquet", pa.table(columns, schema=neighbors_schema()))
    paths = [f"{tmp_path}/{part}.parquet" for part in range(2)]
    assert lonely_cosine(paths) == pytest.approx(0.009)
    assert lonely_cosine(paths, 0.5) == pytest.approx(0.499)
    alone = pa.table([[1], pa.array([[]], pa.list_(pa.int64())), pa.array([[]], pa.list_(pa.float32()))], neighbors_schema())
    write_table(f"{tmp_path}/alone.parquet", alone)
    assert lonely_cosine([f"{tmp_path}/alone.parquet"]) == lonely_cosine([]) == -1
