"""A generation's numbers and samples as one value, read once and shown as a page or in a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.compute as pc

from transforms.files import FileRef, filesystem_of, join, list_files, open_parquet, read_table
from transforms.reports.documents import Document, find_documents, keeps_text
from transforms.reports.drift import Drift, read_drift
from transforms.reports.groups import Group, interesting_groups
from transforms.reports.metadata import Metadata, read_metadata
from transforms.reports.options import ReportOptions
from transforms.reports.points import MapPoints, read_points
from transforms.reports.redaction import safe_text, without_secrets
from transforms.reports.themes import Theme, read_themes
from transforms.reports.topic_pairs import pairs_in_topics

STAGES = (
    "precision",
    "corpus",
    "passages",
    "changes",
    "embed",
    "corpus_again",
    "passages_again",
    "embed_again",
    "changes_again",
    "vectors",
    "queries",
    "index_outgrown",
    "recall_outgrown",
    "index",
    "recall",
    "neighbors",
    "duplicates",
    "topics",
    "lexical",
    "checksums",
    "report",
)

# What a stage's metrics have beside its counts.
_NOT_COUNTS = ("seconds", "peak_rss_mb", "driver_peak_rss_mb")

# Rows shown per quarantine reason and documents per topic: enough to recognise a cause, few enough to read.
EXAMPLES = 3
# Pairs of duplicates per topic.
PAIRS = 2


@dataclass(frozen=True)
class Worker:
    """What one process (host and process id) did in a stage: tasks, seconds on the clock, highest resident MB, counts."""

    name: str
    tasks: int
    seconds: float
    peak_rss_mb: float | None
    counts: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Stage:
    """A stage of the run: wall seconds, highest resident memory in MB (None when not measured), its counts, and who did it."""

    name: str
    seconds: float
    peak_rss_mb: float | None
    counts: tuple[tuple[str, float], ...]
    workers: tuple[Worker, ...] = ()


@dataclass(frozen=True)
class BorderDocument:
    """A document of a topic that is near to another one, `other_id`, too."""

    document: Document
    other_id: int


@dataclass(frozen=True)
class Duplicate:
    """Two documents of a topic that say the same."""

    kept: Document
    other: Document
    cosine: float


@dataclass(frozen=True)
class Topic:
    """A topic: `documents` in it, its terms with their weights, heaviest first, and examples, at its centre and its border.

    (x, y) is None if it has no place.
    """

    topic_id: int
    topic_uid: str
    documents: int
    title: str
    terms: tuple[tuple[str, float], ...]
    examples: tuple[Document, ...]
    position: tuple[float, float] | None
    theme_id: int | None = None
    border: tuple[BorderDocument, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()


@dataclass(frozen=True)
class Recall:
    """Measured recall at `k` over `queries` queries, against exact search, and its 95 % interval; None in what an
    earlier version published.

    `own`: the queries are texts of the corpus; else they are the user's.
    """

    k: int
    recall: float
    low: float | None
    high: float | None
    queries: int
    own: bool


@dataclass(frozen=True)
class GraphRecall:
    """Share of the true `k` nearest others in the lists of an approximate neighbour graph, with its 95 % interval.

    Measured on `texts` sampled texts.
    """

    k: int
    recall: float
    low: float
    high: float
    texts: int


@dataclass(frozen=True)
class Quarantined:
    """A rejected row or file: `row` is None for a whole file."""

    source: str
    row: int | None
    doc_id: str | None
    detail: str
    excerpt: str | None


@dataclass(frozen=True)
class QuarantineReason:
    """All rows rejected for one reason, with the first few of them."""

    reason: str
    rows: int
    examples: tuple[Quarantined, ...]


@dataclass(frozen=True)
class Pairs:
    """All pairs at or above the threshold: how many of each relation, and a histogram of their cosines.

    `edges` has one value more than `bins`; bin i counts `edges[i] <= cosine < edges[i+1]`, the last one includes its end.
    """

    relations: tuple[tuple[str, int], ...] = ()
    edges: tuple[float, ...] = ()
    bins: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        """Number of pairs."""
        return sum(self.bins)


@dataclass(frozen=True)
class Report:
    """One generation, as far as a person wants to see it. Topics are ordered by size, groups by interest."""

    title: str
    started: str | None
    finished: str | None
    encoder: Mapping[str, Any]
    configuration: Mapping[str, Any]
    counts: Mapping[str, int]
    stages: tuple[Stage, ...]
    topics: tuple[Topic, ...]
    points: MapPoints
    groups: tuple[Group, ...]
    pairs: Pairs
    recall: tuple[Recall, ...]
    quarantine: tuple[QuarantineReason, ...]
    texts_kept: bool
    warnings: tuple[str, ...] = ()
    changes: Mapping[str, Any] | None = None
    graph_recall: GraphRecall | None = None
    themes: tuple[Theme, ...] = ()
    drift: Drift | None = None
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def seconds(self) -> float:
        """Seconds of all stages together."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def peak_rss_mb(self) -> float | None:
        """The highest resident memory of any stage, in MB; None when no stage measured it."""
        return max((stage.peak_rss_mb for stage in self.stages if stage.peak_rss_mb is not None), default=None)

    @property
    def model(self) -> str | None:
        """The encoder's name, without the folder that it was read from."""
        name = self.encoder.get("name") or self.encoder.get("model") or self.encoder.get("path")
        return str(name).rstrip("/").rsplit("/", 1)[-1] if name else None

    @property
    def by_dot(self) -> bool:
        """Whether scores of a search are inner products, not cosines."""
        return self.encoder.get("metric") == "dot"

    @property
    def exact_copies(self) -> int | None:
        """Passages whose text another one has already; None when the run did not count them."""
        total, distinct = self.counts.get("passages", self.counts.get("documents")), self.counts.get("distinct_texts")
        return None if total is None or distinct is None else total - distinct

    @property
    def unit(self) -> str:
        """What points on the map and members of groups are: "document", or "passage" where a document may have several."""
        return "passage" if self.counts.get("passages", 0) > self.counts["documents"] else "document"

    @property
    def quarantined(self) -> int:
        """Rejected rows and files."""
        return sum(reason.rows for reason in self.quarantine)


