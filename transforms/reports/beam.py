"""The report as a Beam step: tasks in, records out."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import apache_beam as beam

from transforms.reports.options import ReportOptions
from transforms.reports.write import ReportRecord, ReportTask, write_report


class _WriteReportFn(beam.DoFn):
    def __init__(self, options: ReportOptions) -> None:
        self._options = options
        self._bytes = beam.metrics.Metrics.counter("reports", "bytes-written")

    def process(self, task: ReportTask) -> Iterator[ReportRecord]:
        record = write_report(task, self._options)
        self._bytes.inc(record.file.size)
        yield record


@dataclass
class WriteReport(beam.PTransform):
    """Write the page of each `ReportTask`; emits a `ReportRecord` each."""

    options: ReportOptions = field(default_factory=ReportOptions)

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Tasks to records, one page per task."""
        return tasks | "WritePages" >> beam.ParDo(_WriteReportFn(self.options)).with_output_types(ReportRecord)
