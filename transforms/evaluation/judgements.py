"""Relevance judgements: which documents answer which queries, from a folder as BEIR has it or from tables."""

import csv
import io
import json
import math
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.corpus import InputError, is_visible
from transforms.files import filesystem_of, join, redact

# Names of columns, the first of which is there counts: BEIR calls ids `_id` and its TSV has its own names.
_QUERY_IDS, _TEXTS = ("query_id", "_id", "id", "qid"), ("text", "query")
_QRELS = (("query_id", "query-id", "qid"), ("doc_id", "corpus-id", "docid"), ("relevance", "score", "label"))


@dataclass(frozen=True)
class Judgements:
    """Queries that somebody has judged documents for.

    `texts` has the text of each query, by id, in the order of the file. `relevance` has for each of them the grades of the
    judged documents: above 0 is relevant. `left_out` counts what cannot be used, by reason.
    """

    texts: dict[str, str]
    relevance: dict[str, dict[str, int]]
    left_out: dict[str, int]

    @property
    def judged(self) -> int:
        """Number of pairs of a query and a document that are judged."""
        return sum(map(len, self.relevance.values()))


def read_judgements(qrels: str, queries: str | None = None, split: str = "test") -> Judgements:
    """Read judgements: `qrels` is a BEIR folder (`queries.jsonl`, `qrels/SPLIT.tsv`), or a file with query_id, doc_id and
    relevance, beside `queries` with query_id and text. Files are Parquet, JSON Lines or TSV.

    Left out and counted: judgements of a query that has no text, queries without a judgement, queries none of whose judged
    documents is relevant (every measure would be 0 whatever a search finds). Raises InputError, which names the file, for what
    cannot be understood, and when nothing is left.
    """
    fs, inner = filesystem_of(qrels)
    if fs.isdir(inner):
        queries = queries or join(qrels, "queries.jsonl")
        qrels = join(qrels, "qrels", f"{split}.tsv")
    elif queries is None:
        raise InputError(
            f"judgements {redact(qrels)!r} have no queries: give their file with --queries, or a BEIR folder in place of both"
        )
    texts, left_out = _texts(queries)
    relevance: dict[str, dict[str, int]] = {}
    unknown = 0
    for query_id, doc_id, grade in _grades(qrels):
        if query_id not in texts:
            unknown += 1
            continue
        judged = relevance.setdefault(query_id, {})
        if judged.setdefault(doc_id, grade) != grade:
            raise InputError(
                f"judgements {redact(qrels)!r}: query {query_id!r} and document {doc_id!r} have two relevances: remove one"
            )
    useful = {query_id: relevance[query_id] for query_id in texts if max(relevance.get(query_id, {}).values(), default=0) > 0}
    counts = {
        "judgements of queries without a text": unknown,
        "queries without a judgement": sum(query_id not in relevance for query_id in texts),
        "queries without a relevant document": len(relevance) - len(useful),
    }
    left_out |= {reason: count for reason, count in counts.items() if count}
    if not useful:
        reasons = "".join(f", {count:,} {reason}" for reason, count in left_out.items())
        raise InputError(
            f"judgements {redact(qrels)!r} and queries {redact(queries)!r} have no query to measure{reasons}: "
            "check that their ids agree"
        )
    return Judgements({query_id: texts[query_id] for query_id in useful}, useful, left_out)


def _texts(path: str) -> tuple[dict[str, str], dict[str, int]]:
    """Texts of queries by id, and how many have none."""
    texts: dict[str, str] = {}
    blank = 0
    for row, (query_id, text) in enumerate(_columns(path, (_QUERY_IDS, _TEXTS))):
        if query_id is None or query_id in texts:
            what = "no id" if query_id is None else f"the id {query_id!r} of an earlier one"
            raise InputError(f"queries {redact(path)!r}: row {row} has {what}: every query needs an id of its own")
        if text is None or not _is_visible(str(text), row, path):
            blank += 1
        else:
            texts[query_id] = str(text)
    return texts, {"queries without a text": blank} if blank else {}


