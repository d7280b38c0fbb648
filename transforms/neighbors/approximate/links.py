"""The lists that the buckets' products give: of all of a text's buckets together, and whom each text is linked with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transforms.files import join
from transforms.neighbors.approximate.buckets import Order
from transforms.neighbors.approximate.join import JoinRecord
from transforms.neighbors.approximate.pieces import Piece
from transforms.neighbors.approximate.products import NOBODY, SCORE_BITS, alone, columns_of, scores_of
from transforms.neighbors.options import NeighborsOptions
from transforms.vectors import load_array, save_array

# How many of a text's nearest others, and how many of those that have it among their nearest, are its links: the texts that
# others meet through it.
LINKS = 12
# Candidates beyond k that are kept until cosines are exact.
SPARE = 8
# Texts whose lists are merged at a time.
_ROWS = 4096
_MISSING = -1
_PLACE_BITS = 32


@dataclass(frozen=True)
class MergeTask:
    """The places `low … high`, all joined buckets, and the number of neighbours wanted."""

    low: int
    high: int
    order: Order
    joined: tuple[JoinRecord, ...]
    k: int
    directory: str


@dataclass(frozen=True)
class MergeRecord:
    """`lists`: int32 (rows, k + `SPARE`) places of others, nearest first, -1 in empty places.

    `backward`: int32 (links, 3) as `.npy`, rows of (place of the other, rank of it, place) for the first `LINKS` of each list,
    in order.
    """

    lists: Piece
    backward: str


@dataclass(frozen=True)
class LinkTask:
    """The places `low … high` and all merged lists."""

    low: int
    high: int
    merged: tuple[MergeRecord, ...]
    directory: str


def merge_lists(task: MergeTask, options: NeighborsOptions, threads: int | None = None) -> MergeRecord:
    """Merge what several buckets found for the same text."""
    members = load_array(task.order.members)
    rows, kept = task.high - task.low, task.k + SPARE
    lines = [_lines(record, task.low, task.high) for record in task.joined]
    places, begins, keys = (np.concatenate(arrays) for arrays in zip(*lines, strict=True))
    by_place = np.argsort(places, kind="stable")
    starts = np.searchsorted(places[by_place], np.arange(task.low, task.high + 1))
    most = int(np.diff(starts).max(initial=1))

    def merged(low: int) -> np.ndarray:
        high = min(low + _ROWS, rows)
        some = by_place[starts[low] : starts[high]]
        own = keys[some]
        others = np.asarray(members[begins[some][:, None] + columns_of(own)]).astype(np.int64)
        entries = (others << (SCORE_BITS + 3)) | (scores_of(own) + (1 << (SCORE_BITS + 1)))
        entries[own == NOBODY] = -1
        row = places[some] - task.low - low
        wide = np.full((high - low, most, task.k), -1, np.int64)
        wide[row, np.arange(len(some)) - (starts[low:high] - starts[low])[row]] = entries
        return _best_of_each(wide.reshape(high - low, -1), kept)

    with alone(threads) as each:
        lists = np.concatenate(list(each(merged, range(0, rows, _ROWS))))
    path = join(task.directory, f"lists-{task.low:010d}.npy")
    save_array(path, lists)
    backward = join(task.directory, f"backward-{task.low:010d}.npy")
    save_array(backward, _backward(lists[:, :LINKS], task.low))
    return MergeRecord(Piece(task.low, task.high, path), backward)


def _lines(record: JoinRecord, low: int, high: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    places = load_array(record.places)
    part = slice(*np.searchsorted(places, [low, high]))
    return places[part], load_array(record.begins)[part], load_array(record.keys)[part]


def _best_of_each(entries: np.ndarray, kept: int) -> np.ndarray:
    """Of entries (place above score, -1 for none) the places with the best scores, each once: int32 (rows, kept)."""
    entries.sort(axis=1)
    bits = SCORE_BITS + 3
    place, score = entries >> bits, entries & ((1 << bits) - 1)
    # Of one place the last entry has the highest score.
    again = np.zeros(entries.shape, bool)
    again[:, :-1] = place[:, :-1] == place[:, 1:]
    ranked = (score << _PLACE_BITS) | (np.iinfo(np.int32).max - place)
    ranked[again | (entries < 0)] = -1
    if ranked.shape[1] > kept:
        ranked.partition(ranked.shape[1] - kept, axis=1)
        ranked = ranked[:, -kept:]
    ranked.sort(axis=1)
    ranked = ranked[:, ::-1]
    lists = np.full((len(entries), kept), _MISSING, np.int32)
    best = np.iinfo(np.int32).max - (ranked & 0xFFFFFFFF)
    lists[:, : ranked.shape[1]] = np.where(ranked < 0, _MISSING, best)
    return lists


def _backward(links: np.ndarray, low: int) -> np.ndarray:
    """Rows of (other, rank, place) for links int32 (rows, ranks), sorted."""
    rows, ranks = links.shape
    place = np.repeat(np.arange(low, low + rows, dtype=np.int32), ranks)
    rank = np.tile(np.arange(ranks, dtype=np.int32), rows)
    there = links.ravel() >= 0
    other, rank, place = links.ravel()[there], rank[there], place[there]
    # Rows are in order of place already.
    order = np.argsort((other.astype(np.int64) << 8) | rank, kind="stable")
    return np.stack([other, rank, place], axis=1)[order]


def link_texts(task: LinkTask, options: NeighborsOptions, threads: int | None = None) -> Piece:
    """The links of texts: int32 (rows, 2 × `LINKS`) places, -1 in empty ones, first those of the text's own list.

    Of the texts that have it among their nearest those count that rank it highest, ties by smaller place.
    """
    own = _lists_between(task.merged, task.low, task.high)[:, :LINKS]
    backward = np.concatenate([_between(load_array(record.backward), task.low, task.high) for record in task.merged])
    order = np.lexsort((backward[:, 2], backward[:, 1], backward[:, 0]))
    other, place = backward[order, 0] - task.low, backward[order, 2]
    nth = np.arange(len(other)) - np.searchsorted(other, other)
    linked = np.full((task.high - task.low, 2 * LINKS), _MISSING, np.int32)
    linked[:, : own.shape[1]] = own
    kept = nth < LINKS
    linked[other[kept], LINKS + nth[kept]] = place[kept]
    path = join(task.directory, f"links-{task.low:010d}.npy")
    save_array(path, linked)
    return Piece(task.low, task.high, path)


def _lists_between(merged: Sequence[MergeRecord], low: int, high: int) -> np.ndarray:
    pieces = [record.lists for record in merged if record.lists.low < high and record.lists.high > low]
    parts = [piece.rows()[max(low - piece.low, 0) : high - piece.low] for piece in sorted(pieces)]
    return np.concatenate(parts)


def _between(backward: np.ndarray, low: int, high: int) -> np.ndarray:
    return backward[slice(*np.searchsorted(backward[:, 0], [low, high]))]
