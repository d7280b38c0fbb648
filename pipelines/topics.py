"""The topics stage: themes and the topics inside them, terms counted part by part, names, and every document's topic."""

from dataclasses import dataclass

from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
from pipelines.neighbors import NeighborsResult
from pipelines.passages import PassagesResult
from pipelines.reuse import Parent
from pipelines.stage import Run
from transforms.files import FileRef, join
from transforms.topics import (
    AssignedTopics,
    AssignTopicsTask,
    ClusteredThemes,
    ClusterThemesTask,
    CountedTerms,
    CountTermsTask,
    DescribedThemes,
    DescribedTopics,
    DescribeThemesTask,
    DescribeTopicsTask,
    FindThemesTask,
    FindTopicsTask,
    FoundThemes,
    FoundTopics,
    JoinedTopics,
    JoinTopicsTask,
)
from transforms.topics.beam import (
    AssignTopics,
    ClusterThemes,
    CountTerms,
    DescribeThemes,
    DescribeTopics,
    FindThemes,
    FindTopics,
    JoinTopics,
)
from transforms.vectors import VectorBlock


@dataclass(frozen=True)
class TopicsResult:
    """The published tables and what they hold; `reused` when they are the published generation's."""

    published: list[FileRef]
    counts: dict[str, int]
    reused: bool = False

    @property
    def assigned(self) -> list[FileRef]:
        """The table that has a row for every passage, alone."""
        return [file for file in self.published if file.name == "assignments.parquet"]


def reuse_topics(run: Run, parent: Parent | None, neighbors: NeighborsResult) -> TopicsResult | None:
    """The parent's tables, when it had the same texts, vectors, graph and settings; else None."""
    if parent is None or not parent.texts_are_the_same or not parent.has_files("neighbors", neighbors.published):
        return None
    if not parent.has_settings("topics", run.config.topics.model_dump(mode="json")):
        return None
    files, counts = parent.files("topics"), parent.counts("topics")
    return TopicsResult(list(files.values()), counts, reused=True) if files and counts else None


def find_topics(
    run: Run, corpus: CorpusResult, passages: PassagesResult, embedded: EmbedResult, neighbors: NeighborsResult
) -> TopicsResult:
    """Run the jobs: labels of every text, terms, names, assignments."""
    options, scratch, folder = run.config.topics, run.scratch("topics"), join(run.staged, "topics")
    texts, documents = tuple(passages.files), tuple(part.documents for part in corpus.parts)
    blocks, graph = tuple(embedded.unit_blocks), tuple(part.file for part in neighbors.parts)
    found: FoundTopics | JoinedTopics
    if options.layers:
        found = _find_inside_themes(run, texts, graph, blocks)
    else:
        task = FindTopicsTask(texts, graph, join(scratch, "labels.parquet"), blocks)
        (found,) = run.job("clusters", FindTopics(options), [task], FoundTopics)
    counting = [CountTermsTask(part, file, found.labels, scratch) for part, file in enumerate(texts)]
    counted: list[CountedTerms] = run.job("terms", CountTerms(options), counting, CountedTerms)
    counted.sort(key=lambda record: record.part)
    describe = DescribeTopicsTask(
        found.labels,
        tuple(record.counts for record in counted),
        texts,
        documents,
        blocks,
        join(folder, "topics.parquet"),
    )
    (described,) = run.job("names", DescribeTopics(options), [describe], DescribedTopics)
    assign = AssignTopicsTask(documents, found.labels, described.topics, join(folder, "assignments.parquet"))
    (assigned,) = run.job("assignments", AssignTopics(), [assign], AssignedTopics)
    counts = {
        "topics": found.topics,
        "noise_documents": assigned.noise_documents,
        "unassigned_documents": assigned.unassigned_documents,
    }
    published = [described.topics, assigned.assignments]
    if isinstance(found, JoinedTopics):
        counts["themes"] = found.themes
        of_layers = tuple(zip(*(record.layers for record in counted), strict=True)) or ((),) * len(options.layers)
        naming = DescribeThemesTask(found.labels, of_layers, texts, documents, blocks, join(folder, "themes.parquet"))
        (themes,) = run.job("theme_names", DescribeThemes(options), [naming], DescribedThemes)
        published.append(themes.themes)
    return TopicsResult(published, counts)


def _find_inside_themes(
    run: Run, texts: tuple[FileRef, ...], graph: tuple[FileRef, ...], blocks: tuple[VectorBlock, ...]
) -> JoinedTopics:
    """Three jobs: every layer of themes, then topics in every theme and the map, then one table."""
    options, scratch = run.config.topics, run.scratch("topics")
    finding = [FindThemesTask(layer, texts, graph, scratch) for layer in range(len(options.layers))]
    layers: list[FoundThemes] = run.job("themes", FindThemes(options), finding, FoundThemes)
    layers.sort(key=lambda record: record.layer)
    clustering = [ClusterThemesTask(join(scratch, "map.npy"), passages=texts, neighbors=graph)]
    for bundle in layers[options.layer].bundles:
        path = join(scratch, f"clustered-{bundle.number:05d}.parquet")
        clustering.append(ClusterThemesTask(path, bundle, blocks=blocks if options.reduce == "none" else ()))
    clustered: list[ClusteredThemes] = run.job("clusters", ClusterThemes(options), clustering, ClusteredThemes)
    xy, *topics = sorted(clustered, key=lambda record: record.number)
    joining = JoinTopicsTask(texts, tuple(layers), tuple(topics), xy.file, join(scratch, "labels.parquet"))
    (joined,) = run.job("labels", JoinTopics(options), [joining], JoinedTopics)
    return joined
