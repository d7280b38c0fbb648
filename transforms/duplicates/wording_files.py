"""The wording of a run's texts as files, one for each part of the passages: every part of the graph reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from transforms.duplicates.places import places_of
from transforms.duplicates.wording import HashSets, Wordings, concatenated_wordings, wordings_of
from transforms.files import FileRef, file_ref, filesystem_of, is_local, join, read_table, write_atomically
from transforms.threads import in_threads

# Parts that stay open. Local ones are memory-mapped and cost the pages that are used, others are in memory.
_PARTS = 32


@dataclass(frozen=True)
class WordingTask:
    """One part of the distinct passages, and the folder of its `wording-NNNNN.arrow`."""

    part: int
    passages: FileRef
    directory: str


@dataclass(frozen=True)
class WordingRecord:
    """The file of one part."""

    part: int
    file: FileRef


def write_wording_parts(tasks: Sequence[WordingTask], threads: int = 1) -> list[WordingRecord]:
    """Write the wordings of some parts, in so many threads. Memory: that of one part for each thread."""
    return in_threads(write_wording, tasks, threads)


def write_wording(task: WordingTask) -> WordingRecord:
    """Write the wordings of a part's texts. Memory: the part's texts and their words."""
    table = read_table(task.passages.path, ["id", "text"])
    path = join(task.directory, f"wording-{task.part:05d}.arrow")
    return WordingRecord(task.part, write_wordings(path, table["id"].to_numpy(), wordings_of(table["text"].to_pylist())))


def write_wordings(path: str, ids: np.ndarray, wordings: Wordings) -> FileRef:
    """Write wordings with their texts' `ids` int64 (n,) as an Arrow file.

    Not compressed: hashes would not become smaller, and a memory map can read single texts.
    """
    columns = {
        "id": pa.array(ids),
        "words": _as_list(wordings.words),
        "grams": _as_list(wordings.grams),
        "quantities": pa.FixedSizeListArray.from_arrays(pa.array(wordings.quantities.ravel()), 3),
        "negations": pa.array(wordings.negations),
        "characters": pa.array(wordings.characters),
    }
    table = pa.table(columns)

    def write(file: BinaryIO) -> None:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    write_atomically(path, write, durable=False)
    return file_ref(path, len(wordings))


def read_wordings(path: str) -> tuple[np.ndarray, Wordings]:
    """Read what `write_wordings` wrote; of a local file only the pages that are used."""
    table = _open(path)
    if not table.num_rows:
        return np.empty(0, np.int64), wordings_of([])
    column = {name: table[name].chunk(0) for name in table.column_names}
    return column["id"].to_numpy(), Wordings(
        _as_sets(column["words"]),
        _as_sets(column["grams"]),
        column["quantities"].flatten().to_numpy().reshape(-1, 3),
        column["negations"].to_numpy(),
        column["characters"].to_numpy(),
    )


def read_characters(path: str) -> np.ndarray:
    """The length of each text of a part in characters: int32 (n,)."""
    return _open(path)["characters"].to_numpy()


class WordingReader:
    """The wordings of a run's texts by id, from the files of its parts, whose smallest ids are `first_ids`, ascending."""

    def __init__(self, files: Sequence[FileRef], first_ids: np.ndarray) -> None:
        self._files, self._first_ids = files, first_ids
        self._part = lru_cache(maxsize=_PARTS)(lambda part: read_wordings(files[part].path))

    def parts_of(self, ids: np.ndarray) -> np.ndarray:
        """The part of each text: int64 (n,)."""
        return np.searchsorted(self._first_ids, ids, side="right") - 1

    def of(self, ids: np.ndarray) -> Wordings:
        """Of texts (n,) by ascending id. Raises ValueError when the files are not those of these texts."""
        part_of, found = self.parts_of(ids), []
        for part in np.unique(part_of).tolist():
            known, wordings = self._part(part)
            places = places_of(ids[part_of == part], known)
            if np.any(places < 0):
                raise ValueError(
                    f"{self._files[part].path} lacks texts that have vectors: the passages and the blocks are of different runs"
                )
            found.append(wordings.take(places))
        return concatenated_wordings(found)


def _open(path: str) -> pa.Table:
    fs, inner = filesystem_of(path)
    source = pa.memory_map(inner) if is_local(path) else pa.py_buffer(fs.cat_file(inner))
    return pa.ipc.open_file(source).read_all()


def _as_list(sets: HashSets) -> pa.Array:
    return pa.LargeListArray.from_arrays(pa.array(sets.offsets), pa.array(sets.values))


def _as_sets(column: pa.LargeListArray) -> HashSets:
    return HashSets(column.offsets.to_numpy(), column.values.to_numpy())
