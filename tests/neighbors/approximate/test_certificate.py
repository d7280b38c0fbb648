import numpy as np
import pytest

from tests.neighbors.approximately import exact_matrix
from tests.neighbors.helpers import make_blocks, make_ids, random_vectors
from transforms.files import CorruptFileError, write_table
from transforms.neighbors import NeighborsOptions
from transforms.neighbors.approximate.certificate import CertifyTask, TruthTask, certify, find_truth
from transforms.neighbors.tables import neighbors_table
from transforms.vectors import write_block

ROWS, K = 120, 6


@pytest.fixture
def graph(folder):
    """The ids, the exact lists (ids and cosines) of texts some of which are equal, and the task of their certificate."""
    vectors, ids = random_vectors(ROWS), make_ids(ROWS)
    vectors[40:60] = vectors[40]
    exact = exact_matrix(vectors)
    order = np.argsort(-exact, axis=1, kind="stable")[:, :K]
    sampled = np.sort(np.random.default_rng(0).permutation(ROWS)[:30])
    queries = write_block(f"{folder}/qv.npy", f"{folder}/qi.npy", 0, ids[sampled], vectors[sampled])
    blocks = make_blocks(folder, vectors, ids, 50)
    truth = tuple(
        find_truth(TruthTask(part, queries, some, K, folder), NeighborsOptions())
        for part, some in enumerate((blocks[:2], blocks[2:]))
    )

    def task(neighbors, cosines, cut=70):
        parts = [
            write_table(f"{folder}/{part}.parquet", neighbors_table(ids[rows], neighbors[rows], cosines[rows]))
            for part, rows in enumerate((slice(cut), slice(cut, None)))
        ]
        return CertifyTask(queries, truth, tuple(parts), K)

    return sampled, ids[order], np.take_along_axis(exact, order, 1), task


def test_exact_lists_have_recall_1_and_an_interval_that_does_not_claim_more_than_the_sample(graph):
    _, neighbors, cosines, task = graph
    found = certify(task(neighbors, cosines), NeighborsOptions())
    assert (found.k, found.texts, found.recall, found.high) == (K, 30, 1, 1)
    assert 0.8 < found.low < 0.95


def test_every_missed_place_counts(graph):
    sampled, neighbors, cosines, task = graph
    worse = cosines.copy()
    worse[sampled[0], -2:] -= 0.5
    worse[sampled[5], -1] = np.nextafter(worse[sampled[5], -1], np.float32(-1))
    found = certify(task(neighbors, worse), NeighborsOptions())
    assert found.recall == pytest.approx(1 - 3 / (30 * K), abs=1e-12)
    assert found.low < found.recall < found.high


def test_texts_that_nobody_sampled_do_not_count(graph):
    sampled, neighbors, cosines, task = graph
    worse = np.full_like(cosines, -1)
    worse[sampled] = cosines[sampled]
    assert certify(task(neighbors, worse), NeighborsOptions()).recall == 1


def test_a_graph_without_a_sampled_text_is_refused(graph):
    _, neighbors, cosines, task = graph
    whole = task(neighbors, cosines)
    with pytest.raises(CorruptFileError, match="of 30 sampled texts"):
        certify(CertifyTask(whole.queries, whole.truth, whole.parts[:1], K), NeighborsOptions())
