"""The pairs of all parts of the graph in one place, in few bytes: 17 for each pair."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from transforms.duplicates.mine import MineRecord
from transforms.duplicates.pairs import NOTHING_DROPPED, Dropped
from transforms.duplicates.places import ascending, places_of
from transforms.duplicates.tables import dropped_schema
from transforms.files import read_table


@dataclass(frozen=True)
class PairedTexts:
    """Pairs of texts, one value in each array: `a` and `b` int32 are places among the texts, `a` before `b`.

    `cosines` and `jaccards` are float32, `differences` uint8.
    """

    a: np.ndarray
    b: np.ndarray
    cosines: np.ndarray
    jaccards: np.ndarray
    differences: np.ndarray

    def some(self, chosen: np.ndarray) -> "PairedTexts":
        """The pairs at some places, or of a mask."""
        return PairedTexts(*(values[chosen] for values in vars(self).values()))


def paired_ids(records: Sequence[MineRecord]) -> np.ndarray:
    """The ids, ascending, of all texts that are in a pair or of which pairs were left out. One part is in memory at a time."""
    found = [np.empty(0, np.int64)]
    for record in records:
        dropped = read_table(record.dropped_file.path, ["id"])["id"].to_numpy()
        pairs = read_table(record.file.path, ["id_a", "id_b"])
        found.append(ascending(np.concatenate([dropped, pairs["id_a"].to_numpy(), pairs["id_b"].to_numpy()])))
    return ascending(np.concatenate(found))


def read_pairs(records: Sequence[MineRecord], ids: np.ndarray, cap: int, exact: bool) -> tuple[PairedTexts, Dropped]:
    """All pairs, at most `cap` of a text with texts of larger id, and what is left out. `ids` ascend and have all texts.

    One part is read at a time. Without an `exact` graph both lists may hold a pair, with one and the same cosine.
    """
    pairs = _filled(records, ids)
    if not exact:
        pairs = _once(pairs)
    lost = [read_table(record.dropped_file.path) for record in records]
    dropped = [NOTHING_DROPPED, *(Dropped(*(part[name].to_numpy() for name in dropped_schema().names)) for part in lost)]
    counts = np.bincount(pairs.a, minlength=len(ids))
    if len(rows := np.flatnonzero(counts[pairs.a] > cap)):
        many = pairs.some(rows)
        order = np.lexsort((many.b, -many.cosines, many.a))
        rank = np.arange(len(order)) - np.searchsorted(many.a[order], many.a[order])
        rest = order[rank >= cap]
        dropped.append(Dropped.of(ids[many.a[rest]], ids[many.b[rest]], many.cosines[rest]))
        kept = np.ones(len(pairs.a), bool)
        kept[rows[rest]] = False
        pairs = pairs.some(kept)
    return pairs, Dropped.summed(dropped)


def _filled(records: Sequence[MineRecord], ids: np.ndarray) -> PairedTexts:
    count = sum(record.pairs for record in records)
    pairs = PairedTexts(*(np.empty(count, dtype) for dtype in (np.int32, np.int32, np.float32, np.float32, np.uint8)))
    low = 0
    for record in records:
        table = read_table(record.file.path)
        own = slice(low, low + table.num_rows)
        pairs.a[own], pairs.b[own] = (places_of(table[name].to_numpy(), ids) for name in ("id_a", "id_b"))
        pairs.cosines[own], pairs.jaccards[own] = table["cosine"].to_numpy(), table["jaccard"].to_numpy()
        pairs.differences[own] = table["differences"].to_numpy()
        low = own.stop
    return pairs


def _once(pairs: PairedTexts) -> PairedTexts:
    """Each pair once."""
    _, first = np.unique(pairs.a.astype(np.int64) << 32 | pairs.b, return_index=True)
    return pairs.some(first)


def in_pieces(rows: int, size: int) -> Iterator[slice]:
    """Consecutive slices of so many rows."""
    for low in range(0, rows, size):
        yield slice(low, min(low + size, rows))