def _is_visible(text: str, row: int, path: str) -> bool:
    """Whether a search would take the text."""
    try:
        return bool(is_visible(pa.array([text], pa.string()))[0].as_py())
    except UnicodeEncodeError:
        raise InputError(f"queries {redact(path)!r}: row {row} is no Unicode, {text[:80]!r}: write it in UTF-8") from None


def _grades(path: str) -> Iterator[tuple[str, str, int]]:
    for row, (query_id, doc_id, relevance) in enumerate(_columns(path, _QRELS)):
        if query_id is None or doc_id is None:
            raise InputError(
                f"judgements {redact(path)!r}: row {row} has no {'query' if query_id is None else 'document'}: remove the row"
            )
        try:
            grade = float(relevance)
        except (TypeError, ValueError, OverflowError):
            grade = math.nan
        if not grade.is_integer():
            raise InputError(
                f"judgements {redact(path)!r}: row {row} has relevance {relevance!r}; it is a whole number, above 0 "
                "for relevant"
            )
        yield query_id, doc_id, int(grade)


def _columns(path: str, wanted: Sequence[Sequence[str]]) -> Iterator[tuple[Any, ...]]:
    """Rows of the wanted columns, each the first of several names that is there; ids, which come first, as strings."""
    rows = _read(path)
    columns = set().union(*(row.keys() for row in rows[:1]))
    chosen = []
    for names in wanted:
        name = next((name for name in names if name in columns), None)
        if name is None:
            found = ", ".join(map(repr, sorted(columns))) or "none"
            raise InputError(
                f"{redact(path)!r} has no column {names[0]!r} (or {', '.join(names[1:])}); found: {found}: rename the column"
            )
        chosen.append(name)
    ids = max(len(chosen) - 1, 1)
    for row in rows:
        values = [row.get(name) for name in chosen]
        if fractions := [value for value in values[:ids] if isinstance(value, float)]:
            raise InputError(
                f"{redact(path)!r} has the id {fractions[0]!r}, a fraction, which names no document: write ids as text"
            )
        yield (*(None if value is None else str(value) for value in values[:ids]), *values[ids:])


def _read(path: str) -> list[dict[str, Any]]:
    ending = posixpath.splitext(path.lower())[1]
    fs, inner = filesystem_of(path)
    try:
        with fs.open(inner, "rb") as file:
            if ending in (".parquet", ".pq"):
                return pq.read_table(file).to_pylist()
            if ending in (".jsonl", ".ndjson", ".json"):
                return [_object(line, number, path) for number, line in enumerate(file, 1) if line.strip()]
            if ending in (".tsv", ".csv"):
                return _separated(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), ending, path)
    except FileNotFoundError:
        raise InputError(f"{redact(path)!r} does not exist: give judgements and their queries") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{redact(path)!r} cannot be read: {str(error).splitlines()[0]}") from error
    raise InputError(f"{redact(path)!r} has no known ending: Parquet, JSON Lines (.jsonl), .tsv and .csv are read")


def _separated(text: TextIO, ending: str, path: str) -> list[dict[str, Any]]:
    if ending == ".tsv":
        reader, repair = csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE), "write tabs in texts as spaces"
    else:
        reader, repair = csv.DictReader(text), "quote texts with commas"
    rows = []
    for row in reader:
        # Where the reader puts what has no column.
        if None in row:
            raise InputError(f"{redact(path)!r}: line {reader.line_num} has more fields than the header: {repair}")
        rows.append(row)
    return rows


def _object(line: bytes, number: int, path: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{redact(path)!r}: line {number} is not JSON ({error}): correct or remove it") from None
    if not isinstance(row, dict):
        raise InputError(f"{redact(path)!r}: line {number} is not an object: correct or remove it")
    return row
