"""Beam wrapper of the embedding stage."""

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from transforms.embedding import EmbeddingOptions, EncoderSpec
from transforms.vectors.fill import EmbedRecord, EmbedTask, MissingRecord, PartFiller, count_missing
from transforms.vectors.measure import LengthRecord, measure_lengths
from transforms.vectors.queries import QueriesRecord, embed_queries


@dataclass
class EmbedPassages(beam.PTransform):
    """EmbedTask → EmbedRecord: stored vectors for every distinct text, and vector blocks in canonical order."""

    spec: EncoderSpec
    options: EmbeddingOptions
    threads: int | None = None

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Fill each of the parts."""
        fill = beam.ParDo(_FillParts(self.spec, self.options, self.threads)).with_output_types(EmbedRecord)
        return tasks | "FillParts" >> fill


@dataclass
class EmbedQueries(beam.PTransform):
    """QueriesTask → QueriesRecord: vectors of the user's queries. One worker."""

    spec: EncoderSpec
    options: EmbeddingOptions
    threads: int | None = None

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Embed each task's queries."""
        embed = beam.Map(embed_queries, self.spec, self.options, self.threads).with_output_types(QueriesRecord)
        return tasks | "EmbedQueries" >> embed


@dataclass
class CountMissing(beam.PTransform):
    """EmbedTask → MissingRecord: what a run would have to embed."""

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Look each of the parts up."""
        count = beam.Map(count_missing).with_output_types(MissingRecord)
        return tasks | "CountMissing" >> count


@dataclass
class MeasureLengths(beam.PTransform):
    """VectorBlock → LengthRecord: whether its vectors are finite, and how far from length 1."""

    def expand(self, blocks: beam.PCollection) -> beam.PCollection:
        """Measure each of the blocks."""
        measure = beam.Map(measure_lengths).with_output_types(LengthRecord)
        return blocks | "MeasureLengths" >> measure


class _FillParts(beam.DoFn):
    """Parts of one bundle are filled together: what is missing in them is embedded at once."""

    embedded = beam.metrics.Metrics.counter("embed", "texts-embedded")
    reused = beam.metrics.Metrics.counter("embed", "texts-reused")

    def __init__(self, spec: EncoderSpec, options: EmbeddingOptions, threads: int | None) -> None:
        self._arguments = (spec, options, threads)

    def start_bundle(self) -> None:
        self._filler = PartFiller(*self._arguments)

    def process(self, task: EmbedTask) -> Iterator[EmbedRecord]:
        yield from self._counted(self._filler.add(task))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for record in self._counted(self._filler.finish()):
            yield GlobalWindows.windowed_value(record)

    def _counted(self, records: Iterator[EmbedRecord]) -> Iterator[EmbedRecord]:
        for record in records:
            self.embedded.inc(record.texts_embedded)
            self.reused.inc(record.texts_reused)
            yield record
