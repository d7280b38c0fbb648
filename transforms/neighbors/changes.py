"""What distinguishes the texts of now, and their vectors, from those that an earlier graph compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.corpus import ids_of
from transforms.files import CorruptFileError, FileRef, file_ref, join, read_table
from transforms.vectors import (
    ShardIndex,
    StoredShard,
    VectorBlock,
    describe_shards,
    find_vectors,
    is_named_by,
    load_array,
    save_array,
)

# Above this share of new texts comparing everybody with them costs about as much as it saves.
_MOST_ADDED = 0.25
# The last content key there can be.
_LAST = b"\xff" * 32


@dataclass(frozen=True)
class ChangesTask:
    """The parts of an earlier graph, paths of all shards whose vectors it compared, and of all that this run's are from.

    `blocks` are all of this run's, with the vectors as the store holds them; `directory` is for what is found.
    """

    parts: tuple[FileRef, ...]
    shards_then: tuple[str, ...]
    shards_now: tuple[str, ...]
    blocks: tuple[VectorBlock, ...]
    directory: str


@dataclass(frozen=True)
class ChangesRecord:
    """Ascending ids int64 as `.npy`: `added` texts were not compared then, `gone` ones not with the vector that counts now.

    A text with another vector is in both. `texts_then` had lists; of the texts of now, `texts_added` are in `added`.
    """

    added: FileRef
    gone: FileRef
    texts_then: int
    texts_added: int
    texts_now: int

    @property
    def pays(self) -> bool:
        """Whether so few texts are new that bringing the lists up to date costs less than new ones."""
        return self.texts_added <= _MOST_ADDED * self.texts_now


def find_changes(task: ChangesTask) -> ChangesRecord:
    """Compare the texts, and the vectors of those that may have another one now, bit by bit.

    Where a shard cannot be read any more nothing is known of any vector, and everything counts as changed. Memory: one block,
    one part's ids, and the ids that are found.
    """
    try:
        found = list(_changes(task, _open_shards(task)))
    except (CorruptFileError, FileNotFoundError):
        found = list(_changes(task, None))
    added, gone = _joined([part.added for part in found]), _joined([part.gone for part in found])
    paths = join(task.directory, "added.npy"), join(task.directory, "gone.npy")
    save_array(paths[0], added)
    save_array(paths[1], gone)
    then, now = sum(part.then for part in found), sum(block.rows for block in task.blocks)
    return ChangesRecord(file_ref(paths[0]), file_ref(paths[1]), then, len(added), now)


@dataclass(frozen=True)
class _Part:
    """What changed in one range of ids, in which there were `then` texts."""

    added: np.ndarray
    gone: np.ndarray
    then: int


@dataclass(frozen=True)
class _Shards:
    """The shards that were asked then, and those that hold texts which may have another vector now."""

    then: ShardIndex
    alone: ShardIndex | None


def _open_shards(task: ChangesTask) -> _Shards:
    """Shards never change: only a text in a shard that was used either then or now alone can have another vector.

    Raises CorruptFileError or FileNotFoundError for one that was used then and cannot be read any more.
    """
    alone = set(task.shards_then) ^ set(task.shards_now)
    if not alone:
        return _Shards(ShardIndex([]), None)
    for path in sorted(alone & set(task.shards_then)):
        # All of them, before any is asked: a damaged footer would say that a shard has nothing to do with these texts.
        if not is_named_by(path, file_ref(path).sha256):
            raise CorruptFileError(f"{path} was changed after it was written; run `corpusbeam verify`")
    described = describe_shards(task.shards_then)
    # Nor may one come last in the order only because its footer cannot be read.
    if unread := [shard.path for shard in described if not shard.rows]:
        raise CorruptFileError(f"{unread[0]} has no footer that can be read; run `corpusbeam verify`")
    return _Shards(ShardIndex(described), ShardIndex(describe_shards(sorted(alone))))


def _changes(task: ChangesTask, shards: _Shards | None) -> Iterator[_Part]:
    """For each block and the range of ids up to the next one.

    Without `shards` every text has another vector.
    """
    earlier = _Ascending(task.parts)
    blocks = sorted(block for block in task.blocks if block.rows)
    for number, block in enumerate(blocks):
        limit = int(blocks[number + 1].ids()[0]) if number + 1 < len(blocks) else None
        then, now = earlier.below(limit), np.asarray(block.ids())
        kept = np.intersect1d(then, now, assume_unique=True)
        if shards is None:
            kept = kept[:0]
        elif shards.alone is not None:
            kept = np.setdiff1d(kept, _changed_in(block, kept, shards.then, shards.alone), assume_unique=True)
        added, gone = np.setdiff1d(now, kept, assume_unique=True), np.setdiff1d(then, kept, assume_unique=True)
        yield _Part(added, gone, len(then))
    if not blocks:
        then = earlier.below(None)
        yield _Part(then[:0], then, len(then))


class _Ascending:
    """The ids of a graph in their order, one part in memory at a time."""

    def __init__(self, parts: Sequence[FileRef]) -> None:
        self._parts, self._rest = iter(parts), np.empty(0, np.int64)

    def below(self, limit: int | None) -> np.ndarray:
        """The next ids that are below `limit`; all for None."""
        taken = []
        while True:
            cut = len(self._rest) if limit is None else int(np.searchsorted(self._rest, limit))
            taken.append(self._rest[:cut])
            self._rest = self._rest[cut:]
            part = None if len(self._rest) else next(self._parts, None)
            if part is None:
                return _joined(taken)
            self._rest = read_table(part.path, ["id"])["id"].to_numpy()


def _changed_in(block: VectorBlock, ids: np.ndarray, then: ShardIndex, alone: ShardIndex) -> np.ndarray:
    """Which of the `ids` in one block had other bits in the shards of `then`, of those that a shard of `alone` holds."""
    own = block.ids()
    low, high = _key_range(own)
    last = _LAST if high is None else high
    keys = _keys_of(alone.between(low, last), np.intersect1d(own, ids, assume_unique=True), low, high)
    if not keys:
        return np.empty(0, np.int64)
    # The same question that the parent's run asked, so that the same one of several shards answers.
    stored = find_vectors(then.between(low, last), keys)
    if stored.damaged or stored.vectors is None or not stored.found.all():
        raise CorruptFileError(f"{int((~stored.found).sum())} texts have no vector in the shards that are said to hold them")
    held = ids_of(pa.array(keys, pa.binary(len(low))))
    now = np.ascontiguousarray(block.vectors()[np.searchsorted(own, held)])
    if now.shape != stored.vectors.shape:
        return held
    # Bits, not numbers: 0.0 equals -0.0.
    return held[np.any(now.view(np.uint32) != stored.vectors.view(np.uint32), axis=1)]


def _keys_of(shards: Sequence[StoredShard], ids: np.ndarray, low: bytes, high: bytes | None) -> list[bytes]:
    """The content keys, ascending, that any of the shards holds for the `ids`; all are in `low <= key < high`."""
    keys: set[bytes] = set()
    for shard in shards:
        table = read_table(shard.path, ["content_key"], key="content_key", low=low, high=high)
        if table.num_rows:
            held = table["content_key"].combine_chunks()
            keys.update(held.filter(pa.array(np.isin(ids_of(held), ids))).to_pylist())
    return sorted(keys)


def _key_range(ids: np.ndarray) -> tuple[bytes, bytes | None]:
    """The range `low <= key < high` of all content keys with ids from the first to the last; None after the largest id."""
    if not len(ids):
        return _LAST, None
    # An id is the first 63 bits of its key.
    first, after = int(ids[0]) << 1, (int(ids[-1]) + 1) << 1
    rest = bytes(len(_LAST) - 8)
    return first.to_bytes(8, "big") + rest, None if after >> 64 else after.to_bytes(8, "big") + rest


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *arrays])


def load_ids(file: FileRef) -> np.ndarray:
    """Ids that `find_changes` wrote."""
    return load_array(file.path)
