"""Paraphrase mining: pairs of every part of the graph, then one worker that merges them and chooses what is kept."""

from dataclasses import dataclass

from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
from pipelines.neighbors import NeighborsResult
from pipelines.passages import PassagesResult
from pipelines.reuse import Parent
from pipelines.stage import Run
from transforms.duplicates import GroupRecord, GroupTask, MineRecord, MineTask
from transforms.duplicates.beam import GroupDuplicates, MinePairs
from transforms.files import FileRef, join


@dataclass(frozen=True)
class DuplicatesResult:
    """The two published tables and what they hold; `reused` when they are the published generation's."""

    published: list[FileRef]
    counts: dict[str, int]
    reused: bool = False


def reuse_duplicates(run: Run, parent: Parent | None, neighbors: NeighborsResult) -> DuplicatesResult | None:
    """The parent's tables, when it had the same texts, vectors, graph and settings; else None."""
    if parent is None or not parent.texts_are_the_same or not parent.has_files("neighbors", neighbors.published):
        return None
    passages = {name: getattr(run.config.corpus, name) for name in ("passage_tokens", "passage_overlap")}
    settings = run.config.duplicates.model_dump(mode="json")
    if not parent.has_settings("corpus", passages) or not parent.has_settings("duplicates", settings):
        return None
    files, counts = parent.files("duplicates"), parent.counts("duplicates")
    return DuplicatesResult(list(files.values()), counts, reused=True) if files and counts else None


def mine_duplicates(
    run: Run, corpus: CorpusResult, passages: PassagesResult, embedded: EmbedResult, neighbors: NeighborsResult
) -> DuplicatesResult:
    """Run both jobs: one task for each part of the graph, then one for the corpus."""
    options = run.config.duplicates
    blocks, texts = tuple(embedded.unit_blocks), tuple(passages.files)
    progress = run.progress("duplicates")
    split = run.splitter is not None
    tasks = [MineTask(part, blocks, texts, run.scratch("pairs"), progress, split) for part in neighbors.parts]
    mine = MinePairs(options, run.runner.threads(len(tasks)))
    mined: list[MineRecord] = run.job("pairs", mine, tasks, MineRecord)
    mined.sort(key=lambda record: record.part)
    documents = tuple(part.documents for part in corpus.parts)
    task = GroupTask(tuple(mined), texts, documents, join(run.staged, "duplicates"))
    (tables,) = run.job("groups", GroupDuplicates(options), [task], GroupRecord)
    names = ("pairs", "exact", "near", "paraphrase", "groups", "duplicate_documents")
    counts = {name: getattr(tables, name) for name in (*names, "texts_searched_by_range", "texts_capped", "pairs_dropped")}
    return DuplicatesResult([tables.pairs_file, tables.groups_file], counts)
