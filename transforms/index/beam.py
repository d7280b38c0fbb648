"""Beam wrappers of the index stages."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam

from transforms.index.combine import MergeRecord, merge_index
from transforms.index.measure import ExactRecord, RecallRecord, RecallTask, find_exact, measure_recall
from transforms.index.options import IndexOptions
from transforms.index.shards import EncodeTask, ShardRecord, encode_shard
from transforms.index.train import TrainRecord, train_index


@dataclass
class TrainIndex(beam.PTransform):
    """TrainTask → TrainRecord: the template and the recall queries. One worker."""

    options: IndexOptions
    threads: int | None = None

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Train for each task."""
        return tasks | "Train" >> beam.Map(train_index, self.options, self.threads).with_output_types(TrainRecord)


@dataclass
class EncodeShards(beam.PTransform):
    """EncodeTask → ShardRecord: index shards of one template."""

    threads: int | None = None

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Encode each of the shards."""
        encode = beam.ParDo(_EncodeShard(self.threads)).with_output_types(ShardRecord)
        return tasks | "EncodeShards" >> encode


@dataclass
class MergeIndex(beam.PTransform):
    """MergeTask → MergeRecord: one index of all shards, and the table of ids. One worker."""

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Merge each task's shards."""
        return tasks | "Merge" >> beam.Map(merge_index).with_output_types(MergeRecord)


@dataclass
class MeasureRecall(beam.PTransform):
    """ExactTask → RecallRecord: exact answers from all blocks, then nprobe, the published index, and its recall beside them.

    One job: the answers are combined where the index is measured, by one worker.
    """

    task: RecallTask
    options: IndexOptions
    threads: int | None = None
    measure_threads: int | None = None

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Search each of the blocks, and measure once all have answered."""
        search = beam.Map(find_exact, self.threads).with_output_types(ExactRecord)
        return (
            tasks
            | "SearchExactly" >> search
            | "Together" >> beam.Map(_keyed).with_output_types(tuple[int, ExactRecord])
            | "Gather" >> beam.GroupByKey()
            | "Measure" >> beam.Map(_measure, self.task, self.options, self.measure_threads).with_output_types(RecallRecord)
        )


def _keyed(record: ExactRecord) -> tuple[int, ExactRecord]:
    return 0, record


def _measure(
    gathered: tuple[int, Iterable[ExactRecord]], task: RecallTask, options: IndexOptions, threads: int | None
) -> RecallRecord:
    # A bundle that ran twice has left its record twice.
    return measure_recall(task, sorted(set(gathered[1]), key=lambda record: record.part), options, threads)


class _EncodeShard(beam.DoFn):
    texts = beam.metrics.Metrics.counter("index", "texts-encoded")

    def __init__(self, threads: int | None) -> None:
        self._threads = threads

    def process(self, task: EncodeTask) -> Iterator[ShardRecord]:
        record = encode_shard(task, self._threads)
        self.texts.inc(record.texts)
        yield record
