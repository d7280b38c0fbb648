"""Which topic of now carries on which topic of the parent generation: by shared documents, one to one.

Topics are compared over the documents that are in both generations (Greene, Doyle and Cunningham 2010 compare communities over
time so, by the Jaccard coefficient of their members). Of all ways to match them one to one, the one with the largest sum of
coefficients is taken; this is the assignment problem, solved on the sparse graph of pairs that may match at all
(Jonker and Volgenant, in scipy). What no document says is settled by centroids, if the vectors can be compared.
"""

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from transforms.threads import one_blas_thread

# The floor. Half of the smaller topic's documents must be in the other (the threshold of MONIC, Spiliopoulou et al. 2006, from
# which on a cluster survives), and the shared ones must be a fifth of both together: a topic that broke into more than five
# equal pieces is none of them.
CONTAINMENT, JACCARD = 0.5, 0.2
# Centroids decide only where a topic has at most this share of its documents in the other generation.
SURVIVING = 0.5
# Random halves of a topic of search_snippets have a cosine of 0.84 and more (95 % of 293 topics; median 0.92), a half and the
# nearest half of another topic one of 0.79 at most (99 %).
COSINE = 0.85
# Topics that are compared with all others at a time.
_ROWS = 1024


def match_by_documents(flow: pa.Table, before: int, now: int) -> np.ndarray:
    """For each topic of `now` the topic of `before` that it carries on, -1 for none: int32 (now,).

    `flow` in FLOW_SCHEMA, of so many topics `before` and `now`. Each topic is matched once at most, and only above the floor.
    """
    olds, news, documents = (flow[name].to_numpy() for name in flow.column_names)
    survivors = np.flatnonzero((olds >= -1) & (news >= -1))
    olds, news, documents = olds[survivors], news[survivors], documents[survivors].astype(np.float64)
    size_before = np.bincount(olds[olds >= 0], documents[olds >= 0], minlength=before)
    size_now = np.bincount(news[news >= 0], documents[news >= 0], minlength=now)
    pairs = np.flatnonzero((olds >= 0) & (news >= 0))
    olds, news, shared = olds[pairs], news[pairs], documents[pairs]
    jaccard = shared / (size_before[olds] + size_now[news] - shared)
    containment = shared / np.minimum(size_before[olds], size_now[news])
    able = np.flatnonzero((jaccard >= JACCARD) & (containment >= CONTAINMENT))
    return best_matching(olds[able], news[able], jaccard[able], before, now)


def match_by_centroids(
    flow: pa.Table, matched: np.ndarray, centroids_before: np.ndarray, centroids_now: np.ndarray
) -> np.ndarray:
    """The matching with topics added that have few documents in both generations and the same direction: int32 (now,).

    `matched` as `match_by_documents` gives it; centroids float32 (topics, dim) of unit length, of one encoder.
    """
    before, now = len(centroids_before), len(centroids_now)
    olds = np.setdiff1d(_replaced(flow["before"], flow["now"], flow["documents"], before), matched)
    news = np.setdiff1d(_replaced(flow["now"], flow["before"], flow["documents"], now), np.flatnonzero(matched >= 0))
    if not len(olds) or not len(news):
        return matched
    theirs = centroids_now[news].T.astype(np.float64)
    pairs = []
    # In one thread, because the order of a sum decides its last bits; some rows at a time, because there may be many topics.
    with one_blas_thread():
        for low in range(0, len(olds), _ROWS):
            cosines = centroids_before[olds[low : low + _ROWS]].astype(np.float64) @ theirs
            old, new = np.nonzero(cosines >= COSINE)
            pairs.append((olds[low + old], news[new], cosines[old, new]))
    able_old, able_new, scores = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    added = best_matching(able_old, able_new, scores, before, now)
    return np.where(matched >= 0, matched, added).astype(np.int32)


def _replaced(own: pa.ChunkedArray, other: pa.ChunkedArray, documents: pa.ChunkedArray, topics: int) -> np.ndarray:
    """The topics most of whose documents are not in the other generation."""
    topic, elsewhere, count = own.to_numpy(), other.to_numpy(), documents.to_numpy().astype(np.float64)
    size = np.bincount(topic[topic >= 0], count[topic >= 0], minlength=topics)
    stay = (topic >= 0) & (elsewhere >= -1)
    surviving = np.bincount(topic[stay], count[stay], minlength=topics)
    return np.flatnonzero((size > 0) & (surviving <= SURVIVING * size))


def best_matching(olds: np.ndarray, news: np.ndarray, scores: np.ndarray, before: int, now: int) -> np.ndarray:
    """The one-to-one matching with the largest sum of scores: for each of `now` its partner of `before`, -1 for none, int32.

    Pairs `olds[i]`, `news[i]` have `scores[i]` in (0, 1]; others do not match.
    """
    matched = np.full(now, -1, np.int32)
    rows, row = np.unique(olds, return_inverse=True)
    columns, column = np.unique(news, return_inverse=True)
    if not len(rows):
        return matched
    # A full matching of all rows: each has a column of its own beside the real ones, which stands for no partner. Costs are
    # above zero, because the solver takes a zero for no edge.
    alone = np.arange(len(rows))
    costs = sp.csr_matrix(
        (
            np.concatenate([2.0 - scores, np.full(len(rows), 2.0)]),
            (np.concatenate([row, alone]), np.concatenate([column, len(columns) + alone])),
        ),
        shape=(len(rows), len(columns) + len(rows)),
    )
    chosen_rows, chosen_columns = min_weight_full_bipartite_matching(costs)
    real = chosen_columns < len(columns)
    matched[columns[chosen_columns[real]]] = rows[chosen_rows[real]]
    return matched
