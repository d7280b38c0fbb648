"""The lists of a graph made for another corpus, brought up to date exactly, with as few searches as can be.

A list of the parent's graph says more than who is in it: whoever the parent had and did not list comes after the last place,
by (cosine descending, id ascending). So when texts leave and others come, the best of what is left of the list and of the new
texts are the nearest others as far as they do not come after that last place, and no text of the parent has to be looked
at. Only where fewer than k places are proven in this way is the text searched for again, as new texts are.

Cosines do not depend on who computes them (see `cosine.py`), hence what is carried over and what is computed now may be mixed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from transforms.files import FileRef
from transforms.neighbors.changes import ChangesRecord, load_ids
from transforms.neighbors.cosine import exact_pair_cosines, screening_error, snap
from transforms.neighbors.exact import Nearest, nearest_start
from transforms.neighbors.tables import read_neighbors
from transforms.vectors import VectorBlock

# Rows, and new texts, that are compared at a time: their float32 scores take 16 MB.
_ROWS, _ADDED = 1024, 4096


@dataclass(frozen=True)
class ParentGraph:
    """A graph of the same encoder: all its `parts`, whose checksums were verified, and what has changed since."""

    parts: tuple[FileRef, ...]
    changes: ChangesRecord


@dataclass(frozen=True)
class Bound:
    """The last place of each list of the parent, int64 and float32 (rows,): nobody that is not listed comes before it.

    Where the parent listed everybody it had there is no such text: id -1, cosine -inf.
    """

    ids: np.ndarray
    cosines: np.ndarray


def parent_lists(parent: ParentGraph, ids: np.ndarray) -> Nearest:
    """The parent's lists of `ids`, int64 (rows,) ascending, each of which it has; its parts may have other borders."""
    first, last = int(ids[0]), int(ids[-1])
    # The largest id has no successor in 64 bits.
    high = None if last == np.iinfo(np.int64).max else last + 1
    parts = [read_neighbors(part.path, first, high) for part in parent.parts]
    found, neighbor_ids, cosines = (np.concatenate(arrays) for arrays in zip(*(p for p in parts if len(p[0])), strict=True))
    return Nearest(neighbor_ids, cosines).rows(np.searchsorted(found, ids))


def carried_over(listed: Nearest, changes: ChangesRecord, k: int) -> tuple[Nearest, Bound]:
    """What is left of the parent's lists, in at least `k` places of which the last may be empty, and their bounds."""
    rows, length = listed.ids.shape
    if length < changes.texts_then - 1:
        bound = Bound(listed.ids[:, -1], listed.cosines[:, -1])
    else:
        bound = Bound(np.full(rows, -1, np.int64), np.full(rows, -np.inf, np.float32))
    gone = np.isin(listed.ids, load_ids(changes.gone))
    left = Nearest(np.where(gone, -1, listed.ids), np.where(gone, np.float32(-np.inf), listed.cosines))
    return nearest_start(rows, max(k, length)).with_candidates(left.ids, left.cosines), bound


def added_chunks(blocks: Iterable[VectorBlock], added: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids int64 (m,) and snapped vectors float32 (m, dim) of the `added` texts, a few thousand at a time."""
    ids: list[np.ndarray] = []
    vectors: list[np.ndarray] = []
    for block in sorted(blocks):
        mask = np.isin(block.ids(), added, assume_unique=True)
        if mask.any():
            ids.append(block.ids()[mask])
            vectors.append(snap(block.vectors()[mask]))
        if sum(map(len, ids)) >= _ADDED:
            yield np.concatenate(ids), np.concatenate(vectors)
            ids, vectors = [], []
    if ids:
        yield np.concatenate(ids), np.concatenate(vectors)


def with_added(
    nearest: Nearest,
    queries: np.ndarray,
    bound: Bound,
    chunks: Iterable[tuple[np.ndarray, np.ndarray]],
    k: int,
) -> Nearest:
    """Lists of snapped `queries` (rows, dim), none of them new, with all new texts that can have one of the first `k` places.

    Who comes after the bound or after the k-th place is left out: there nothing is proven, or nothing is published.
    """
    ids, cosines = nearest.ids.copy(), nearest.cosines.copy()
    error = screening_error(queries.shape[1])
    for added_ids, vectors in chunks:
        for low in range(0, len(queries), _ROWS):
            part = slice(low, low + _ROWS)
            least = np.maximum(bound.cosines[part], cosines[part, k - 1]).astype(np.float64) - error
            rows, columns = np.nonzero(queries[part] @ vectors.T >= least[:, None])
            if not len(rows):
                continue
            found = exact_pair_cosines(queries[part], vectors, rows, columns)
            hit, candidates = _padded(rows, added_ids[columns], found)
            better = Nearest(ids[part][hit], cosines[part][hit]).with_candidates(candidates.ids, candidates.cosines)
            ids[part][hit], cosines[part][hit] = better.ids, better.cosines
    return Nearest(ids, cosines)


def proven(nearest: Nearest, bound: Bound, k: int) -> np.ndarray:
    """For which lists the first `k` places are the nearest others, bool (rows,): their k-th does not come after the bound."""
    ids, cosines = nearest.ids[:, k - 1], nearest.cosines[:, k - 1]
    return (cosines > bound.cosines) | ((cosines == bound.cosines) & (ids <= bound.ids))


def _padded(rows: np.ndarray, ids: np.ndarray, cosines: np.ndarray) -> tuple[np.ndarray, Nearest]:
    """Pairs sorted by row as one line of candidates for each row that has any, filled up with empty places."""
    hit, first, counts = np.unique(rows, return_index=True, return_counts=True)
    line, place = np.repeat(np.arange(len(hit)), counts), np.arange(len(rows)) - np.repeat(first, counts)
    padded = nearest_start(len(hit), int(counts.max()))
    padded.ids[line, place], padded.cosines[line, place] = ids, cosines
    return hit, padded
