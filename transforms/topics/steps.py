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
from transforms.topics.lineage.clustering import Clustering, Since
from transforms.topics.lineage.flow import FlowRecord, FlowTask, count_flow
from transforms.topics.lineage.identify import Flows, parent_layer
from transforms.topics.lineage.parent import (
    JoinedParent,
    JoinParentTask,
    ParentTopics,
    Remembered,
    SortedParent,
    SortParentTask,
    join_parent,
    sort_parent,
)
from transforms.topics.naming.counting import CountRecords, CountTask, count_texts
from transforms.topics.naming.find_languages import LanguagesTask, find_languages, found_languages, sample_below
from transforms.topics.naming.languages import AUTO
from transforms.topics.naming.naming import NameRecord, NameTask, name_topics
from transforms.topics.naming.scoring import ScoreTask, score_texts
from transforms.topics.naming.weighing import WeighTask, weigh_terms
from transforms.topics.options import TopicsOptions
from transforms.topics.plan import PASSAGES_PER_TASK, TEXTS_PER_TASK, count_ranges, cut_parts, cut_topics
from transforms.topics.publish import ContinuedRecord, ContinueTask, PublishTask, TopicsRecord, continue_topics, publish_topics
from transforms.topics.stages import FoundTopics
from transforms.topics.tabulating import TabulateRecord, TabulateTask, tabulate
from transforms.topics.theme_stages import (
    ClusteredThemes,
    ClusterThemesTask,
    Earlier,
    FindThemesTask,
    FoundThemes,
    JoinTopicsTask,
    cluster_themes,
    find_layer,
    join_topics,
)
from transforms.topics.values import Counted
from transforms.vectors import VectorBlock

# A function of (task, options) to a record.
Step = Callable[[Any, TopicsOptions], Any]
# Runs one step for all its tasks, in parallel or not; the records come in any order.
RunStep = Callable[[Step, Sequence[Any]], list[Any]]


def remember_parent(parent: ParentTopics, passages: Sequence[FileRef], scratch: str, run: RunStep) -> Remembered:
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
    return Remembered(parent, tuple(joined))


def continue_parent(remembered: Remembered, scratch: str, directory: str, run: RunStep) -> ContinuedRecord:
    """Publish the parent's topics and themes again, for the same texts: all but the assignments, which are the same file."""
    flows = _flows(remembered, None, remembered.parent.resolutions, scratch, run)
    record: ContinuedRecord
    (record,) = run(continue_topics, [ContinueTask(remembered.parent, flows, directory)])
    return record


def _flows(
    remembered: Remembered, labels: tuple[FileRef, ...] | None, resolutions: Sequence[float], scratch: str, run: RunStep
) -> Flows:
    """The flow from the parent's topics and themes, to `labels` or, where there are none, to where documents were."""
    layers = tuple(parent_layer(remembered.parent, resolution) for resolution in resolutions)
    counting = [FlowTask(part, record, labels, layers, scratch) for part, record in enumerate(remembered.joined)]
    counted: list[FlowRecord] = sorted(run(count_flow, counting), key=lambda record: record.part)
    by_labelling = zip(*(record.flows for record in counted), strict=True)
    return tuple(None if own[0] is None else tuple(file for file in own if file is not None) for own in by_labelling)


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
    remembered: Remembered | None = None,
    resolutions: Sequence[float] = (),
) -> TopicsRecord:
    """Publish `topics.parquet`, `assignments.parquet` and, where there are themes, `themes.parquet` in `directory`.

    What is counted of the `metadata` gives `tables.parquet`. Stop words are those of the `languages`. Work files go to
    `scratch`. `passages`, with the block of each, and `documents` are all parts in order. With what is `remembered` of a parent
    generation, topics and themes carry on its uids, and `events.parquet`, `flow.parquet` and `drift.parquet` say what has
    changed. `resolutions` are those of the layers of themes.
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
    vectors: tuple[tuple[FileRef, ...], ...] = ()
    known: tuple[str, ...] = ()
    if any(labelling.topics for labelling in found.labellings):
        known = _languages([own for own, _ in texts], found.distinct_texts, run) if languages == AUTO else tuple(languages)
        counting = [CountTask(part, *own, found.labellings, scratch, known) for part, own in enumerate(texts)]
        counted: list[CountRecords] = sorted(run(count_texts, counting), key=lambda record: record.part)
        sums = list(zip(*(record.of_labellings for record in counted), strict=True))
        vectors = tuple(tuple(record.vectors for record in own) for own in sums)
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
    parent: ParentTopics | None = None
    flows: Flows = ()
    if remembered is not None:
        parent, labels = remembered.parent, tuple(labelling.labels for labelling in found.labellings)
        flows = _flows(remembered, labels, resolutions, scratch, run)
    publishing = PublishTask(
        named[0],
        tuple(placed),
        directory,
        tuple(named[1:]),
        found.theme_of_topic,
        parent,
        flows,
        tuple(tabulated),
        tuple(metadata),
        vectors,
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
    remembered: Remembered | None = None,
    clustering: Clustering | None = None,
    *,
    keep_map: bool = True,
) -> FoundTopics:
    """Themes in every layer, and topics inside the themes of one. All arguments are all parts in order.

    With what is `remembered` of a parent generation, the map starts from its coordinates if `keep_map`. With its `clustering`
    too, which needs the same options, encoder and libraries, what still fits of its themes and topics is kept.
    """
    graph = tuple(passages), tuple(neighbors)
    before = () if remembered is None else remembered.before
    earlier = None
    themes = Since(sum(file.rows or 0 for file in passages))
    if remembered is not None and clustering is not None:
        later = clustering.themes.after(remembered.came, remembered.left)
        themes = later if later.fits else themes
        earlier = Earlier(before, remembered.gone, clustering.topics, later.fits)
    finding = [FindThemesTask(layer, *graph, scratch, earlier) for layer in range(len(options.layers))]
    layers: list[FoundThemes] = sorted(run(find_layer, finding), key=lambda record: record.layer)
    # The map first: it takes longest.
    clusterings = [ClusterThemesTask(join(scratch, "map.npy"), None, *graph, before=before if keep_map else ())]
    for bundle in layers[options.layer].bundles:
        path = join(scratch, f"clustered-{bundle.number:05d}.parquet")
        compared = options.reduce == "none" or (bundle.positions.rows or 0) > options.landmarks
        clusterings.append(ClusterThemesTask(path, bundle, blocks=tuple(blocks) if compared else ()))
    clustered: list[ClusteredThemes] = sorted(run(cluster_themes, clusterings), key=lambda record: record.number)
    xy, *topics = clustered
    found: FoundTopics
    (found,) = run(join_topics, [JoinTopicsTask(graph[0], tuple(layers), tuple(topics), xy.file, scratch)])
    of_topics = layers[options.layer]
    return replace(found, clustering=Clustering(themes, of_topics.topics), themes_found=of_topics.themes_found)


def _placed_in_layers(placed: Sequence[PlaceRecord], layers: int) -> list[tuple[PlaceRecord, ...]]:
    return [tuple(replace(record, documents=record.layers[layer]) for record in placed) for layer in range(layers)]


def _by_labelling(records: Sequence[Any], labellings: int) -> list[tuple[Any, ...]]:
    """The records of each labelling, by part."""
    ordered = sorted(records, key=lambda record: record.part)
    return [tuple(record for record in ordered if record.labelling == number) for number in range(labellings)]
