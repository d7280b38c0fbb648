"""Which passages are the texts with some ids: `index/ids.parquet`, which is sorted by id."""

import numpy as np

from transforms.search.row_groups import RowGroups

# A passage: document id and number of the passage in it.
Passage = tuple[str, int]


class Owners:
    """Looks ids up. Equal texts share an id and have several passages. Safe to share between threads."""

    def __init__(self, path: str) -> None:
        self._groups = RowGroups(path, ["id", "doc_id", "passage_no"])
        self._lowest, self._highest = self._groups.bounds("id")

    def of(self, ids: np.ndarray) -> dict[int, list[Passage]]:
        """The passages of each id of int64 (n,), in order of document id and number; an id without any is left out."""
        wanted = np.unique(ids)
        found: dict[int, list[Passage]] = {}
        first = np.searchsorted(self._highest, wanted)
        last = np.searchsorted(self._lowest, wanted, side="right")
        # One id may go on in the next group.
        for group in sorted({number for low, high in zip(first, last, strict=True) for number in range(low, high)}):
            table = self._groups.read(group)
            here = table["id"].to_numpy()
            lows, highs = np.searchsorted(here, wanted), np.searchsorted(here, wanted, side="right")
            for at in np.flatnonzero(highs > lows):
                rows = table.slice(int(lows[at]), int(highs[at] - lows[at]))
                passages = zip(rows["doc_id"].to_pylist(), rows["passage_no"].to_pylist(), strict=True)
                found.setdefault(int(wanted[at]), []).extend(passages)
        return found
