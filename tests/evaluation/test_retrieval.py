import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.evaluation import DEPTH, retrieval_measures

DOCUMENTS = [f"d{i}" for i in range(130)]


def by_definition(relevance: dict[str, int], ranking: list[str]) -> dict[str, float]:
    """Järvelin and Kekäläinen with linear gains; first relevant document; share of the relevant ones."""
    gains = [max(relevance.get(doc_id, 0), 0) for doc_id in ranking[:10]]
    ideal = sorted((grade for grade in relevance.values() if grade > 0), reverse=True)[:10]
    dcg, best = (sum(gain / math.log2(place + 2) for place, gain in enumerate(some)) for some in (gains, ideal))
    relevant = {doc_id for doc_id, grade in relevance.items() if grade > 0}
    first = next((1 / place for place, doc_id in enumerate(ranking[:10], 1) if doc_id in relevant), 0.0)
    return {"nDCG@10": dcg / best, "MRR@10": first, "recall@100": len(relevant & set(ranking[:100])) / len(relevant)}


@given(
    st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(-1, 3), min_size=1, max_size=30).filter(
        lambda grades: max(grades.values()) > 0
    ),
    st.permutations(DOCUMENTS),
    st.integers(0, 130),
)
def test_measures_are_those_of_their_definitions(relevance, order, found):
    ranking = order[:found]
    measured = retrieval_measures({"q": relevance}, {"q": ranking})
    expected = by_definition(relevance, ranking)
    assert {name: values[0] for name, values in measured.items()} == pytest.approx(expected)


def test_the_order_counts_and_queries_keep_theirs():
    relevance = {"b": {"x": 1}, "a": {"y": 1}, "c": {"z": 1}}
    measured = retrieval_measures(relevance, {"a": ["x", "y"], "b": ["x", "y"]})
    assert measured["MRR@10"].tolist() == [1.0, 0.5, 0.0]
    assert measured["recall@100"].tolist() == [1.0, 1.0, 0.0]


def test_no_document_beyond_the_depth_counts():
    ranking = [f"n{i}" for i in range(DEPTH)] + ["x"]
    measured = retrieval_measures({"q": {"x": 1}}, {"q": ranking})
    assert np.array(list(measured.values())).tolist() == [[0.0], [0.0], [0.0]]
