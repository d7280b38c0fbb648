"""Beam wrapper of the choice of precision: measured where the embedding will run."""

from dataclasses import dataclass

import apache_beam as beam

from transforms.embedding.precision import measure_precision


@dataclass
class MeasurePrecision(beam.PTransform):
    """Device (None: the best present) → "bf16" or "fp32", measured on a worker."""

    def expand(self, devices: beam.PCollection) -> beam.PCollection:
        """Measure once for each device asked for."""
        return devices | "Measure" >> beam.Map(measure_precision).with_output_types(str)
