"""Topics found and described: which steps are taken, and what each is given.

Where there is a parent generation, `sort_parent` and `join_parent` first say what it said of each text of this corpus.

Where the method has themes they are found first, in three steps: `find_layer` for each layer, `cluster_themes` for bundles of
themes and the map, `join_topics`. Then, for topics and for the themes of every layer alike:

0. `find_languages`, where they are not given: whose stop words are left out.
1. `count_texts`, `place_documents`: sums over the texts of each topic; the topic of every passage of a document.
   `tabulate`, where metadata is counted: documents by topic and value.
2. `weigh_terms`, `score_texts`: the best terms, by ranges of terms, and the best texts, by parts.
3. `name_topics`: rows of the topics table, by ranges of topics.
4. `publish_topics`: the tables as one file each, by one worker.

What a task does depends on the corpus only, so that the tables do not depend on workers.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from transforms.files import CorruptFileError, FileRef, join
from transforms.topics.assigning import PlaceRecord, PlaceTask, place_documents
from transforms.topics.counting import CountRecords, CountTask, count_texts
from transforms.topics.find_languages import LanguagesTask, find_languages, found_languages, sample_below
from transforms.topics.languages import AUTO
from transforms.topics.naming import NameRecord, NameTask, name_topics
from transforms.topics.options import TopicsOptions
from transforms.topics.parent import (
    JoinedParent,
    JoinParentTask,
    ParentTopics,
    SortedParent,
    SortParentTask,
    join_parent,
    sort_parent,
)
from transforms.topics.plan import PASSAGES_PER_TASK, TEXTS_PER_TASK, count_ranges, cut_parts, cut_topics
from transforms.topics.publish import PublishTask, TopicsRecord, publish_topics
from transforms.topics.scoring import ScoreTask, score_texts
from transforms.topics.stages import FoundTopics
from transforms.topics.tabulating import TabulateRecord, TabulateTask, tabulate
from transforms.topics.theme_stages import (
    ClusteredThemes,
    ClusterThemesTask,
    FindThemesTask,
    FoundThemes,
    JoinTopicsTask,
    cluster_themes,
    find_layer,
    join_topics,
)
from transforms.topics.values import Counted
from transforms.topics.weighing import WeighTask, weigh_terms
from transforms.vectors import VectorBlock

# A function of (task, options) to a record.
Step = Callable[[Any, TopicsOptions], Any]
# Runs one step for all its tasks, in parallel or not; the records come in any order.
RunStep = Callable[[Step, Sequence[Any]], list[Any]]


def remember_parent(parent: ParentTopics, passages: Sequence[FileRef], scratch: str, run: RunStep) -> tuple[JoinedParent, ...]:
    """What the parent generation said of each text, and its texts that are gone, by consecutive passages parts.

    `passages` are all parts in order. Raises CorruptFileError when a file of the parent is not what was published.
    """
    rows = sum(file.rows or 0 for file in parent.documents)
    if rows != parent.assignments.rows:
        raise CorruptFileError(f"{parent.assignments.path} has {parent.assignments.rows} rows, the documents have {rows}")
    sorting, low = [], 0
    for part, cut in enumerate(cut_parts(parent.documents, PASSAGES_PER_TASK)):
        high = low + sum(file.rows or 0 for file in parent.documents[cut])
        sorting.append(SortParentTask(part, parent.documents[cut], parent.assignments, low, high, scratch))
        low = high
    found: list[SortedParent] = sorted(run(sort_parent, sorting), key=lambda record: record.part)
    for record in found:
        if record.damaged is not None:
            raise CorruptFileError(f"{record.damaged} is missing or is not what was published; run `corpusbeam verify`")
    runs = tuple(record.texts for record in found if record.texts is not None)
    cuts = cut_parts(passages, PASSAGES_PER_TASK)
    following = [passages[cut.start] for cut in cuts[1:]]
    joining = [
        JoinParentTask(part, tuple(passages[cut]), next_part, runs, scratch)
        for part, (cut, next_part) in enumerate(zip(cuts, [*following, None], strict=True))
    ]
    joined: list[JoinedParent] = sorted(run(join_parent, joining), key=lambda record: record.part)
    return tuple(joined)


def describe_topics(
    found: FoundTopics,
    passages: Sequence[FileRef],
    blocks: Sequence[VectorBlock],
    documents: Sequence[FileRef],
    scratch: str,
    directory: str,
    run: RunStep,
    metadata: Sequence[Counted] = (),
    languages: Sequence[str] | Literal["auto"] = AUTO,
) -> TopicsRecord:
    """Publish `topics.parquet`, `assignments.parquet` and, where there are themes, `themes.parquet` in `directory`.

    What is counted of the `metadata` gives `tables.parquet`. Stop words are those of the `languages`. Work files go to
    `scratch`.

    `passages`, with the block of each, and `documents` are all parts in order.
    """
    # Passages and their blocks, for each task.
    texts = [(tuple(passages[cut]), tuple(blocks[cut])) for cut in cut_parts(passages, TEXTS_PER_TASK)]
    themes = tuple(layer.topics for layer in found.layers)
    placing = [
        PlaceTask(part, tuple(documents[cut]), found.labels, found.topics, scratch, themes)
        for part, cut in enumerate(cut_parts(documents, PASSAGES_PER_TASK))
    ]
    placed: list[PlaceRecord] = sorted(run(place_documents, placing), key=lambda record: record.part)
    tabulated: list[TabulateRecord] = []
    if metadata:
        tabulating = [
            TabulateTask(task.part, task.documents, record.pieces, tuple(metadata), len(themes), scratch)
            for task, record in zip(placing, placed, strict=True)
        ]
        tabulated = sorted(run(tabulate, tabulating), key=lambda record: record.part)
    # A layer's themes are named by their own counts of documents.
    placed_by = [tuple(placed), *_placed_in_layers(placed, len(themes))]
    named: list[tuple[NameRecord, ...]] = [() for _ in found.labellings]
    known: tuple[str, ...] = ()
    if any(labelling.topics for labelling in found.labellings):
        known = _languages([own for own, _ in texts], found.distinct_texts, run) if languages == AUTO else tuple(languages)
        counting = [CountTask(part, *own, found.labellings, scratch, known) for part, own in enumerate(texts)]
        counted: list[CountRecords] = sorted(run(count_texts, counting), key=lambda record: record.part)
        sums = list(zip(*(record.of_labellings for record in counted), strict=True))
        ranges = [count_ranges(sum(record.counts.rows or 0 for record in own)) for own in sums]
        weighing = [
            WeighTask(number, part, ranges[number], own, scratch)
            for number, own in enumerate(sums)
            for part in range(ranges[number])
        ]
        weighed = _by_labelling(run(weigh_terms, weighing), len(sums))
        scoring = [
            ScoreTask(number, part, *own, labelling.labels, sums[number], scratch)
            for number, labelling in enumerate(found.labellings)
            for part, own in enumerate(texts)
        ]
        scored = _by_labelling(run(score_texts, scoring), len(sums))
        naming = [
            NameTask(
                number,
                part,
                low,
                high,
                labelling.labels,
                weighed[number],
                scored[number],
                placed_by[number],
                tuple(blocks),
                scratch,
            )
            for number, labelling in enumerate(found.labellings)
            for part, (low, high) in enumerate(cut_topics(labelling.topics, found.distinct_texts))
        ]
        named = _by_labelling(run(name_topics, naming), len(sums))
    published: TopicsRecord
    publishing = PublishTask(
        named[0], tuple(placed), directory, tuple(named[1:]), found.theme_of_topic, tuple(tabulated), tuple(metadata)
    )
    (published,) = run(publish_topics, [publishing])
    return replace(published, languages=known)


def _languages(passages: Sequence[tuple[FileRef, ...]], texts: int, run: RunStep) -> tuple[str, ...]:
    """The languages that the texts are in, from a sample of them."""
    looking = [LanguagesTask(part, own, sample_below(texts)) for part, own in enumerate(passages)]
    return found_languages(run(find_languages, looking))


def find_inside_themes(
    passages: Sequence[FileRef],
    neighbors: Sequence[FileRef],
    blocks: Sequence[VectorBlock],
    options: TopicsOptions,
    scratch: str,
    run: RunStep,
    before: Sequence[FileRef] = (),
) -> FoundTopics:
    """Themes in every layer, and topics inside the themes of one. All arguments are all parts in order.

    `before` is what the parent generation said of each text, BEFORE_SCHEMA; nothing where there is no parent.
    """
    graph = tuple(passages), tuple(neighbors)
    finding = [FindThemesTask(layer, *graph, scratch) for layer in range(len(options.layers))]
    layers: list[FoundThemes] = sorted(run(find_layer, finding), key=lambda record: record.layer)
    # The map first: it takes longest.
    clustering = [ClusterThemesTask(join(scratch, "map.npy"), None, *graph, before=tuple(before))]
    for bundle in layers[options.layer].bundles:
        path = join(scratch, f"clustered-{bundle.number:05d}.parquet")
        compared = options.reduce == "none" or (bundle.positions.rows or 0) > options.landmarks
        clustering.append(ClusterThemesTask(path, bundle, blocks=tuple(blocks) if compared else ()))
    clustered: list[ClusteredThemes] = sorted(run(cluster_themes, clustering), key=lambda record: record.number)
    xy, *topics = clustered
    found: FoundTopics
    (found,) = run(join_topics, [JoinTopicsTask(graph[0], tuple(layers), tuple(topics), xy.file, scratch)])
    return found


def _placed_in_layers(placed: Sequence[PlaceRecord], layers: int) -> list[tuple[PlaceRecord, ...]]:
    return [tuple(replace(record, documents=record.layers[layer]) for record in placed) for layer in range(layers)]


def _by_labelling(records: Sequence[Any], labellings: int) -> list[tuple[Any, ...]]:
    """The records of each labelling, by part."""
    ordered = sorted(records, key=lambda record: record.part)
    return [tuple(record for record in ordered if record.labelling == number) for number in range(labellings)]
