import numpy as np
import pytest

from tests.neighbors.helpers import integer_cosines
from transforms.duplicates import DuplicatesOptions
from transforms.duplicates.margin import margins, neighborhoods, neighborhoods_of
from transforms.files import list_files


def test_a_neighbourhood_is_the_mean_of_what_is_no_pair():
    cosines = np.array([[0.9, 0.75, 0.5, 0.25], [0.7, 0.6, 0.5, 0.4], [0.9, 0.9, 0.8, 0.75]], np.float32)
    assert neighborhoods(cosines, 0.75).tolist() == [0.375, pytest.approx(0.55), 0.75]
    assert neighborhoods(np.empty((2, 0), np.float32), 0.75).tolist() == [0.75, 0.75]


def test_margins_are_ratios_and_nothing_where_there_is_no_positive_mean():
    cosines, a, b = np.array([0.9, 0.9, 0.1], np.float32), np.array([0.5, -0.2, 0.0]), np.array([0.4, 0.2, 0.0])
    found = margins(cosines, a, b)
    assert found.dtype == np.float32
    assert found[0] == np.float32(np.float64(np.float32(0.9)) / 0.45)
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize("k", [2, 8])
def test_published_margins_are_those_of_brute_force(corpus, k):
    rows, _, _ = corpus.duplicates(DuplicatesOptions(threshold=0.75), k=k, rows_per_tile=20)
    cosines = integer_cosines(corpus.vectors).astype(np.float64)
    np.fill_diagonal(cosines, -np.inf)
    nearest = -np.sort(-cosines, axis=1)[:, :k]
    around = {
        int(text): row[row < 0.75].mean() if (row < 0.75).any() else 0.75 for text, row in zip(corpus.ids, nearest, strict=True)
    }
    assert len({round(value, 6) for value in around.values()}) > 20
    for row in rows:
        expected = row["cosine"] / ((around[row["id_a"]] + around[row["id_b"]]) / 2)
        assert row["margin"] is None if expected < 0 else row["margin"] == pytest.approx(expected, rel=1e-6)


def test_a_large_group_does_not_suppress_itself(corpus):
    """The clump of 40 near-equal texts: their nearest others are each other, and all of their margins are those of pairs."""
    rows, _, _ = corpus.duplicates(DuplicatesOptions(threshold=0.75), k=8)
    assert all(row["margin"] is None or row["margin"] >= 1 for row in rows)
    equal = [row["margin"] for row in rows if row["cosine"] > 0.9999 and row["relation"] != "exact"]
    assert len(equal) > 700
    assert min(equal) > 1.3


def test_texts_that_the_graph_lacks_are_an_error(corpus):
    corpus.mine_tasks()
    graph = list_files(f"{corpus.folder}/neighbors", ".parquet")
    with pytest.raises(ValueError, match="not in the neighbour graph"):
        neighborhoods_of(np.array([1, *corpus.ids[:3]]), graph, 0.75)
