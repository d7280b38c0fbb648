"""The Beam wrapper of rooms whose work is cut into steps: functions of (task, options) to a record."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast, get_type_hints

import apache_beam as beam


@dataclass
class StepTransform(beam.PTransform):
    """Tasks → records of one step."""

    step: Callable[[Any, Any], Any]
    options: Any

    @property
    def record_type(self) -> type:
        """What the step returns."""
        return cast(type, get_type_hints(self.step)["return"])

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Do the step for each task."""
        step = beam.Map(self.step, self.options).with_output_types(self.record_type)
        return tasks | self.step.__name__ >> step
