"""Beam wrappers of the topics room: one step finds the topics, the others describe them part by part."""

from dataclasses import dataclass
from typing import cast, get_type_hints

import apache_beam as beam

from transforms.topics.options import TopicsOptions
from transforms.topics.stages import FoundTopics, find_topics
from transforms.topics.steps import Step


@dataclass
class FindTopics(beam.PTransform):
    """FindTopicsTask → FoundTopics: layout and clusters of the whole graph. One worker."""

    options: TopicsOptions

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Find each task's topics."""
        return tasks | "LayOutAndCluster" >> beam.Map(find_topics, self.options).with_output_types(FoundTopics)


@dataclass
class TopicsStep(beam.PTransform):
    """Tasks → records of one of the steps that describe topics, such as `count_texts`."""

    step: Step
    options: TopicsOptions

    @property
    def record_type(self) -> type:
        """What the step returns."""
        return cast(type, get_type_hints(self.step)["return"])

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Do the step for each task."""
        step = beam.Map(self.step, self.options).with_output_types(self.record_type)
        return tasks | self.step.__name__ >> step
