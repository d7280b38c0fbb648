"""What distinguishes the texts of now, and their vectors, from those that an earlier graph compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transforms.corpus import ids_of
from transforms.files import CorruptFileError, FileRef, file_ref, join, read_table
from transforms.vectors import VectorBlock, load_array, save_array

# Above this share of new texts comparing everybody with them costs about as much as it saves.
_MOST_ADDED = 0.25


@dataclass(frozen=True)
class ChangesTask:
    """The parts of an earlier graph, paths of all shards whose vectors it compared, and of all that this run's are from.

    `blocks` are all of this run's; `directory` is for what is found.
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
    cannot be read any more nothing is known of it, and everything counts as changed.
    """
    alone = sorted(set(task.shards_then) ^ set(task.shards_now))
    try:
        held = [ids_of(read_table(path, ["content_key"])["content_key"].combine_chunks()) for path in alone]
        suspects = np.intersect1d(_joined(held), ids)
        if not len(suspects):
            return suspects
        same = _vectors(task.shards_then, suspects), _vectors(task.shards_now, suspects)
    except (CorruptFileError, FileNotFoundError):
        return ids
    return suspects[np.any(same[0] != same[1], axis=1)] if same[0].shape == same[1].shape else suspects


def _vectors(shards: Sequence[str], ids: np.ndarray) -> np.ndarray:
    """The bits of the vectors of `ids`, ascending, uint32 (n, dim): as the store answers, by the first shard in path order."""
    bits: np.ndarray | None = None
    missing = np.ones(len(ids), bool)
    for path in sorted(shards):
        if not missing.any():
            break
        held = ids_of(read_table(path, ["content_key"])["content_key"].combine_chunks())
        place = np.minimum(np.searchsorted(held, ids), max(0, len(held) - 1))
        hit = missing & (held[place] == ids) if len(held) else np.zeros(len(ids), bool)
        if hit.any():
            column = read_table(path, ["vector"])["vector"].combine_chunks()
            rows = column.flatten().to_numpy().reshape(len(held), -1).view(np.uint32)
            bits = np.zeros((len(ids), rows.shape[1]), np.uint32) if bits is None else bits
            bits[hit], missing[hit] = rows[place[hit]], False
    if bits is None or missing.any():
        raise CorruptFileError(f"{int(missing.sum())} texts have no vector in the shards that are said to hold them")
    return bits


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *arrays])


def load_ids(file: FileRef) -> np.ndarray:
    """Ids that `find_changes` wrote."""
    return load_array(file.path)
