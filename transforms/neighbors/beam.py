"""Beam wrappers of the neighbour graph."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast, get_type_hints

import apache_beam as beam

from transforms.neighbors.approximate.graph import Step
from transforms.neighbors.changes import ChangesRecord, find_changes
from transforms.neighbors.graph import NeighborsRecord, NeighborsTask, build_parts
from transforms.neighbors.options import NeighborsOptions
from transforms.neighbors.stripes import StripeLists, StripeTask, compare_stripe, settle_stripe


@dataclass
class NeighborGraph(beam.PTransform):
    """StripeTask → NeighborsRecord: a graph from nothing, every pair of texts compared once."""

    options: NeighborsOptions
    threads: int = 1

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Compare the stripes, and gather the lists of each to settle them."""
        return (
            tasks
            | "CompareStripes" >> beam.ParDo(_CompareStripe(self.options, self.threads))
            | "GatherLists" >> beam.GroupByKey()
            | "SettleStripes" >> beam.ParDo(_SettleStripe(self.options, self.threads)).with_output_types(NeighborsRecord)
        )


@dataclass
class UpdatedGraph(beam.PTransform):
    """Tuples of NeighborsTask → NeighborsRecord: tiles of texts whose lists follow from an earlier graph where they can."""

    options: NeighborsOptions
    threads: int | None = None

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Search each of the tiles."""
        build = beam.ParDo(_BuildParts(self.options, self.threads)).with_output_types(NeighborsRecord)
        return tasks | "SearchTiles" >> build


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
        """Do the step for each task."""
        step = beam.Map(self.step, self.options, self.threads).with_output_types(self.record_type)
        return tasks | self.step.__name__ >> step


class _Counted(beam.DoFn):
    rows = beam.metrics.Metrics.counter("neighbors", "rows")
    searched_exactly = beam.metrics.Metrics.counter("neighbors", "rows-searched-exactly")

    def counted(self, record: NeighborsRecord) -> NeighborsRecord:
        self.rows.inc(record.rows)
        self.searched_exactly.inc(record.searched_exactly)
        return record


class _BuildParts(_Counted):
    def __init__(self, options: NeighborsOptions, threads: int | None) -> None:
        self._arguments = (options, threads)

    def process(self, tasks: tuple[NeighborsTask, ...]) -> Iterator[NeighborsRecord]:
        for record in build_parts(tasks, *self._arguments):
            yield self.counted(record)


class _CompareStripe(beam.DoFn):
    def __init__(self, options: NeighborsOptions, threads: int) -> None:
        self._arguments = (options, threads)

    def process(self, task: StripeTask) -> Iterator[tuple[int, StripeLists]]:
        for lists in compare_stripe(task, *self._arguments):
            yield lists.number, lists


class _SettleStripe(_Counted):
    def __init__(self, options: NeighborsOptions, threads: int) -> None:
        self._arguments = (options, threads)

    def process(self, lists: tuple[int, Iterable[StripeLists]]) -> Iterator[NeighborsRecord]:
        for record in settle_stripe(list(lists[1]), *self._arguments):
            yield self.counted(record)
