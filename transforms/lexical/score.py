"""BM25 scores of a range of terms in all texts."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, file_ref, join, read_table, write_table
from transforms.lexical.count import COUNTS_SCHEMA, CountRecord
from transforms.lexical.options import LexicalOptions
from transforms.vectors import load_array, save_array

_HASHES = 1 << 32


@dataclass(frozen=True)
class ScoreTask:
    """All counts in position order, and which of `parts` equal ranges of hashes of terms is scored."""

    part: int
    parts: int
    counted: tuple[CountRecord, ...]
    directory: str


@dataclass(frozen=True)
class ScoreRecord:
    """Scores of one range of terms, term by term, each by position: `scores` float32 (m,), `positions` int32 (m,), and of its
    terms a table with their names and in how many `texts` each is.
    """

    part: int
    terms: FileRef
    scores: FileRef
    positions: FileRef


def score_words(task: ScoreTask, options: LexicalOptions) -> ScoreRecord:
    """Score every occurrence of the terms in a range. Memory: the range's counts, and the lengths of all texts."""
    low, high = (_HASHES * border // task.parts for border in (task.part, task.part + 1))
    tables = [read_table(record.counts.path, key="hash", low=low, high=high) for record in task.counted]
    table = pa.concat_tables([COUNTS_SCHEMA.empty_table(), *tables])
    # Parts are in position order, and so is what each has of one term.
    table = table.sort_by([(name, "ascending") for name in ("hash", "term", "position")]).combine_chunks()
    lengths = np.concatenate([np.empty(0, np.int32), *(load_array(record.lengths.path) for record in task.counted)])
    term = table["term"].combine_chunks().dictionary_encode()  # in order of first appearance, hence one run each
    codes, names = term.indices.to_numpy(), term.dictionary
    texts = np.bincount(codes, minlength=len(names))
    positions = table["position"].to_numpy()
    mean_length = lengths.mean() if len(lengths) else 0.0
    scores = bm25(table["count"].to_numpy(), lengths[positions], texts[codes], len(lengths), mean_length, options)
    name = f"{task.part:05d}"
    for kind, array in (("scores", scores), ("positions", positions)):
        save_array(join(task.directory, f"{kind}-{name}.npy"), array)
    refs = [file_ref(join(task.directory, f"{kind}-{name}.npy"), len(scores)) for kind in ("scores", "positions")]
    terms = pa.table({"term": names, "texts": texts})
    return ScoreRecord(task.part, write_table(join(task.directory, f"terms-{name}.parquet"), terms, durable=False), *refs)


def bm25(
    count: np.ndarray, length: np.ndarray, with_term: np.ndarray, texts: int, mean_length: float, options: LexicalOptions
) -> np.ndarray:
    """The score of a term in a text, float32 (m,), all arguments but the last three (m,).

    log(1 + (N - n + 0.5) / (n + 0.5)) * f / (f + k1 * (1 - b + b * l / L)): the term is f times in a text of l words, in n of N
    texts, L words long in the mean. Robertson and Zaragoza 2009 with the idf of Lucene, which is never negative (Kamphuis et
    al. 2020, "Which BM25 do you mean?"): `lucene` in bm25s.
    """
    idf = np.log1p((texts - with_term + 0.5) / (with_term + 0.5))
    shortened = options.k1 * (1 - options.b + options.b * length / mean_length)
    return np.asarray(idf * count / (count + shortened), np.float32)
