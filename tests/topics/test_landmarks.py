import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from tests.topics.helpers import blobs, graph_of
from tests.topics.test_stages import Corpus
from transforms.files import read_table
from transforms.topics import (
    Clusters,
    FindTopicsTask,
    TopicsOptions,
    find_topics,
    follow_landmarks,
    landmark_graph,
    topics_of_theme,
)


def test_graph_of_the_landmarks_is_the_exact_one():
    vectors, _ = blobs([50, 40])
    neighbors, cosines = landmark_graph(vectors, 7)
    expected = graph_of(vectors, 7)
    assert (neighbors == expected[0]).mean() > 0.999  # rounding may swap a near-tie
    np.testing.assert_allclose(cosines, expected[1], atol=1e-6)
    assert landmark_graph(vectors[:3], 7)[0].shape == (3, 2)


def test_others_follow_their_neighbours_and_noise_has_a_vote():
    landmarks = Clusters(np.array([0, 1, -1], np.int32), np.array([0.5, 1, 0], np.float32))
    neighbors = np.array([[1, 2], [0, 2], [0, 1], [0, 1], [2, 0], [3, 4], [6, 7], [6, 6]])
    cosines = np.array([[0.9, 0.1]] * 3 + [[0.4, 0.6], [0.9, 0.5], [0.7, 0.2], [-0.1, 0.3], [0.2, 0.1]], np.float32)
    # And 8, of whose neighbours one is outside: it waits for the other, whatever the last text has.
    neighbors, cosines = np.vstack([neighbors, [[-1, 5], [0, 2]]]), np.vstack([cosines, np.float32([[0.9, 0.1]] * 2)])
    found = follow_landmarks(landmarks, neighbors, cosines)
    # 3: topic 1 by .6 of 1; 4: noise wins; 5 follows 3 in the next round; 6 and 7 know only each other.
    assert found.topic_id.tolist() == [0, 1, -1, 1, -1, 1, -1, -1, 1, 0]
    np.testing.assert_allclose(found.strength, [0.5, 1, 0, 0.6, 0, 7 / 9, 0, 0, 1, 0.9], rtol=1e-6)


def test_a_corpus_above_the_limit_has_the_topics_of_its_landmarks(tmp_path):
    corpus = Corpus(tmp_path, [500, 400, 300], 2)
    options = TopicsOptions(method="hdbscan", n_epochs=30, min_cluster_size=60, landmarks=1000)
    task = FindTopicsTask(corpus.passages, corpus.neighbors, f"{tmp_path}/labels.parquet", corpus.blocks)
    labels = read_table(find_topics(task, options).labels.path)
    topic_id = labels["topic_id"].to_numpy()
    assert adjusted_rand_score(corpus.truth, topic_id) > 0.9
    assert (topic_id[1000:] >= 0).mean() > 0.9


@pytest.mark.parametrize("reduce", ["umap", "none"])
def test_a_theme_above_the_limit_has_the_topics_of_its_landmarks(reduce):
    vectors, truth = blobs([150, 120, 90])
    vectors[[7, 300, 310]] = vectors[7]
    neighbors, cosines = graph_of(vectors)
    # A tenth of the neighbours is in other themes.
    neighbors = np.where(np.random.default_rng(0).random(neighbors.shape) < 0.1, -1, neighbors)
    options = TopicsOptions(n_epochs=30, min_cluster_size=20, reduce=reduce)
    limited = options.model_copy(update={"landmarks": 200})
    found = topics_of_theme(neighbors, cosines, limited, vectors[:200])
    alone = topics_of_theme(*landmark_graph(vectors[:200], 32), options, vectors[:200])
    assert adjusted_rand_score(alone.topic_id, found.topic_id[:200]) == 1.0
    assert adjusted_rand_score(truth, found.topic_id) > 0.9
    assert len(set(found.topic_id[[7, 300, 310]].tolist())) == 1
    assert (np.diff(np.bincount(found.topic_id[found.topic_id >= 0])) <= 0).all()
    with pytest.raises(ValueError, match=r"360 texts are more than topics\.landmarks = 200:"):
        topics_of_theme(neighbors, cosines, limited.model_copy(update={"reduce": "umap"}))
