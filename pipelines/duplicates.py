"""Paraphrase mining: what texts say as hashes, pairs of every part of the graph, then one worker that merges them and chooses
what is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
from pipelines.neighbors import NeighborsResult
from pipelines.passages import PassagesResult
from pipelines.reuse import Parent
from pipelines.stage import Run
from transforms.duplicates import (
    APPROXIMATE,
    GroupRecord,
    GroupTask,
    MineRecord,
    MineTask,
    WordingRecord,
    WordingTask,
    check_dates,
    is_current,
)
from transforms.duplicates.beam import GroupDuplicates, MinePairs, ReadWording
from transforms.files import CorruptFileError, FileRef, join, open_parquet, read_table

_COUNTS = ("pairs", "exact", "near", "paraphrase", "groups", "duplicate_documents")
_COMPLETENESS = ("texts_searched_by_range", "texts_incomplete", "pairs_dropped", "complete")


@dataclass(frozen=True)
class DuplicatesResult:
    """The published tables and what they hold; `reused` when they are the published generation's.

    `counts` has numbers of pairs, groups and documents, `complete`, and `incomplete_because`, a list of reasons.
    """

    published: list[FileRef]
    counts: dict[str, Any]
    reused: bool = False


def check_keep(run: Run, corpus: CorpusResult) -> None:
    """Raise KeepError when `duplicates.keep` has a rule on dates for a column in which nothing is a date."""

    def column(name: str) -> Iterator[pa.ChunkedArray]:
        return (read_table(part.documents.path, [name])[name] for part in corpus.parts)

    check_dates(run.config.duplicates.keep, column)


def reuse_duplicates(run: Run, parent: Parent | None, neighbors: NeighborsResult) -> DuplicatesResult | None:
    """The parent's tables, when it had the same texts, vectors, graph and settings, and the same version's; else None."""
    if parent is None or not parent.texts_are_the_same or not parent.has_files("neighbors", neighbors.published):
        return None
    # An approximate graph that lacks nobody has the bytes of the exact one, but nobody knew that.
    if parent.has_exact_graph != neighbors.exact:
        return None
    passages = {name: getattr(run.config.corpus, name) for name in ("passage_tokens", "passage_overlap")}
    settings = run.config.duplicates.model_dump(mode="json")
    if not parent.has_settings("corpus", passages) or not parent.has_settings("duplicates", settings):
        return None
    files, counts = parent.files("duplicates"), parent.counts("duplicates")
    if not files or not counts or not all(_is_current(file) for file in files.values()):
        return None
    return DuplicatesResult(list(files.values()), counts, reused=True)


def _is_current(file: FileRef) -> bool:
    try:
        with open_parquet(file.path) as parquet:
            return is_current(parquet.schema_arrow)
    except CorruptFileError:
        return False


def mine_duplicates(
    run: Run, corpus: CorpusResult, passages: PassagesResult, embedded: EmbedResult, neighbors: NeighborsResult
) -> DuplicatesResult:
    """Run the jobs: tasks of some parts of the passages, tasks of some parts of the graph, then one for the corpus."""
    options = run.config.duplicates
    blocks, texts, graph = tuple(embedded.unit_blocks), tuple(passages.files), tuple(neighbors.published)
    progress, split = run.progress("duplicates"), run.splitter is not None
    read = run.runner.shares([WordingTask(part, file, run.scratch("wording")) for part, file in enumerate(texts)])
    worded: list[WordingRecord] = run.job("wording", ReadWording(run.runner.threads(len(read))), read, WordingRecord)
    wordings = tuple(record.file for record in sorted(worded, key=lambda record: record.part))
    inputs = graph, blocks, texts, wordings, run.scratch("pairs")
    tasks = run.runner.shares([MineTask(part, *inputs, progress, split, neighbors.exact) for part in neighbors.parts])
    mine = MinePairs(options, run.runner.threads(len(tasks)))
    mined: list[MineRecord] = run.job("pairs", mine, tasks, MineRecord)
    mined.sort(key=lambda record: record.part)
    documents = tuple(part.documents for part in corpus.parts)
    task = GroupTask(tuple(mined), graph, texts, wordings, documents, join(run.staged, "duplicates"), neighbors.exact)
    (tables,) = run.job("groups", GroupDuplicates(options), [task], GroupRecord)
    counts = {name: getattr(tables, name) for name in (*_COUNTS, *_COMPLETENESS)}
    counts["incomplete_because"] = list(tables.incomplete_because)
    return DuplicatesResult([tables.pairs_file, tables.groups_file, tables.texts_file], counts)


def incomplete_warnings(counts: dict[str, Any]) -> list[str]:
    """What a reader of the pairs has to know when some may be missing, from the counts of the stage."""
    warnings = []
    if counts.get("pairs_dropped"):
        warnings.append(
            f"{counts['pairs_dropped']:,} pairs of {counts['texts_incomplete']:,} texts are left out because a text has more "
            "than duplicates.max_pairs_per_text; duplicates/texts.parquet says which. Raise it, or duplicates.threshold."
        )
    if APPROXIMATE in counts.get("incomplete_because", ()):
        warnings.append(
            "duplicates/pairs.parquet may lack pairs: the neighbour graph is approximate above neighbors.exact_up_to texts"
        )
    return warnings
