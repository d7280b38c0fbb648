"""The neighbour graph: for every distinct text its nearest others, exactly up to `neighbors.exact_up_to` texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.config import Config
from pipelines.embed import EmbedResult
from pipelines.reuse import Parent
from pipelines.stage import Run
from transforms.files import FileRef, join, remove
from transforms.neighbors import (
    Certificate,
    NeighborsRecord,
    NeighborsTask,
    Step,
    approximate_graph,
    cut_tiles,
    plan_stripes,
    plan_tiles,
)
from transforms.neighbors.beam import ApproximateStep, NeighborGraph, UpdatedGraph
from transforms.vectors import VectorBlock


@dataclass(frozen=True)
class NeighborsResult:
    """The parts of the graph, in id order, and the `certificate` of an approximate one."""

    parts: list[NeighborsRecord]
    counts: dict[str, float]
    certificate: Certificate | None = None

    @property
    def exact(self) -> bool:
        """Whether every list holds the nearest others and nobody else: what says that a pair is missing from no list."""
        return self.certificate is None

    @property
    def published(self) -> list[FileRef]:
        """The staged files that belong into the generation."""
        return [part.file for part in self.parts]


def find_neighbors(run: Run, embedded: EmbedResult, parent: Parent | None = None) -> NeighborsResult:
    """Exactly: one job of one task for each tile of texts; lists of the `parent` that are still right are not computed again.

    Above `exact_up_to` texts approximately, in several jobs, and anew every time: a text's buckets depend on all other texts.
    """
    blocks = tuple(embedded.unit_blocks)
    options = run.config.neighbors
    if is_approximate(run.config, sum(block.rows for block in blocks)):
        return _find_approximately(run, blocks)
    graph = None if parent is None else parent.graph()
    directory, progress = join(run.staged, "neighbors"), run.progress("neighbors")
    parts: list[NeighborsRecord]
    if graph is None:
        stripes = plan_stripes(blocks, options, directory, run.scratch("neighbors"), run.runner.workers, progress)
        parts = run.job("neighbors", NeighborGraph(options, run.runner.threads(len(stripes))), stripes, NeighborsRecord)
        remove(run.scratch("neighbors"))
    else:
        tiles = plan_tiles(blocks, options)
        parts_of = [NeighborsTask(part, tile, blocks, directory, progress, graph) for part, tile in enumerate(tiles)]
        cuts = cut_tiles(len(tiles), sum(block.rows for block in blocks), options, run.runner.workers)
        tasks = [tuple(parts_of[cut]) for cut in cuts]
        parts = run.job("neighbors", UpdatedGraph(options, run.runner.threads(len(tasks))), tasks, NeighborsRecord)
    parts.sort(key=lambda record: record.part)
    counts: dict[str, float] = {
        "rows": sum(part.rows for part in parts),
        "neighbors": max((part.k for part in parts), default=0),
        "rows_searched": sum(part.searched for part in parts),
        "rows_updated": sum(part.updated for part in parts),
        "rows_taken_over": sum(part.taken_over for part in parts),
        "rows_searched_exactly": sum(part.searched_exactly for part in parts),
    }
    return NeighborsResult(parts, counts)


def is_approximate(config: Config, texts: int) -> bool:
    """Whether the graph of so many distinct texts is approximate. A text alone has no neighbours to miss."""
    return texts > max(config.neighbors.exact_up_to, 1)


def _find_approximately(run: Run, blocks: tuple[VectorBlock, ...]) -> NeighborsResult:
    options, scratch = run.config.neighbors, run.scratch("neighbors")

    def job(step: Step, tasks: Sequence[Any]) -> list[Any]:
        transform = ApproximateStep(step, options, run.runner.threads(len(tasks)))
        return run.job(step.__name__, transform, tasks, transform.record_type)

    graph = approximate_graph(blocks, options, scratch, join(run.staged, "neighbors"), job, run.progress("neighbors"))
    remove(scratch)
    found = graph.certificate
    counts = {
        "rows": sum(part.rows for part in graph.parts),
        "neighbors": found.k,
        **graph.counts,
        "recall_rows": found.texts,
        "recall": round(found.recall, 6),
        "recall_low": round(found.low, 6),
        "recall_high": round(found.high, 6),
    }
    return NeighborsResult(graph.parts, counts, found)
