"""Beam wrappers of the neighbour graph."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast, get_type_hints

import apache_beam as beam

from transforms.neighbors.approximate import Step
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


@dataclass
class ApproximateStep(beam.PTransform):
    """Tasks → records of one step of an approximate graph, see `approximate.py`."""

    step: Step
    options: NeighborsOptions
    threads: int | None = None

    @property
    def record_type(self) -> type:
        """What the step returns."""
        return cast(type, get_type_hints(self.step)["return"])

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Spread the tasks over the workers and do the step for each."""
        step = beam.Map(self.step, self.options, self.threads).with_output_types(self.record_type)
        return tasks | "SpreadTasks" >> beam.Reshuffle() | self.step.__name__ >> step


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
