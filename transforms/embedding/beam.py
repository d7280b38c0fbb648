"""Beam wrapper of the choice of precision: measured where the embedding will run."""

from dataclasses import dataclass

import apache_beam as beam

from transforms.embedding.precision import measure_precision


@dataclass
class MeasurePrecision(beam.PTransform):
    """Device (None: the best present) → the precision that is worthwhile for a model, measured on a worker."""

    packable: bool

    def expand(self, devices: beam.PCollection) -> beam.PCollection:
        """Measure once for each device asked for."""
        return devices | "Measure" >> beam.Map(measure_precision, self.packable).with_output_types(str)