def read_report(
    folder: str,
    metrics: Mapping[str, Any],
    options: ReportOptions | None = None,
    *,
    title: str = "Corpus",
    configuration: Mapping[str, Any] | None = None,
    parent: Sequence[FileRef] = (),
) -> Report:
    """Read the generation staged in `folder` (a path or URL) with its metrics; `parent` are documents parts of the one before.

    Tables that are absent, and stages that did not run, leave their part of the report empty. Counts come from the
    metrics, completed by what the tables themselves say. Raises CorruptFileError for a file that is not what was written.
    """
    options = options or ReportOptions()
    topics = _topics(folder, options)
    pairs, quarantine = _pairs(folder), _quarantine(folder, options)
    counts = {name: int(value) for name, value in metrics.get("counts", {}).items() if isinstance(value, int | float)}
    counts.setdefault("documents", _documents(folder))
    counts.setdefault("topics", len(topics))
    counts.setdefault("pairs", pairs.total)
    counts.setdefault("quarantined", sum(reason.rows for reason in quarantine))
    return Report(
        title=title,
        started=metrics.get("started"),
        finished=metrics.get("finished"),
        encoder=without_secrets(dict(metrics.get("encoder") or {})),
        configuration=without_secrets(dict(configuration or {})),
        counts=counts,
        stages=_stages(metrics.get("stages", {})),
        topics=topics,
        points=read_points(folder, options.map_points, options.hover_characters, options.map_columns, parent),
        groups=interesting_groups(folder, options.duplicate_groups, options.group_members, options.example_characters),
        pairs=pairs,
        recall=_recall(folder),
        quarantine=quarantine,
        texts_kept=keeps_text(folder),
        warnings=tuple(safe_text(str(warning)) for warning in metrics.get("warnings") or ()),
        changes=metrics.get("changes"),
        graph_recall=_graph_recall(metrics.get("stages", {}).get("neighbors", {})),
        themes=read_themes(folder, {topic.topic_id: topic.theme_id for topic in topics}),
        drift=read_drift(folder, {topic.topic_uid: topic.title for topic in topics}),
        metadata=read_metadata(folder),
    )


