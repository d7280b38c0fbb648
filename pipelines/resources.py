"""What steps ask of an engine that chooses machines for them: memory where one worker has the whole corpus before it, and the
accelerator where the model runs.
"""

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.transforms.resources import merge_resource_hints, parse_resource_hints

# Steps whose memory grows with the corpus: one worker has all of it, or, in layers of themes and the map, its whole graph.
ONE_WORKER = (
    "TrainIndex/Train",
    "MergeIndex/Merge",
    "MeasureRecall/Measure",
    "FindChanges/Compare",
    "GroupDuplicates/PublishTables",
    "ApproximateStep/train_buckets",
    "ApproximateStep/order_texts",
    "TopicsStep/find_topics",
    "TopicsStep/find_layer",
    "TopicsStep/cluster_themes",
    "TopicsStep/join_topics",
    "WriteReport/WritePages",
)
# Steps that load the model, and the one that measures on which precision it is fast.
MODEL = ("MeasurePrecision/Measure", "EmbedPassages/FillParts", "EmbedQueries/EmbedQueries")


def ask_for_machines(pipeline: beam.Pipeline, one_worker_ram: str | None, accelerator: str | None) -> None:
    """Give the steps of a pipeline that is about to run their hints, Beam's `min_ram` and `accelerator`; None asks for nothing.

    Only for an engine that heeds them: steps with other hints are steps of another environment, and an engine that starts
    workers for each environment would start one more, with a model of its own, on the machines that it has.
    """
    asked = [(ONE_WORKER, "min_ram", one_worker_ram), (MODEL, "accelerator", accelerator)]
    hints = {step: parse_resource_hints({name: value}) for steps, name, value in asked if value is not None for step in steps}
    pipeline.visit(_Hinting(hints))


class _Hinting(PipelineVisitor):
    def __init__(self, hints: dict[str, dict[str, bytes]]) -> None:
        self._hints = hints

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        hints = self._hints.get(transform_node.full_label, {})
        transform_node.resource_hints = merge_resource_hints(transform_node.resource_hints, hints)
