"""Beam wrapper of this room: many queries, answered by many workers."""

from dataclasses import dataclass

import apache_beam as beam

from transforms.embedding import EmbeddingOptions
from transforms.search.batch import BatchOptions, HitsRecord, search_part


@dataclass
class SearchQueries(beam.PTransform):
    """QueriesPart → HitsRecord: the answers to every query of a part, as a file."""

    embedding: EmbeddingOptions
    asked: BatchOptions

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Answer each of the parts."""
        search = beam.Map(search_part, self.embedding, self.asked).with_output_types(HitsRecord)
        return tasks | "SearchParts" >> search
