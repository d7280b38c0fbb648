import faiss
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from tests.topics.helpers import blobs
from transforms.topics import TopicsOptions, kmeans
from transforms.vectors import write_block


def blocks_of(folder, vectors, parts=2):
    found, low = [], 0
    for part, rows in enumerate(np.array_split(vectors, parts)):
        found.append(write_block(f"{folder}/v{part}.npy", f"{folder}/i{part}.npy", low, np.arange(low, low + len(rows)), rows))
        low += len(rows)
    return found


def test_given_number_of_topics_is_found_whatever_the_parts(tmp_path):
    # Float32 products differ in their last bits where there are so many dimensions and texts.
    vectors, truth = blobs([300, 200, 100], dim=384)
    options = TopicsOptions(method="kmeans", k=3)
    (tmp_path / "one").mkdir()
    found = kmeans(blocks_of(tmp_path, vectors, 4), options, np.ones(600, int))
    assert adjusted_rand_score(truth, found.topic_id) == 1.0
    assert np.bincount(found.topic_id).tolist() == [300, 200, 100]
    other = kmeans(blocks_of(tmp_path / "one", vectors, 1), options, np.ones(600, int))
    assert found.topic_id.tobytes() == other.topic_id.tobytes()
    assert found.strength.tobytes() == other.strength.tobytes()


def test_equal_vectors_are_as_strong_wherever_they_are(tmp_path):
    vectors, _ = blobs([200] * 3, dim=384, spread=1.5)
    vectors = np.concatenate([vectors, vectors[:101]])
    found = kmeans(blocks_of(tmp_path, vectors, 2), TopicsOptions(method="kmeans", k=40), np.ones(701, int))
    assert found.topic_id[600:].tobytes() == found.topic_id[:101].tobytes()
    assert found.strength[600:].tobytes() == found.strength[:101].tobytes()


def test_centres_are_the_directions_of_their_texts(tmp_path):
    vectors, _ = blobs([200] * 4, spread=1.5)
    found = kmeans(blocks_of(tmp_path, vectors), TopicsOptions(method="kmeans", k=5), np.ones(800, int))
    centres = np.stack([vectors[found.topic_id == topic].sum(axis=0) for topic in range(5)])
    faiss.normalize_L2(centres)
    # Nearly: the last round of training moved the centres once more.
    assert np.mean((vectors @ centres.T).argmax(axis=1) == found.topic_id) > 0.97
    np.testing.assert_allclose(found.strength, np.einsum("ij,ij->i", vectors, centres[found.topic_id]), atol=0.05)


def test_number_of_topics_is_chosen_by_size(tmp_path):
    vectors, _ = blobs([100, 100])
    assert kmeans(blocks_of(tmp_path, vectors), TopicsOptions(method="kmeans"), np.ones(200, int)).topics == 10
    heavy = np.where(np.arange(200) == 7, 1000, 1)
    assert kmeans(blocks_of(tmp_path, vectors), TopicsOptions(method="kmeans"), heavy).topic_id[7] == 0


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_texts(n, tmp_path):
    vectors = np.eye(3, dtype=np.float32)[:n]
    found = kmeans(blocks_of(tmp_path, vectors, 1) if n else [], TopicsOptions(method="kmeans", k=50), np.ones(n, int))
    assert sorted(found.topic_id.tolist()) == ([-1] if n == 1 else list(range(n)))


def test_equal_texts_share_a_topic(tmp_path):
    vectors = np.repeat(blobs([4])[0], 30, axis=0)
    found = kmeans(blocks_of(tmp_path, vectors), TopicsOptions(method="kmeans", k=8), np.ones(120, int))
    assert all(len(set(found.topic_id[low : low + 30].tolist())) == 1 for low in range(0, 120, 30))
    assert np.isfinite(found.strength).all()
