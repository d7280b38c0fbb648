import numpy as np
import pytest

from tests.neighbors.helpers import brute_force, make_ids, random_vectors
from transforms.duplicates.lists import listed_cosines, unfinished_texts
from transforms.files import write_table
from transforms.neighbors.tables import neighbors_table


@pytest.fixture(params=[3, 39, 60])
def graph(request, tmp_path):
    ids, vectors = make_ids(40), random_vectors(40)
    neighbor_ids, cosines = brute_force(vectors, ids, request.param)
    paths = []
    for low in range(0, 45, 15):
        part = slice(low, low + 15)
        paths.append(
            write_table(f"{tmp_path}/{low}.parquet", neighbors_table(ids[part], neighbor_ids[part], cosines[part])).path
        )
    empty = neighbors_table(ids[:0], neighbor_ids[:0], cosines[:0])
    return ids, cosines, [*paths, write_table(f"{tmp_path}/empty.parquet", empty).path]


def test_lists_come_back(graph):
    ids, cosines, paths = graph
    found_ids, found = zip(*listed_cosines(paths), strict=True)
    assert np.array_equal(np.concatenate(found_ids), ids)
    assert np.array_equal(np.concatenate(found), cosines)


@pytest.mark.parametrize("threshold", [-1.0, 0.2, 0.4, 1.0])
def test_lists_that_end_at_the_threshold_are_unfinished_unless_they_hold_everybody(graph, threshold):
    ids, cosines, paths = graph
    expected = [] if cosines.shape[1] == 39 else ids[cosines[:, -1] >= threshold].tolist()
    assert unfinished_texts(paths, threshold).tolist() == expected
    at_it = float(cosines[:, -1].max())
    assert (len(unfinished_texts(paths, at_it)) > 0) == (cosines.shape[1] < 39)


def test_a_single_text_has_nobody_to_miss(tmp_path):
    path = write_table(
        f"{tmp_path}/one.parquet", neighbors_table(make_ids(1), np.empty((1, 0), np.int64), np.empty((1, 0), np.float32))
    ).path
    assert unfinished_texts([path], -1.0).tolist() == []
