"""Beam wrappers of paraphrase mining."""

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam

from transforms.duplicates.against import AgainstRecord, AroundRecord, compare_tile, measure_around
from transforms.duplicates.mine import MineRecord, MineTask, mine_parts
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.publish import GroupRecord, publish_duplicates
from transforms.duplicates.wording_files import WordingRecord, write_wording_parts


@dataclass
class ReadWording(beam.PTransform):
    """Tuples of WordingTask → WordingRecord: what the relation of texts is decided on, for some parts of the passages."""

    threads: int = 1

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Read each of the parts."""
        return tasks | "ReadTexts" >> beam.FlatMap(write_wording_parts, self.threads).with_output_types(WordingRecord)


@dataclass
class MinePairs(beam.PTransform):
    """Tuples of MineTask → MineRecord: the pairs that belong to some parts of the neighbour graph."""

    options: DuplicatesOptions
    threads: int = 1

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Mine each of the parts."""
        mine = beam.ParDo(_MineParts(self.options, self.threads)).with_output_types(MineRecord)
        return tasks | "MineParts" >> mine


@dataclass
class GroupDuplicates(beam.PTransform):
    """GroupTask → GroupRecord: merge the pairs, choose kept documents, write both tables. One worker."""

    options: DuplicatesOptions

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Publish each task's tables."""
        return tasks | "PublishTables" >> beam.Map(publish_duplicates, self.options).with_output_types(GroupRecord)


class _MineParts(beam.DoFn):
    pairs = beam.metrics.Metrics.counter("duplicates", "pairs")
    dropped = beam.metrics.Metrics.counter("duplicates", "pairs-dropped")

    def __init__(self, options: DuplicatesOptions, threads: int) -> None:
        self._arguments = (options, threads)

    def process(self, tasks: tuple[MineTask, ...]) -> Iterator[MineRecord]:
        for record in mine_parts(tasks, *self._arguments):
            self.pairs.inc(record.pairs)
            self.dropped.inc(record.pairs_dropped)
            yield record


@dataclass
class CompareTiles(beam.PTransform):
    """AgainstTask → AgainstRecord: all pairs of one tile of a set of texts with another set."""

    options: DuplicatesOptions
    k: int
    threads: int | None = None

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Compare each of the tiles."""
        compare = beam.Map(compare_tile, self.options, self.k, self.threads).with_output_types(AgainstRecord)
        return tasks | "CompareTiles" >> compare


@dataclass
class MeasureAround(beam.PTransform):
    """AroundTask → AroundRecord: the neighbourhoods of those texts of one tile that are in a pair."""

    options: DuplicatesOptions
    k: int
    threads: int | None = None

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Search for each of the tiles."""
        measure = beam.Map(measure_around, self.options, self.k, self.threads).with_output_types(AroundRecord)
        return tasks | "MeasureTiles" >> measure
