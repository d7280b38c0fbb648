"""Beam wrappers of this room, and how the driver chains them.

    units = plan_units(options)                                          # driver: listings, footers; InputError
    read = run(Create(units) | ReadCorpus(options, WORK/runs, OUT/quarantine))        # UnitRecords
    check_readable(read, options)                                        # driver: InputError
    plan = plan_documents(read, options, OUT/documents, OUT/quarantine, WORK/keys, splitter)    # driver: parts, kinds
    documents = run(Create(plan.tasks()) | CanonicalDocuments(plan))     # DocumentsRecords
    check_quarantine(read, documents, options)                           # driver: QuarantineLimitError
    plan = plan_passages(documents, options, WORK/passages)              # driver: parts
    passages = run(Create(plan.tasks()) | DistinctPassages(plan))        # PassagesRecords, sort them by part

Each `run` is a pipeline (a later one reads files that an earlier one wrote). WORK is a folder of this run, OUT the
generation being built. An empty corpus gives one empty part, not an error: whether that may be published is the
driver's decision.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam

from transforms.corpus.documents import DocumentsPlan, write_documents
from transforms.corpus.options import CorpusOptions
from transforms.corpus.passages import PassagesPlan, write_passages
from transforms.corpus.read import read_unit
from transforms.corpus.records import DocumentsRecord, PartTask, PassagesRecord, UnitRecord
from transforms.corpus.sample import sample_threshold
from transforms.corpus.units import SourceUnit


@dataclass
class ReadCorpus(beam.PTransform):
    """SourceUnit → UnitRecord: rows validated into sorted runs under `directory` and `quarantine`."""

    options: CorpusOptions
    directory: str
    quarantine: str

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Read each of the units."""
        read = beam.ParDo(_ReadUnit(self.options, self.directory, self.quarantine)).with_output_types(UnitRecord)
        return units | "ReadUnits" >> read


@dataclass
class CanonicalDocuments(beam.PTransform):
    """PartTask → DocumentsRecord: each document once, in canonical order; the sample is chosen on the way."""

    plan: DocumentsPlan

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Find the sample's threshold (8 bytes, a side input), and write each of the parts."""
        threshold = (
            tasks.pipeline
            | "NameSample" >> beam.Create([self.plan.sample])
            | "FindThreshold" >> beam.Map(_threshold, self.plan).with_output_types(bytes)
        )
        write = beam.ParDo(_WriteDocuments(self.plan), beam.pvalue.AsSingleton(threshold))
        return tasks | "WriteDocuments" >> write.with_output_types(DocumentsRecord)


@dataclass
class DistinctPassages(beam.PTransform):
    """PartTask → PassagesRecord: one row per distinct text, in content-key order."""

    plan: PassagesPlan

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Write each of the parts."""
        write = beam.ParDo(_WritePassages(self.plan)).with_output_types(PassagesRecord)
        return tasks | "WritePassages" >> write


def _threshold(sample: int | None, plan: DocumentsPlan) -> bytes:
    """The sample's threshold; b"" stands for none."""
    return b"" if sample is None else sample_threshold(plan.runs, sample) or b""


class _ReadUnit(beam.DoFn):
    rows_read = beam.metrics.Metrics.counter("corpus", "rows-read")
    rows_valid = beam.metrics.Metrics.counter("corpus", "rows-valid")

    def __init__(self, options: CorpusOptions, directory: str, quarantine: str) -> None:
        self._arguments = (options, directory, quarantine)

    def process(self, unit: SourceUnit) -> Iterator[UnitRecord]:
        record = read_unit(unit, *self._arguments)
        self.rows_read.inc(record.rows_read)
        self.rows_valid.inc(record.rows_valid)
        yield record


class _WriteDocuments(beam.DoFn):
    written = beam.metrics.Metrics.counter("corpus", "documents-written")
    duplicate_ids = beam.metrics.Metrics.counter("corpus", "duplicate-ids")

    def __init__(self, plan: DocumentsPlan) -> None:
        self._plan = plan

    def process(self, task: PartTask, threshold: bytes) -> Iterator[DocumentsRecord]:
        record = write_documents(task, self._plan, threshold or None)
        self.written.inc(record.rows)
        self.duplicate_ids.inc(record.duplicate_ids)
        yield record


class _WritePassages(beam.DoFn):
    written = beam.metrics.Metrics.counter("corpus", "distinct-texts")

    def __init__(self, plan: PassagesPlan) -> None:
        self._plan = plan

    def process(self, task: PartTask) -> Iterator[PassagesRecord]:
        record = write_passages(task, self._plan)
        self.written.inc(record.rows)
        yield record
