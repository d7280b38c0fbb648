"""How often each word is in each text, for some parts of the passages."""

import zlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, file_ref, join, read_table, write_table
from transforms.lexical.options import LexicalOptions
from transforms.lexical.words import split_words
from transforms.vectors import save_array

# Work, not published: sorted by the hash of the term, the term, and the position of the text.
COUNTS_SCHEMA = pa.schema([("hash", pa.int64()), ("term", pa.string()), ("position", pa.int32()), ("count", pa.int32())])
# Rows of a row group: a task that weighs a range of terms reads the groups at its two borders in vain.
_GROUP = 65_536


@dataclass(frozen=True)
class CountTask:
    """Consecutive parts of the passages; `start` is the position of the first text."""

    part: int
    start: int
    passages: tuple[FileRef, ...]
    directory: str


@dataclass(frozen=True)
class CountRecord:
    """The counts of one task in COUNTS_SCHEMA.

    `ids` int64 (n,) and `lengths` int32 (n,) in words are of its texts in position order, as .npy.
    """

    part: int
    counts: FileRef
    ids: FileRef
    lengths: FileRef


def count_words(task: CountTask, options: LexicalOptions) -> CountRecord:
    """Count the words of some texts. Memory: the texts of one part with their words, and the counts of all."""
    tables, ids, lengths, start = [COUNTS_SCHEMA.empty_table()], [np.empty(0, np.int64)], [np.empty(0, np.int32)], task.start
    for part in task.passages:
        texts = read_table(part.path, ["id", "text"])
        words = split_words(texts["text"].to_pylist(), options.language)
        length = np.diff(words.bounds)
        width = max(len(words.terms), 1)
        pair, count = np.unique(np.repeat(np.arange(len(length)), length) * width + words.codes, return_counts=True)
        text, term = np.divmod(pair, width)
        hashes = np.fromiter((zlib.crc32(name.encode()) for name in words.terms), np.int64, len(words.terms))
        columns = [
            hashes[term],
            pa.array(words.terms, pa.string()).take(pa.array(term)),
            (start + text).astype(np.int32),
            count.astype(np.int32),
        ]
        tables.append(pa.table(columns, schema=COUNTS_SCHEMA))
        ids.append(texts["id"].to_numpy())
        lengths.append(length.astype(np.int32))
        start += len(length)
    table = pa.concat_tables(tables).sort_by([(name, "ascending") for name in ("hash", "term", "position")])
    name = f"{task.part:05d}"
    counts = write_table(join(task.directory, f"counts-{name}.parquet"), table, _GROUP, durable=False)
    arrays: dict[str, np.ndarray] = {"ids": np.concatenate(ids), "lengths": np.concatenate(lengths)}
    for kind, array in arrays.items():
        save_array(join(task.directory, f"{kind}-{name}.npy"), array)
    refs = {kind: file_ref(join(task.directory, f"{kind}-{name}.npy"), len(array)) for kind, array in arrays.items()}
    return CountRecord(task.part, counts, refs["ids"], refs["lengths"])
