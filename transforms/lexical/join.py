"""The published index: the scores of all ranges of terms, one after the other, in the files that bm25s loads."""

import importlib.metadata
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from transforms.files import FileRef, join, read_table, write_hashed
from transforms.lexical.count import CountRecord
from transforms.lexical.options import LexicalOptions
from transforms.lexical.score import ScoreRecord
from transforms.vectors import load_array

# The names that bm25s.BM25.load looks for, and the ids of the index's rows.
SCORES, POSITIONS, BORDERS = "data.csc.index.npy", "indices.csc.index.npy", "indptr.csc.index.npy"
TERMS, PARAMETERS, IDS = "vocab.index.json", "params.index.json", "ids.npy"


@dataclass(frozen=True)
class JoinTask:
    """Everything counted, in position order, and scored, by range of terms. The index goes to `directory`."""

    counted: tuple[CountRecord, ...]
    scored: tuple[ScoreRecord, ...]
    directory: str


@dataclass(frozen=True)
class JoinRecord:
    """The index's files, and how many terms and how many scores it has."""

    published: tuple[FileRef, ...]
    terms: int
    scores: int


def join_scores(task: JoinTask, options: LexicalOptions) -> JoinRecord:
    """Write the index. Memory: 8 bytes for each term, and the terms or scores of one range."""
    per_term = [read_table(record.terms.path, ["texts"])["texts"].to_numpy() for record in task.scored]
    borders = np.concatenate([[0], np.cumsum(np.concatenate([np.empty(0, np.int64), *per_term]))]).astype(np.int64)
    terms, scores, texts = len(borders) - 1, int(borders[-1]), sum(record.ids.rows or 0 for record in task.counted)
    parameters = {
        "k1": options.k1,
        "b": options.b,
        "delta": 0.5,  # bm25s wants one; this formula has none
        "method": "lucene",
        "idf_method": "lucene",
        "dtype": "float32",
        "int_dtype": "int32",
        "num_docs": texts,
        "version": importlib.metadata.version("bm25s"),
        "backend": "numpy",
    }
    written: dict[str, Callable[[BinaryIO], Any]] = {
        SCORES: lambda file: _append(file, np.float32, scores, [record.scores for record in task.scored]),
        POSITIONS: lambda file: _append(file, np.int32, scores, [record.positions for record in task.scored]),
        BORDERS: lambda file: np.save(file, borders, allow_pickle=False),
        TERMS: lambda file: _write_all(file, _vocabulary(task.scored)),
        PARAMETERS: lambda file: file.write(json.dumps(parameters, indent=4).encode()),
        IDS: lambda file: _append(file, np.int64, texts, [record.ids for record in task.counted]),
    }
    published = tuple(write_hashed(join(task.directory, name), write) for name, write in written.items())
    return JoinRecord(published, terms, scores)


def _append(file: BinaryIO, dtype: type, rows: int, parts: list[FileRef]) -> None:
    """One .npy file of one-dimensional ones."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": (rows,)}
    np.lib.format.write_array_header_1_0(file, header)
    for part in parts:
        file.write(np.ascontiguousarray(load_array(part.path)).data)


def _write_all(file: BinaryIO, pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        file.write(piece)


def _vocabulary(scored: tuple[ScoreRecord, ...]) -> Iterator[bytes]:
    """A JSON object with the number of each term, range by range."""
    number = 0
    yield b"{"
    for record in scored:
        terms = read_table(record.terms.path, ["term"])["term"].to_pylist()
        numbered = json.dumps({term: number + place for place, term in enumerate(terms)}, ensure_ascii=False)[1:-1]
        yield f"{', ' if number and terms else ''}{numbered}".encode()
        number += len(terms)
    yield b"}"
