"""The Beam wrapper of the lexical room."""

from dataclasses import dataclass
from typing import cast, get_type_hints

import apache_beam as beam

from transforms.lexical.options import LexicalOptions
from transforms.lexical.steps import Step


@dataclass
class LexicalStep(beam.PTransform):
    """Tasks → records of one of the steps in `steps.py`, such as `count_words`."""

    step: Step
    options: LexicalOptions

    @property
    def record_type(self) -> type:
        """What the step returns."""
        return cast(type, get_type_hints(self.step)["return"])

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Do the step for each task."""
        step = beam.Map(self.step, self.options).with_output_types(self.record_type)
        return tasks | self.step.__name__ >> step
