"""What distinguishes the texts of now, and their vectors, from those that an earlier graph compared."""

from collections.abc import Sequence
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
    """Compare the texts, and the vectors of those that may have another one now, bit by bit."""
    then = _joined([read_table(part.path, ["id"])["id"].to_numpy() for part in task.parts])
    now = _joined([block.ids() for block in sorted(task.blocks)])
    both = np.intersect1d(then, now, assume_unique=True)
    kept = np.setdiff1d(both, _with_another_vector(task, both), assume_unique=True)
    added, gone = np.setdiff1d(now, kept, assume_unique=True), np.setdiff1d(then, kept, assume_unique=True)
    paths = join(task.directory, "added.npy"), join(task.directory, "gone.npy")
    save_array(paths[0], added)
    save_array(paths[1], gone)
    return ChangesRecord(file_ref(paths[0]), file_ref(paths[1]), len(then), len(added), len(now))


def _with_another_vector(task: ChangesTask, ids: np.ndarray) -> np.ndarray:
    """Which of the `ids`, ascending, did not have the vector then that they have now.

    Shards never change: only a text in a shard that was used either then or now alone can have another one. Where a shard
    cannot be read any more nothing is known of it, and everything counts as changed. One block at a time is in memory.
    """
    alone = set(task.shards_then) ^ set(task.shards_now)
    if not alone:
        return np.empty(0, np.int64)
    try:
        for path in sorted(alone & set(task.shards_then)):
            # All of them, before any is asked: a damaged footer would say that a shard has nothing to do with these texts.
            if not is_named_by(path, file_ref(path).sha256):
                raise CorruptFileError(f"{path} was changed after it was written; run `corpusbeam verify`")
        described = describe_shards(task.shards_then)
        # Nor may one come last in the order only because its footer cannot be read.
        if unread := [shard.path for shard in described if not shard.rows]:
            raise CorruptFileError(f"{unread[0]} has no footer that can be read; run `corpusbeam verify`")
        then, either = ShardIndex(described), ShardIndex(describe_shards(sorted(alone)))
        changed = [_changed_in(block, ids, then, either) for block in sorted(task.blocks)]
    except (CorruptFileError, FileNotFoundError):
        return ids
    return np.unique(_joined(changed))


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
