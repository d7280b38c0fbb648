"""Topics described: which steps are taken once they are found, and what each is given.

1. `count_texts`, `place_documents`: sums over the texts of each topic; the topic of every passage of a document.
2. `weigh_terms`, `score_texts`: the best terms, by ranges of terms, and the best texts, by parts.
3. `name_topics`: rows of the topics table, by ranges of topics.
4. `publish_topics`: both tables as one file each, by one worker.

What a task does depends on the corpus only, so that the tables do not depend on workers.
"""

from collections.abc import Callable, Sequence
from typing import Any

from transforms.files import FileRef
from transforms.topics.assigning import PlaceRecord, PlaceTask, place_documents
from transforms.topics.counting import CountRecord, CountTask, count_texts
from transforms.topics.naming import NameRecord, NameTask, name_topics
from transforms.topics.options import TopicsOptions
from transforms.topics.plan import PASSAGES_PER_TASK, TEXTS_PER_TASK, count_ranges, cut_parts, cut_topics
from transforms.topics.publish import PublishTask, TopicsRecord, publish_topics
from transforms.topics.scoring import ScoreRecord, ScoreTask, score_texts
from transforms.topics.stages import FoundTopics
from transforms.topics.weighing import WeighRecord, WeighTask, weigh_terms
from transforms.vectors import VectorBlock

# A function of (task, options) to a record.
Step = Callable[[Any, TopicsOptions], Any]
# Runs one step for all its tasks, in parallel or not; the records come in any order.
RunStep = Callable[[Step, Sequence[Any]], list[Any]]


def describe_topics(
    found: FoundTopics,
    passages: Sequence[FileRef],
    blocks: Sequence[VectorBlock],
    documents: Sequence[FileRef],
    scratch: str,
    directory: str,
    run: RunStep,
) -> TopicsRecord:
    """Publish `topics.parquet` and `assignments.parquet` in `directory`; work files go to `scratch`.

    `passages`, with the block of each, and `documents` are all parts in order.
    """
    labels, topics = found.labels, found.topics
    # Passages and their blocks, for each task.
    texts = [(tuple(passages[cut]), tuple(blocks[cut])) for cut in cut_parts(passages, TEXTS_PER_TASK)]
    placing = [
        PlaceTask(part, tuple(documents[cut]), labels, topics, scratch)
        for part, cut in enumerate(cut_parts(documents, PASSAGES_PER_TASK))
    ]
    placed: list[PlaceRecord] = sorted(run(place_documents, placing), key=lambda record: record.part)
    named: list[NameRecord] = []
    if topics:
        counting = [CountTask(part, *own, labels, topics, scratch) for part, own in enumerate(texts)]
        counted: list[CountRecord] = sorted(run(count_texts, counting), key=lambda record: record.part)
        sums = tuple(counted)
        ranges = count_ranges(sum(record.counts.rows or 0 for record in counted))
        weighing = [WeighTask(part, ranges, sums, scratch) for part in range(ranges)]
        weighed: list[WeighRecord] = sorted(run(weigh_terms, weighing), key=lambda record: record.part)
        scoring = [ScoreTask(part, *own, labels, sums, scratch) for part, own in enumerate(texts)]
        scored: list[ScoreRecord] = sorted(run(score_texts, scoring), key=lambda record: record.part)
        candidates = tuple(weighed), tuple(scored)
        naming = [
            NameTask(part, low, high, labels, *candidates, tuple(placed), tuple(blocks), scratch)
            for part, (low, high) in enumerate(cut_topics(topics, found.distinct_texts))
        ]
        named = sorted(run(name_topics, naming), key=lambda record: record.part)
    published: TopicsRecord
    (published,) = run(publish_topics, [PublishTask(tuple(named), tuple(placed), directory)])
    return published
