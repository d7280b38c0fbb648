"""Documents that show a topic: strong members near its centre, and members at its border; none repeats another.

In three steps, so that no one holds all vectors: sums of some texts' vectors, the best members among some texts by the sum of
all, and a choice among the best of all. Sums and cosines are exact (see `transforms.neighbors.cosine`), so that nobody's rank
depends on how the texts were cut into parts.
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp

from transforms.neighbors import exact_cosines, exact_pair_cosines, snap
from transforms.threads import one_blas_thread
from transforms.vectors import VectorBlock

# Two texts this similar say the same thing: a second one would show nothing new about the topic.
_SAME = 0.9
# Candidates per wanted document that are looked at first: enough to step over repetitions, few enough to hold their vectors.
_CANDIDATES = 10
# Of a topic whose best texts repeat each other so many are looked at at a time.
_MOST = 4096
# Texts that are compared with all centroids at a time.
_ROWS = 512


def vector_sums(topic_id: np.ndarray, topics: int, vectors: np.ndarray) -> np.ndarray:
    """Sums of the vectors (n, dim) of each topic's members by `topic_id` (n,), float64 (topics, dim); noise takes no part.

    Of unit vectors, rounded to multiples of 2⁻²⁶: up to 2²⁶ of them add up without rounding, in any order.
    """
    rows = np.flatnonzero(topic_id >= 0)
    members = sp.csr_matrix((np.ones(len(rows)), (topic_id[rows], rows)), shape=(topics, len(topic_id)))
    return np.asarray(members @ snap(vectors).astype(np.float64))


def centroids(sums: np.ndarray) -> np.ndarray:
    """Unit-length mean directions from the sums of all members' vectors (topics, dim): float32 (topics, dim), snapped.

    Members that cancel out have no direction: a row of zeros.
    """
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    unit = (sums / np.where(length > 0, length, 1)).astype(np.float32)
    has_direction = length[:, 0] > 0
    unit[has_direction] = snap(unit[has_direction])
    return unit


def member_scores(
    topic_id: np.ndarray, strength: np.ndarray, centres: np.ndarray, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rows (m,) of texts that are in a topic, and their strength * cosine to its centroid, float32 (m,).

    `topic_id` and `strength` are (n,), `vectors` (n, dim) of unit length, `centres` as from `centroids`.
    """
    rows = np.flatnonzero(topic_id >= 0)
    return rows, strength[rows] * exact_pair_cosines(snap(vectors), centres, rows, topic_id[rows])


def boundary_scores(
    topic_id: np.ndarray, centres: np.ndarray, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How near the members are to another topic: the rows (m,) of texts in a topic, a score float32 (m,), and that topic (m,).

    The score is cos(x, other) − cos(x, own), with the centroids of the text's own topic and of the other one that is nearest to
    it (of equally near ones the smallest number): the negative margin. No rows where there is no second topic.
    """
    rows = np.flatnonzero(topic_id >= 0) if len(centres) > 1 else np.empty(0, np.int64)
    score, other = np.empty(len(rows), np.float32), np.empty(len(rows), np.int64)
    snapped = snap(vectors)
    with one_blas_thread():
        for low in range(0, len(rows), _ROWS):
            some = slice(low, low + _ROWS)
            place, own = np.arange(len(rows[some])), topic_id[rows[some]]
            cosines = exact_cosines(snapped[rows[some]], centres)
            to_own = cosines[place, own]
            cosines[place, own] = -np.inf
            other[some] = np.argmax(cosines, axis=1)
            score[some] = cosines[place, other[some]] - to_own
    return rows, score, other


def best_members(topic_id: np.ndarray, score: np.ndarray, position: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """Which of some members (m,) can be shown of their topic: by topic, the best first.

    Of each document, int (m,), only its best text in a topic; ties by position. Whoever is left out of some members is left out
    of all of them, too: so the best of everybody are the best of the best of each part.
    """
    order = np.lexsort((position, -score, topic_id))
    in_topic = topic_id[order].astype(np.int64) * (int(documents.max(initial=0)) + 1) + documents[order]
    return np.asarray(order[np.sort(np.unique(in_topic, return_index=True)[1])])


def varied(positions: np.ndarray, count: int, vectors_at: Callable[[np.ndarray], dict[int, np.ndarray]]) -> list[int]:
    """Places of up to `count` of one topic's `best_members`, int (m,), in the order of choice.

    One with cosine >= 0.9 to one already chosen is passed over unless there is nothing else. `vectors_at` gives the vectors at
    ascending positions: first those of `first_look`, then of more at a time until so many differ.
    """
    chosen: list[int] = []
    vectors: list[np.ndarray] = []
    low, some = 0, first_look(positions, count)
    while len(some) and len(chosen) < count:
        found = vectors_at(np.sort(some))
        for place, position in enumerate(some.tolist(), low):
            if len(chosen) < count and all(float(found[position] @ other) < _SAME for other in vectors):
                chosen.append(place)
                vectors.append(found[position])
        low, some = low + len(some), positions[low + len(some) :][: min(2 * len(some), _MOST)]
    rest = [place for place in range(min(len(positions), count)) if place not in chosen]
    return chosen + rest[: count - len(chosen)]


def first_look(positions: np.ndarray, count: int) -> np.ndarray:
    """Those of one topic's `best_members` that `varied` looks at first: enough where few texts repeat others."""
    return positions[: count * _CANDIDATES]


def gather(positions: np.ndarray, blocks: Sequence[VectorBlock]) -> dict[int, np.ndarray]:
    """The vectors at ascending positions; blocks that have none of them are not opened."""
    vectors: dict[int, np.ndarray] = {}
    for block in blocks:
        low, high = np.searchsorted(positions, [block.start, block.start + block.rows])
        if low < high:
            own = positions[low:high]
            vectors |= zip(own.tolist(), np.asarray(block.vectors()[own - block.start]), strict=True)
    return vectors
