"""Beam wrapper of the neighbour graph."""

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam

from transforms.neighbors.changes import ChangesRecord, find_changes
from transforms.neighbors.graph import NeighborsRecord, NeighborsTask, build_part
from transforms.neighbors.options import NeighborsOptions


@dataclass
class NeighborGraph(beam.PTransform):
    """NeighborsTask → NeighborsRecord: one tile of texts against all texts."""

    options: NeighborsOptions
    threads: int | None = None

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Spread the tiles over the workers and search each."""
        build = beam.ParDo(_BuildPart(self.options, self.threads)).with_output_types(NeighborsRecord)
        return tasks | "SpreadTiles" >> beam.Reshuffle() | "SearchTiles" >> build


@dataclass
class FindChanges(beam.PTransform):
    """ChangesTask → ChangesRecord: what an earlier graph does not know. One worker."""

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Compare for each task."""
        return tasks | "Compare" >> beam.Map(find_changes).with_output_types(ChangesRecord)


class _BuildPart(beam.DoFn):
    rows = beam.metrics.Metrics.counter("neighbors", "rows")
    searched_exactly = beam.metrics.Metrics.counter("neighbors", "rows-searched-exactly")

    def __init__(self, options: NeighborsOptions, threads: int | None) -> None:
        self._arguments = (options, threads)

    def process(self, task: NeighborsTask) -> Iterator[NeighborsRecord]:
        record = build_part(task, *self._arguments)
        self.rows.inc(record.rows)
        self.searched_exactly.inc(record.searched_exactly)
        yield record
