"""Quality of rankings: nDCG@10, MRR@10 and recall@100, as TREC's own program computes them."""

from collections.abc import Mapping, Sequence

import numpy as np

# Measures by the names that people know, with those of trec_eval, and how many results count. trec_eval has no depth for the
# reciprocal rank: it sees no more than these results.
MEASURES = {"nDCG@10": ("ndcg_cut_10", 10), "MRR@10": ("recip_rank", 10), "recall@100": ("recall_100", 100)}
DEPTH = max(depth for _, depth in MEASURES.values())

Rankings = Mapping[str, Sequence[str]]


def retrieval_measures(relevance: Mapping[str, Mapping[str, int]], rankings: Rankings) -> dict[str, np.ndarray]:
    """Each measure of each query, float64 (queries,) in the order of `relevance`.

    `relevance` has the grades of judged documents of each query, `rankings` the documents found, best first, without ties:
    their order counts, whatever the scores were. What is not judged is not relevant. nDCG takes the grade itself as the gain,
    like BEIR; a document with a grade below 1 is not relevant to the others. A query without a ranking has 0. By trec_eval
    (NIST), through pytrec_eval (Van Gysel and de Rijke, SIGIR 2018).
    """
    import pytrec_eval

    found = {name: np.zeros(len(relevance)) for name in MEASURES}
    judged = {query: dict(grades) for query, grades in relevance.items()}
    for name, (measure, depth) in MEASURES.items():
        # trec_eval sorts by score, and equal ones by id, the largest first: scores that fall by 1 keep our order.
        run = {
            query: {doc_id: float(-place) for place, doc_id in enumerate(rankings.get(query, ())[:depth])}
            for query in relevance
        }
        run = {query: scores for query, scores in run.items() if scores}
        values = pytrec_eval.RelevanceEvaluator(judged, {measure}).evaluate(run)
        for i, query in enumerate(relevance):
            if query in values:
                found[name][i] = values[query][measure]
    return found
