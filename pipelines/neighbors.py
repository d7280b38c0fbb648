"""The neighbour graph: for every distinct text its nearest others, exactly."""

from dataclasses import dataclass

from pipelines.embed import EmbedResult
from pipelines.reuse import Parent
from pipelines.stage import Run
from transforms.files import FileRef, join
from transforms.neighbors import NeighborsRecord, NeighborsTask, cut_tiles, plan_stripes, plan_tiles
from transforms.neighbors.beam import NeighborGraph, UpdatedGraph


@dataclass(frozen=True)
class NeighborsResult:
    """The parts of the graph, in id order."""

    parts: list[NeighborsRecord]
    counts: dict[str, int]

    @property
    def published(self) -> list[FileRef]:
        """The staged files that belong into the generation."""
        return [part.file for part in self.parts]


def find_neighbors(run: Run, embedded: EmbedResult, parent: Parent | None = None) -> NeighborsResult:
    """Run the job, one task for each tile of texts. Lists of the `parent` that are still right are not computed again."""
    blocks = tuple(embedded.unit_blocks)
    options = run.config.neighbors
    graph = None if parent is None else parent.graph()
    directory, progress = join(run.staged, "neighbors"), run.progress("neighbors")
    parts: list[NeighborsRecord]
    if graph is None:
        stripes = plan_stripes(blocks, options, directory, run.scratch("neighbors"), run.runner.workers, progress)
        parts = run.job("neighbors", NeighborGraph(options, run.runner.threads(len(stripes))), stripes, NeighborsRecord)
    else:
        tiles = plan_tiles(blocks, options)
        parts_of = [NeighborsTask(part, tile, blocks, directory, progress, graph) for part, tile in enumerate(tiles)]
        cuts = cut_tiles(len(tiles), sum(block.rows for block in blocks), options, run.runner.workers)
        tasks = [tuple(parts_of[cut]) for cut in cuts]
        parts = run.job("neighbors", UpdatedGraph(options, run.runner.threads(len(tasks))), tasks, NeighborsRecord)
    parts.sort(key=lambda record: record.part)
    counts = {
        "rows": sum(part.rows for part in parts),
        "neighbors": max((part.k for part in parts), default=0),
        "rows_searched": sum(part.searched for part in parts),
        "rows_updated": sum(part.updated for part in parts),
        "rows_taken_over": sum(part.taken_over for part in parts),
        "rows_searched_exactly": sum(part.searched_exactly for part in parts),
    }
    return NeighborsResult(parts, counts)
