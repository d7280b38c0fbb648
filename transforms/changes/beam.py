"""Beam wrapper of this room."""

from dataclasses import dataclass

import apache_beam as beam

from transforms.changes.compare import compare_part
from transforms.changes.counts import Changes


@dataclass
class CompareDocuments(beam.PTransform):
    """CompareTask → Changes: the documents of each range by what became of them."""

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Compare each of the ranges."""
        compare = beam.Map(compare_part).with_output_types(Changes)
        return tasks | "Compare" >> compare
