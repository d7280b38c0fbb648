"""Overlapping buckets: every text is in those of the few centroids that are nearest to it.

Texts are numbered anew by bucket: a *place* counts all texts by (nearest centroid, position). Texts that are near each other
then mostly have places near each other, and what a task needs is mostly in one part of every array.
"""

from dataclasses import dataclass

import faiss
import numpy as np

from transforms.files import join
from transforms.index.sample import rows_of, sampled
from transforms.neighbors.approximate.gather import snapped_at
from transforms.neighbors.approximate.pieces import Piece
from transforms.neighbors.approximate.products import COLUMNS, Against, alone, keys_of
from transforms.neighbors.cosine import snap
from transforms.neighbors.options import NeighborsOptions
from transforms.vectors import VectorBlock, load_array, save_array, write_block

# FAISS's own seed, repeated here so that a new default of theirs is no silent change of ours.
_SEED = 1234
# Buckets only have to be small and to overlap: more rounds or a larger sample gain nothing that can be measured.
_ROUNDS, _TEXTS_PER_CENTROID = 4, 16
# Texts that are compared with all centroids at a time. Batches begin at multiples of it, whatever the tasks are.
BATCH = 512
# Texts that are counted into their buckets at a time.
_ORDERED = 1 << 18


@dataclass(frozen=True)
class TrainTask:
    """All vector blocks, and the folder for the centroids and the sample that the certificate is made from."""

    blocks: tuple[VectorBlock, ...]
    directory: str


@dataclass(frozen=True)
class TrainRecord:
    """`centroids` float32 (buckets, dim) as `.npy`, and the block of sampled texts, whose `start` means nothing."""

    centroids: str
    buckets: int
    queries: VectorBlock


@dataclass(frozen=True)
class AssignTask:
    """Texts at the positions `low … high`, a multiple of `BATCH` to begin with, and what they are assigned to."""

    low: int
    high: int
    blocks: tuple[VectorBlock, ...]
    centroids: str
    directory: str


@dataclass(frozen=True)
class OrderTask:
    """The buckets of all texts, int32 (rows, overlap), nearest first, and how many members a task may have."""

    assigned: tuple[Piece, ...]
    buckets: int
    directory: str


@dataclass(frozen=True)
class Order:
    """Places of all `texts`, and the members of the buckets, as `.npy`.

    `position_of` int32 (texts,) by place, `place_of` int32 (texts,) by position; `members` int32 are places, of the first
    bucket, then of the second, ascending in each; `starts` int64 (buckets + 1,) says where each begins. `groups` are ranges of
    buckets for one task each; `largest` is the number of members of the largest bucket.
    """

    texts: int
    position_of: str
    place_of: str
    members: str
    starts: str
    groups: tuple[tuple[int, int], ...]
    largest: int


def bucket_count(texts: int, options: NeighborsOptions) -> int:
    """How many buckets so many texts are put into."""
    return max(1, round(texts / options.texts_per_bucket))


def train_buckets(task: TrainTask, options: NeighborsOptions, threads: int | None = None) -> TrainRecord:
    """Find centroids by spherical k-means over texts chosen by hash, and choose the texts of the certificate, also by hash.

    A function of the texts only: the seed is fixed and one thread does it.
    """
    buckets = bucket_count(sum(block.rows for block in task.blocks), options)
    sample = rows_of(task.blocks, sampled(task.blocks, _TEXTS_PER_CENTROID * buckets)[0])
    with alone(1) as each:
        (found,) = each(lambda vectors: _ordered(_clustered(vectors, buckets)), [snap(sample)])
    centroids = join(task.directory, "centroids.npy")
    save_array(centroids, found)
    rows, ids = sampled(task.blocks, options.recall_rows, last=True)
    queries = write_block(
        join(task.directory, "sample-vectors.npy"),
        join(task.directory, "sample-ids.npy"),
        0,
        ids,
        rows_of(task.blocks, rows),
    )
    return TrainRecord(centroids, buckets, queries)


def _clustered(vectors: np.ndarray, centroids: int) -> np.ndarray:
    clustering = faiss.Clustering(vectors.shape[1], centroids)
    clustering.seed, clustering.niter, clustering.spherical, clustering.min_points_per_centroid = _SEED, _ROUNDS, True, 1
    clustering.train(vectors, faiss.IndexFlatIP(vectors.shape[1]))
    found: np.ndarray = faiss.vector_to_array(clustering.centroids).reshape(centroids, -1)
    return found


