"""Small corpora, and the whole room in one call, as plain functions and as Beam jobs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.corpus import (
    CorpusOptions,
    PassageSplitter,
    plan_documents,
    plan_passages,
    plan_units,
    quarantine_reasons,
    read_unit,
    sample_threshold,
    write_documents,
    write_passages,
)
from transforms.corpus.beam import CanonicalDocuments, DistinctPassages, ReadCorpus


@dataclass
class Corpus:
    """What the room wrote for one input."""

    units: list
    documents: list
    passages: list

    @property
    def reasons(self) -> dict[str, int]:
        return quarantine_reasons(self.units, self.documents)

    def rows(self) -> list[dict[str, Any]]:
        return pa.concat_tables(pq.read_table(record.documents.path) for record in self.documents).to_pylist()

    def texts(self) -> list[dict[str, Any]]:
        return pa.concat_tables(pq.read_table(record.passages.path) for record in self.passages).to_pylist()

    def quarantine(self) -> list[dict[str, Any]]:
        refs = [ref for unit in self.units for ref in unit.quarantine]
        refs += [record.quarantine for record in self.documents if record.quarantine]
        return [row for ref in refs for row in pq.read_table(ref.path).to_pylist()]

    def digests(self) -> list[str]:
        """The published bytes, in order."""
        return [record.documents.sha256 for record in self.documents] + [record.passages.sha256 for record in self.passages]


def build(
    out: Path, splitter: PassageSplitter | None = None, failed: Sequence[tuple[str, str]] = (), **settings: Any
) -> Corpus:
    """Run the room's steps as plain functions."""
    options = CorpusOptions(**settings)
    units = [read_unit(unit, options, f"{out}/runs", f"{out}/quarantine") for unit in plan_units(options)]
    plan = plan_documents(units, options, f"{out}/documents", f"{out}/quarantine", f"{out}/keys", splitter, failed)
    threshold = sample_threshold(plan.runs, options.sample) if options.sample else None
    documents = [write_documents(task, plan, threshold) for task in plan.tasks()]
    passages_plan = plan_passages(documents, options, f"{out}/passages")
    return Corpus(units, documents, [write_passages(task, passages_plan) for task in passages_plan.tasks()])


def build_with_beam(out: Path, flags: tuple[str, ...] = (), **settings: Any) -> None:
    """Run the room's steps as Beam jobs and assert that each leaves the records of the plain functions."""
    options = CorpusOptions(**settings)
    pipeline_options = PipelineOptions([*flags])
    units = plan_units(options)
    arguments = (options, f"{out}/runs", f"{out}/quarantine")
    _run(units, ReadCorpus(*arguments), pipeline_options, lambda: [read_unit(unit, *arguments) for unit in units])
    read = [read_unit(unit, *arguments) for unit in units]
    plan = plan_documents(read, options, f"{out}/documents", f"{out}/quarantine", f"{out}/keys")
    threshold = sample_threshold(plan.runs, options.sample) if options.sample else None
    _run(
        plan.tasks(),
        CanonicalDocuments(plan),
        pipeline_options,
        lambda: [write_documents(task, plan, threshold) for task in plan.tasks()],
    )
    documents = [write_documents(task, plan, threshold) for task in plan.tasks()]
    passages_plan = plan_passages(documents, options, f"{out}/passages")
    _run(
        passages_plan.tasks(),
        DistinctPassages(passages_plan),
        pipeline_options,
        lambda: [write_passages(task, passages_plan) for task in passages_plan.tasks()],
    )


def _run(tasks: list, transform: beam.PTransform, options: PipelineOptions, plain: Any) -> None:
    """The expected records come from the plain functions; then files are deleted, so that the job must write them anew."""
    expected = plain()
    for record in expected:
        for value in vars(record).values():
            for ref in value if isinstance(value, tuple) else (value,):
                if path := getattr(ref, "path", None):
                    Path(path).unlink()
    with TestPipeline(runner="FnApiRunner", options=options) as pipeline:
        assert_that(pipeline | beam.Create(tasks) | transform, equal_to(expected))
    for record in expected:
        for value in vars(record).values():
            for ref in value if isinstance(value, tuple) else (value,):
                if path := getattr(ref, "path", None):
                    assert Path(path).exists(), path


def write_parquet(path: Path, columns: dict[str, Any], **options: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return str(path)


def write_jsonl(path: Path, rows: list[Any]) -> str:
    """One line per row: bytes as they are, anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return str(path)