def _exists(path: str) -> bool:
    fs, inner = filesystem_of(path)
    return bool(fs.exists(inner))


def _documents(folder: str) -> int:
    """How many documents the table has: as many as first passages."""
    paths = list_files(join(folder, "documents"), ".parquet")
    return sum(int((read_table(path, ["passage_no"])["passage_no"].to_numpy() == 0).sum()) for path in paths)


def _stages(stages: Mapping[str, Mapping[str, Any]]) -> tuple[Stage, ...]:
    """Stages in the order in which they run; ones that this room does not know come last, by name."""
    order = [*(name for name in STAGES if name in stages), *sorted(set(stages) - set(STAGES))]
    found = []
    for name in order:
        values = stages[name]
        counts = tuple(
            (key, value)
            for key, value in values.items()
            if key not in ("seconds", "peak_rss_mb", "driver_peak_rss_mb")
            and isinstance(value, int | float)
            and not isinstance(value, bool)
        )
        found.append(Stage(name, float(values.get("seconds", 0.0)), values.get("peak_rss_mb"), counts, _workers(values)))
    return tuple(found)


def _workers(stage: Mapping[str, Any]) -> tuple[Worker, ...]:
    """Who did a stage's tasks; nobody in what an earlier version measured, or where nothing had to be done."""
    return tuple(
        Worker(
            safe_text(str(worker["worker"])),
            int(worker["tasks"]),
            float(worker["seconds"]),
            # 0 where the system does not tell.
            worker["peak_rss_mb"] or None,
            tuple((name, count) for name, count in worker["counts"].items()),
        )
        for worker in stage.get("workers", ())
    )


def _topics(folder: str, options: ReportOptions) -> tuple[Topic, ...]:
    path = join(folder, "topics/topics.parquet")
    if not _exists(path):
        return ()
    rows = [row for row in read_table(path).to_pylist() if row["topic_id"] >= 0]
    examples_of = [_passages(row, "representative") for row in rows]
    # In a small topic a document may be at the centre and at the border: it is shown once. An earlier version published none.
    border_of = [
        {
            passage: other
            for passage, other in zip(_passages(row, "boundary"), row.get("boundary_other_ids") or (), strict=False)
            if passage not in examples
        }
        for row, examples in zip(rows, examples_of, strict=True)
    ]
    pairs_of = pairs_in_topics(folder, PAIRS)
    shown = {passage for passages in (*examples_of, *border_of) for passage in passages}
    shown |= {passage for pairs in pairs_of.values() for pair in pairs for passage in (pair.kept, pair.other)}
    documents = find_documents(folder, shown, options.example_characters)

    def found(passage: tuple[str, int]) -> Document:
        return documents.get(passage, Document(passage[0], passage_no=passage[1]))

    topics = []
    for row, examples, border in zip(rows, examples_of, border_of, strict=True):
        terms = sorted(zip(row["terms"] or [], row["term_weights"] or [], strict=True), key=lambda term: -term[1])
        x, y = row["x"], row["y"]
        topics.append(
            Topic(
                topic_id=row["topic_id"],
                topic_uid=row["topic_uid"] or "",
                documents=row["documents"],
                title=row["title"] or ", ".join(term for term, _ in terms[:3]) or f"Topic {row['topic_id']}",
                terms=tuple(terms),
                examples=tuple(found(passage) for passage in examples),
                border=tuple(BorderDocument(found(passage), other) for passage, other in border.items()),
                duplicates=tuple(
                    Duplicate(found(pair.kept), found(pair.other), pair.cosine) for pair in pairs_of.get(row["topic_id"], ())
                ),
                position=(x, y) if x is not None and y is not None and np.isfinite([x, y]).all() else None,
                theme_id=row.get("theme_id"),  # an earlier version published none
            )
        )
    return tuple(sorted(topics, key=lambda topic: (-topic.documents, topic.topic_id)))