def _ordered(centroids: np.ndarray) -> np.ndarray:
    """The centroids so that near ones are near in number: those of one cluster of centroids after those of another."""
    groups = _clustered(centroids, max(1, round(len(centroids) ** 0.5)))
    return centroids[np.argsort(np.argmax(centroids @ groups.T, axis=1), kind="stable")]


def assign_buckets(task: AssignTask, options: NeighborsOptions, threads: int | None = None) -> Piece:
    """Find the nearest centroids of each text: int32 (rows, overlap), nearest first."""
    centroids = Against(np.array(load_array(task.centroids)))
    overlap = min(options.buckets_per_text, len(centroids.vectors))

    def nearest(low: int) -> np.ndarray:
        high = min(low + BATCH, task.high)
        # The last batch of the corpus has the shape of all others.
        batch = np.zeros((BATCH, centroids.vectors.shape[1]), np.float32)
        batch[: high - low] = snapped_at(task.blocks, np.arange(low, high))
        return _nearest(batch, centroids, overlap)[: high - low]

    with alone(threads) as each:
        assigned = np.concatenate(list(each(nearest, range(task.low, task.high, BATCH))))
    path = join(task.directory, f"assigned-{task.low:010d}.npy")
    save_array(path, assigned)
    return Piece(task.low, task.high, path)


def _nearest(batch: np.ndarray, centroids: Against, overlap: int) -> np.ndarray:
    scores = centroids.scores(batch)
    # As many as fit into a key at a time; the best of each time compete as int64.
    found = []
    for low in range(0, scores.shape[1], COLUMNS):
        part = np.ascontiguousarray(scores[:, low : low + COLUMNS])
        keys = keys_of(part, min(overlap, part.shape[1])).astype(np.int64)
        found.append(((keys >> 12) << 32) | ((keys & (COLUMNS - 1)) + low))
    best = np.sort(np.hstack(found), axis=1)[:, ::-1][:, :overlap]
    return (best & 0xFFFFFFFF).astype(np.int32)


def order_texts(task: OrderTask, options: NeighborsOptions, threads: int | None = None) -> Order:
    """Number the texts by bucket, list the members of each, and divide the buckets into tasks. One worker.

    Memory: 8 bytes a text for both numberings and 8 for each of its buckets, 56 with six buckets, and some rows.
    """
    pieces = sorted(task.assigned)
    assigned = np.concatenate([piece.rows() for piece in pieces])
    texts = len(assigned)
    position_of = np.argsort(assigned[:, 0], kind="stable").astype(np.int32)
    place_of = np.empty(texts, np.int32)
    place_of[position_of] = np.arange(texts, dtype=np.int32)
    sizes = sum((np.bincount(piece.rows().ravel(), minlength=task.buckets) for piece in pieces), np.zeros(task.buckets, int))
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    members = _members(assigned, position_of, starts)
    paths = [join(task.directory, f"{name}.npy") for name in ("position-of", "place-of", "members", "starts")]
    arrays: tuple[np.ndarray, ...] = (position_of, place_of, members, starts)
    for path, array in zip(paths, arrays, strict=True):
        save_array(path, array)
    groups = _groups(sizes, options.rows_per_chunk)
    return Order(texts, paths[0], paths[1], paths[2], paths[3], groups, int(sizes.max()))


def _members(assigned: np.ndarray, position_of: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The members of all buckets, int32: places, ascending in each bucket. Texts are counted into their buckets in that order,
    some at a time: sorting all of them would take three times the memory.
    """
    members, free = np.empty(int(starts[-1]), np.int32), starts[:-1].copy()
    overlap = assigned.shape[1]
    for low in range(0, len(position_of), _ORDERED):
        buckets = assigned[position_of[low : low + _ORDERED]].ravel()
        order = np.argsort(buckets, kind="stable")
        of_bucket = buckets[order]
        rank = np.arange(len(order)) - np.searchsorted(of_bucket, of_bucket)
        members[free[of_bucket] + rank] = low + order // overlap
        free += np.bincount(buckets, minlength=len(free))
    return members


def _groups(sizes: np.ndarray, most: int) -> tuple[tuple[int, int], ...]:
    """Ranges of buckets with at most so many members together, or of one bucket."""
    groups, first, total = [], 0, 0
    for bucket, size in enumerate(sizes.tolist()):
        if total and total + size > most:
            groups.append((first, bucket))
            first, total = bucket, 0
        total += size
    return (*groups, (first, len(sizes)))
