"""Products inside the buckets: every text's nearest others among the members of each of its buckets."""

import itertools
from dataclasses import dataclass

import numpy as np

from transforms.files import Progress, join
from transforms.neighbors.approximate.buckets import Order
from transforms.neighbors.approximate.pieces import Piece, Pieces
from transforms.neighbors.approximate.products import BATCH, COLUMNS, NOBODY, Against, alone, best_keys
from transforms.neighbors.options import NeighborsOptions
from transforms.vectors import load_array, save_array

# A bucket of more than so many times the usual number of members is cut into slices: time grows with the square.
_LARGEST = 4


@dataclass(frozen=True)
class JoinTask:
    """The buckets `first … last` of an order, the vectors of all places, and the number of others to keep."""

    part: int
    first: int
    last: int
    order: Order
    vectors: tuple[Piece, ...]
    k: int
    directory: str
    progress: str | None = None


@dataclass(frozen=True)
class JoinRecord:
    """The nearest others of each member of each bucket, as `.npy`, one line for each member of each, by place.

    `places` int32 (lines,) ascending; `keys` int32 (lines, k), see `products.py`, whose columns count from the member at
    `begins` int64 (lines,) of the order's `members`. `slices` counts the buckets that were too large, in slices.
    """

    part: int
    places: str
    begins: str
    keys: str
    slices: int


def join_buckets(task: JoinTask, options: NeighborsOptions, threads: int | None = None) -> JoinRecord:
    """Compare all members of each bucket with each other. In memory are the vectors of all members of the task's buckets."""
    starts = load_array(task.order.starts)[task.first : task.last + 1]
    members = np.array(load_array(task.order.members)[starts[0] : starts[-1]])
    present, row_of_member = np.unique(members, return_inverse=True)
    vectors = Pieces(task.vectors).take(present)
    most = min(COLUMNS, max(2, _LARGEST * options.texts_per_bucket * options.buckets_per_text))
    slices = [piece for low, high in itertools.pairwise(starts) for piece in _slices(int(low), int(high), most)]
    progress = Progress(task.progress)

    def nearest(piece: tuple[int, int]) -> np.ndarray:
        own = vectors[row_of_member[piece[0] - starts[0] : piece[1] - starts[0]]]
        keys = np.full((len(own), task.k), NOBODY, np.int32)
        kept = min(task.k, len(own) - 1)
        against = Against(own)
        for low in range(0, len(own), BATCH) if kept else ():
            rows = slice(low, min(low + BATCH, len(own)))
            keys[rows, :kept] = best_keys(own[rows], against, kept, itself=low)
        return keys

    with alone(threads) as each:
        found = [np.empty((0, task.k), np.int32)]
        for keys in each(nearest, slices):
            found.append(keys)
            progress.add(len(keys))
    progress.flush()
    # By place, so that whoever merges some of the places reads a contiguous part.
    order = np.argsort(members, kind="stable")
    begins = np.repeat([low for low, _ in slices], [high - low for low, high in slices]).astype(np.int64)
    paths = [join(task.directory, f"joined-{task.part:05d}-{name}.npy") for name in ("places", "begins", "keys")]
    save_array(paths[0], members[order])
    save_array(paths[1], begins[order])
    save_array(paths[2], np.concatenate(found)[order])
    sliced = len(slices) - int(np.count_nonzero(np.diff(starts)))
    return JoinRecord(task.part, paths[0], paths[1], paths[2], sliced)


def _slices(low: int, high: int, most: int) -> list[tuple[int, int]]:
    """`low … high` in as few pieces of equal size as have at most `most` members: neighbours in place stay together."""
    count = -(-(high - low) // most)
    cuts = [low + (high - low) * i // count for i in range(count + 1)] if count else []
    return list(itertools.pairwise(cuts))