def _passages(row: Mapping[str, Any], kind: str) -> list[tuple[str, int]]:
    """The first few documents of a kind that a row of topics names, each with its passage."""
    names = (f"{kind}_doc_ids", f"{kind}_passage_nos")
    return list(zip(*(row.get(name) or [] for name in names), strict=True))[:EXAMPLES]


def _pairs(folder: str) -> Pairs:
    path = join(folder, "duplicates/pairs.parquet")
    if not _exists(path):
        return Pairs()
    relations: dict[str, int] = {}
    histogram = np.zeros(200, np.int64)  # hundredths of [-1, 1]
    with open_parquet(path) as parquet:
        for batch in parquet.iter_batches(columns=["cosine", "relation"]):
            for entry in pc.value_counts(batch.column("relation")).to_pylist():
                relations[entry["values"]] = relations.get(entry["values"], 0) + entry["counts"]
            cosines = batch.column("cosine").to_numpy(zero_copy_only=False).astype(np.float64)
            # 1e-6: float32 spells 0.76 as 0.7599999, which belongs to the bin that begins there.
            bins = np.clip(np.floor((cosines + 1 + 1e-6) * 100), 0, 199).astype(np.int64)
            histogram += np.bincount(bins, minlength=200)
    if not histogram.any():
        return Pairs()
    low, high = int(np.flatnonzero(histogram)[0]), 200
    return Pairs(
        relations=tuple(sorted(relations.items())),
        edges=tuple(round(i / 100 - 1, 2) for i in range(low, high + 1)),
        bins=tuple(histogram[low:high].tolist()),
    )


def _recall(folder: str) -> tuple[Recall, ...]:
    path = join(folder, "index/recall.parquet")
    if not _exists(path):
        return ()
    rows = read_table(path, ["query_set", "k", "recall", "recall_low", "recall_high", "queries"]).to_pylist()
    found = [
        Recall(
            k=row["k"],
            recall=row["recall"],
            low=row.get("recall_low"),
            high=row.get("recall_high"),
            queries=row["queries"],
            own=row.get("query_set", "corpus") == "corpus",
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda row: (not row.own, row.k)))


def _graph_recall(stage: Mapping[str, Any]) -> GraphRecall | None:
    """What the stage measured; None of an exact graph."""
    names = ("neighbors", "recall", "recall_low", "recall_high", "recall_rows")
    return GraphRecall(*(stage[name] for name in names)) if "recall" in stage else None


def _quarantine(folder: str, options: ReportOptions) -> tuple[QuarantineReason, ...]:
    counts: dict[str, int] = {}
    examples: dict[str, list[Quarantined]] = {}
    for path in list_files(join(folder, "quarantine"), ".parquet"):
        with open_parquet(path) as parquet:
            for batch in parquet.iter_batches():
                for entry in pc.value_counts(batch.column("reason")).to_pylist():
                    counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
                for reason in counts:
                    shown = examples.setdefault(reason, [])
                    if len(shown) < EXAMPLES:
                        rows = batch.filter(pc.equal(batch.column("reason"), reason)).slice(0, EXAMPLES - len(shown))
                        shown += [_quarantined(row, options.example_characters) for row in rows.to_pylist()]
    order = sorted(counts, key=lambda reason: (-counts[reason], reason))
    return tuple(QuarantineReason(reason, counts[reason], tuple(examples[reason])) for reason in order)


def _quarantined(row: dict[str, Any], characters: int) -> Quarantined:
    detail, excerpt = row["detail"] or "", row["excerpt"]
    return Quarantined(
        source=safe_text(row["source"] or ""),
        row=row["row"],
        doc_id=row["doc_id"],
        detail=safe_text(detail)[:characters],
        excerpt=None if excerpt is None else excerpt[:characters],
    )
