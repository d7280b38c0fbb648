from itertools import pairwise

import numpy as np
import pytest

from tests.topics.helpers import blobs, graph_of
from transforms.topics import graph_arrays

IDS = np.sort(np.random.default_rng(0).choice(2**62, 40, replace=False)).astype(np.int64)
NEIGHBORS, COSINES = graph_of(blobs([20, 20])[0], 5)


def parts(bounds):
    return [(IDS[a:b], IDS[NEIGHBORS[a:b]], COSINES[a:b]) for a, b in pairwise(bounds)]


@pytest.mark.parametrize("bounds", [(0, 40), (0, 13, 40), (0, 0, 1, 40, 40)])
def test_parts_make_the_whole_graph(bounds):
    neighbors, cosines = graph_arrays(parts(bounds), IDS)
    np.testing.assert_array_equal(neighbors, NEIGHBORS)
    np.testing.assert_array_equal(cosines, COSINES)
    assert (neighbors.dtype, cosines.dtype) == (np.int32, np.float32)


def test_no_text_and_one():
    assert graph_arrays([], IDS[:0])[0].shape == (0, 0)
    assert graph_arrays([(IDS[:1], np.empty((1, 0), np.int64), np.empty((1, 0), np.float32))], IDS[:1])[0].shape == (1, 0)


def test_graphs_of_something_else_are_refused():
    with pytest.raises(ValueError, match="20 rows for 40 distinct texts"):
        graph_arrays(parts((0, 20)), IDS)
    with pytest.raises(ValueError, match="are not the corpus's texts in order"):
        graph_arrays(parts((20, 40)) + parts((0, 20)), IDS)
    strange = IDS[NEIGHBORS].copy()
    strange[3, 2] = 17
    with pytest.raises(ValueError, match="names the id 17"):
        graph_arrays([(IDS, strange, COSINES)], IDS)
    with pytest.raises(ValueError, match=r"equally many neighbours, got \[4, 5\]"):
        graph_arrays([(IDS[:20], IDS[NEIGHBORS[:20, :4]], COSINES[:20, :4]), *parts((20, 40))], IDS)
