"""All pairs of distinct texts at or above a cosine, completely."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from transforms.duplicates.owners import NOBODY, SoleOwners
from transforms.neighbors import exact_cosines, exact_pair_cosines, screening_error

# Rows that are searched by range at a time, and columns of one score matrix: 16 MB of float32.
_ROWS, _COLUMNS = 1024, 4096

# Pairs found since the last time that rows were cut to their best: 20 MB.
_PENDING = 1 << 20


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts, by (row, cosine descending, other id).

    `rows` int64 into the texts asked about, `others` int64 ids and `cosines` float32, one per pair; `dropped` int64, one
    per text asked about: how many of its pairs a cap has cut off.
    """

    rows: np.ndarray
    others: np.ndarray
    cosines: np.ndarray
    dropped: np.ndarray

    def capped(self, cap: int) -> "Pairs":
        """At most `cap` pairs of each row, those with the largest cosine, of equal ones the smaller ids."""
        order = np.lexsort((self.others, -self.cosines, self.rows))
        rows = self.rows[order]
        counts = np.bincount(rows, minlength=len(self.dropped))
        rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = order[rank < cap]
        dropped = self.dropped + np.maximum(counts - cap, 0)
        return Pairs(self.rows[kept], self.others[kept], self.cosines[kept], dropped)

    def between_documents(self, ids: np.ndarray, owners: SoleOwners) -> "Pairs":
        """Without the pairs of two texts of one document that no other document has either; `ids` are those of the rows."""
        kept = ~owners.same(ids[self.rows], self.others)
        return Pairs(self.rows[kept], self.others[kept], self.cosines[kept], self.dropped)


def concatenated(parts: Iterable[Pairs]) -> Pairs:
    """The pairs of several searches over the same rows, not in order and not capped."""
    rows, others, cosines, dropped = zip(*((p.rows, p.others, p.cosines, p.dropped) for p in parts), strict=True)
    return Pairs(np.concatenate(rows), np.concatenate(others), np.concatenate(cosines), np.sum(dropped, axis=0))


def listed_pairs(ids: np.ndarray, neighbor_ids: np.ndarray, cosines: np.ndarray, threshold: float) -> Pairs:
    """Pairs (text, text of larger id) in neighbour lists (rows, k) with cosine ≥ `threshold`.

    Each pair belongs to its text of smaller id, so that it is found once. `threshold` is compared with the published
    float32.
    """
    rows, columns = np.nonzero((cosines.astype(np.float64) >= threshold) & (neighbor_ids > ids[:, None]))
    return Pairs(rows, neighbor_ids[rows, columns], cosines[rows, columns], np.zeros(len(ids), np.int64))


def unfinished_rows(cosines: np.ndarray, others: int, threshold: float) -> np.ndarray:
    """Rows whose list (rows, k) ends at or above `threshold`, so that more pairs may exist; `others` is n − 1."""
    if cosines.shape[1] >= others:
        return np.empty(0, np.int64)
    return np.flatnonzero(cosines[:, -1].astype(np.float64) >= threshold)


def pairs_by_range(
    ids: np.ndarray,
    queries: np.ndarray,
    chunks: Iterable[tuple[np.ndarray, np.ndarray]],
    threshold: float,
    cap: int,
    owners: SoleOwners = NOBODY,
) -> Pairs:
    """All pairs of snapped `queries` (rows, dim) with texts of larger id and cosine ≥ `threshold`, a row's `cap` best.

    Two texts that only one and the same document has, by `owners`, are no pair.
    Float32 products are the screen: what reaches the threshold minus their error bound is computed again exactly.
    Memory is one score matrix and `cap` pairs a row.
    """
    floor = np.float32(threshold - screening_error(queries.shape[1]))
    floor = np.nextafter(floor, np.float32(-2))  # the conversion to float32 may have rounded up
    found, pending = [_no_pairs(len(ids))], 0
    for chunk_ids, vectors in chunks:
        for top in range(0, len(ids), _ROWS):
            own = slice(top, top + _ROWS)
            for left in range(0, len(chunk_ids), _COLUMNS):
                other = slice(left, left + _COLUMNS)
                if chunk_ids[other][-1] <= ids[own].min():
                    continue
                rows, columns, cosines = _reaching(queries[own], vectors[other], floor, threshold)
                larger = chunk_ids[other][columns] > ids[own][rows]
                rows, columns, cosines = rows[larger], columns[larger], cosines[larger]
                pairs = Pairs(rows + top, chunk_ids[other][columns], cosines, np.zeros(len(ids), np.int64))
                found.append(pairs.between_documents(ids, owners))
                pending += len(found[-1].rows)
                if pending > _PENDING:
                    found, pending = [concatenated(found).capped(cap)], 0
    return concatenated(found).capped(cap)


def _reaching(
    queries: np.ndarray, vectors: np.ndarray, floor: np.float32, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and cosines of the pairs with cosine ≥ `threshold`."""
    screened = queries @ vectors.T >= floor
    rows, columns = np.nonzero(screened)
    if len(rows) > screened.size // 16:  # many near-equal texts: one exact product of all is faster than one for each
        cosines = exact_cosines(queries, vectors)[rows, columns]
    else:
        cosines = exact_pair_cosines(queries, vectors, rows, columns)
    enough = cosines.astype(np.float64) >= threshold
    return rows[enough], columns[enough], cosines[enough]


def _no_pairs(rows: int) -> Pairs:
    nobody = np.empty(0, np.int64)
    return Pairs(nobody, nobody, np.empty(0, np.float32), np.zeros(rows, np.int64))
