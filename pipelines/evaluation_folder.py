"""The folder that `evaluate --output` writes its figures into, which may be a folder of the user's with other files in it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipelines.output_folder import check_output_folder, has_schema
from transforms.evaluation import CONFIDENCE, MEASURES
from transforms.files import (
    describe,
    filesystem_of,
    join,
    read_json,
    remove,
    write_json,
    write_table,
)

FIGURES = "evaluation.json"


def measure_column(measure: str) -> str:
    """A measure's column in the table of queries."""
    return measure.lower().replace("@", "_at_")


def _schema(**columns: tuple[pa.DataType, str]) -> pa.Schema:
    """Columns with type and description."""
    schema = pa.schema([(name, kind) for name, (kind, _) in columns.items()])
    return describe(schema, {name: text for name, (_, text) in columns.items()})


_TASK = (pa.string(), "What was measured: retrieval, pairs, topics or index.")
_MEASURE = (pa.string(), "Name of the measure; larger is better, but for noise.")
_INTERVAL = {
    "low": (pa.float64(), f"Lower end of the {CONFIDENCE:.0%} interval; null where there is none."),
    "high": (pa.float64(), "Upper end of it."),
}
_ITEMS = (pa.int64(), "Queries, pairs or passages that were measured.")
_SYSTEM = (pa.string(), "Which system.")
_QUERY = (pa.string(), "The query.")

# Tables by the name of their file, without the ending.
TABLES = {
    "measures": _schema(
        task=_TASK, system=_SYSTEM, measure=_MEASURE, value=(pa.float64(), "The measure."), **_INTERVAL, items=_ITEMS
    ),
    "comparisons": _schema(
        task=_TASK,
        a=(pa.string(), "The system that is compared with."),
        b=(pa.string(), "The system whose difference this is."),
        measure=_MEASURE,
        difference=(pa.float64(), "Measure of b minus that of a."),
        **_INTERVAL,
        p=(pa.float64(), "Of the randomization test, two-sided; null where there is none."),
        items=_ITEMS,
    ),
    "queries": _schema(
        system=_SYSTEM,
        query_id=_QUERY,
        judged=(pa.int64(), "Documents that are judged for it."),
        relevant=(pa.int64(), "Those of them with a relevance above 0."),
        **{measure_column(measure): (pa.float64(), f"{measure} of this query.") for measure in MEASURES},
    ),
    "rankings": _schema(
        system=_SYSTEM,
        query_id=_QUERY,
        rank=(pa.int32(), "Place of the document, from 1."),
        doc_id=(pa.string(), "The document that was found."),
        passage_no=(pa.int32(), "Its best passage."),
    ),
    "pairs": _schema(
        system=_SYSTEM,
        pair=(pa.int64(), "Number of the pair among those that could be used, from 0, in the order of the file."),
        cosine=(pa.float32(), "Cosine of its texts, embedded as documents."),
        judged=(pa.float64(), "The score or label that people gave."),
    ),
}


def check_evaluation_folder(output: str, labels: Sequence[str]) -> None:
    """Raise ConfigurationError for a folder that has the labels in it, or a file of our names that is not ours.

    `labels` are the paths of qrels, queries and pairs, as the user gave them.
    """
    check_output_folder(output, labels, "labels", _files(output), "no evaluation wrote and this one would replace")


def write_evaluation(output: str, figures: dict[str, Any], tables: Mapping[str, pa.Table]) -> list[str]:
    """Write all figures and tables, and remove tables of an earlier evaluation that this one has not; returns the paths."""
    paths = [write_table(join(output, f"{name}.parquet"), table).path for name, table in tables.items()]
    write_json(join(output, FIGURES), figures)
    paths = [join(output, FIGURES), *paths]
    for path, ours in list(_files(output)):
        if ours and path not in paths:
            remove(path)
    return paths


def _files(output: str) -> Iterator[tuple[str, bool]]:
    """Each file there that has a name of ours, and whether this command wrote it."""
    for name in (FIGURES, *(f"{table}.parquet" for table in TABLES)):
        path = join(output, name)
        fs, inner = filesystem_of(path)
        fs.invalidate_cache(inner)
        if fs.exists(inner):
            yield path, _has_figures(path) if name == FIGURES else has_schema(path, TABLES[name.removesuffix(".parquet")])


def _has_figures(path: str) -> bool:
    try:
        found = read_json(path)
    except (ValueError, OSError):
        return False
    return isinstance(found, dict) and {"systems", "resamples", "sections"} <= found.keys()
