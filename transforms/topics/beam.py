"""Beam wrappers of the topics room: find, count part by part, then describe and assign."""

from dataclasses import dataclass

import apache_beam as beam

from transforms.topics.options import TopicsOptions
from transforms.topics.stages import (
    AssignedTopics,
    CountedTerms,
    CountTermsTask,
    DescribedTopics,
    FoundTopics,
    assign_topics,
    count_part,
    describe_topics,
    find_topics,
)


@dataclass
class FindTopics(beam.PTransform):
    """FindTopicsTask → FoundTopics: layout and clusters of the whole graph. One worker."""

    options: TopicsOptions

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Find each task's topics."""
        return tasks | "LayOutAndCluster" >> beam.Map(find_topics, self.options).with_output_types(FoundTopics)


@dataclass
class CountTerms(beam.PTransform):
    """CountTermsTask → CountedTerms: the term counts of one passages part."""

    options: TopicsOptions

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Spread the parts over the workers and count each."""
        count = beam.Map(count_part, self.options).with_output_types(CountedTerms)
        return tasks | "SpreadParts" >> beam.Reshuffle().with_output_types(CountTermsTask) | "CountTerms" >> count


@dataclass
class DescribeTopics(beam.PTransform):
    """DescribeTopicsTask → DescribedTopics: the topics table. One worker."""

    options: TopicsOptions

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Describe each task's topics."""
        return tasks | "Describe" >> beam.Map(describe_topics, self.options).with_output_types(DescribedTopics)


@dataclass
class AssignTopics(beam.PTransform):
    """AssignTopicsTask → AssignedTopics: the assignments table. One worker."""

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Assign each task's documents."""
        return tasks | "Assign" >> beam.Map(assign_topics).with_output_types(AssignedTopics)
