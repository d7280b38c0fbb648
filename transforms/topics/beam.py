"""Beam wrappers of the topics room: find themes and topics, count terms part by part, then describe and assign."""

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
from transforms.topics.theme_stages import (
    ClusteredThemes,
    ClusterThemesTask,
    DescribedThemes,
    FindThemesTask,
    FoundThemes,
    JoinedTopics,
    cluster_themes,
    describe_themes,
    find_layer,
    join_topics,
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


@dataclass
class FindThemes(beam.PTransform):
    """FindThemesTask → FoundThemes: the themes of each layer. A worker holds the whole graph."""

    options: TopicsOptions

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Spread the layers over the workers and find the themes of each."""
        find = beam.Map(find_layer, self.options).with_output_types(FoundThemes)
        return tasks | "SpreadLayers" >> beam.Reshuffle().with_output_types(FindThemesTask) | "FindThemes" >> find


@dataclass
class ClusterThemes(beam.PTransform):
    """ClusterThemesTask → ClusteredThemes: topics of each bundle of themes, and the map, whose worker holds the graph."""

    options: TopicsOptions

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Spread the bundles over the workers and find the topics of each."""
        find = beam.Map(cluster_themes, self.options).with_output_types(ClusteredThemes)
        return tasks | "SpreadThemes" >> beam.Reshuffle().with_output_types(ClusterThemesTask) | "ClusterThemes" >> find


@dataclass
class JoinTopics(beam.PTransform):
    """JoinTopicsTask → JoinedTopics: one table of labels from all layers and themes. One worker."""

    options: TopicsOptions

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Join each task's labels."""
        return tasks | "Join" >> beam.Map(join_topics, self.options).with_output_types(JoinedTopics)


@dataclass
class DescribeThemes(beam.PTransform):
    """DescribeThemesTask → DescribedThemes: the themes table. One worker."""

    options: TopicsOptions

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Describe each task's themes."""
        return tasks | "Describe" >> beam.Map(describe_themes, self.options).with_output_types(DescribedThemes)
