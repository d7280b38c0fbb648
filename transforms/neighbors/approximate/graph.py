"""The graph of a corpus that is too large for comparing all with all: which steps it takes, and what each is given.

1. `train_buckets`: centroids from a sample of the texts.
2. `assign_buckets`, `order_texts`, `arrange_vectors`: every text into the buckets of its nearest centroids, near ones together.
3. `join_buckets`, `merge_lists`: products inside all buckets, the best of a text's buckets together.
4. `link_texts`, `refine_lists`: one round in which every text meets its neighbours' neighbours; exact cosines.
5. `write_part`: the published files.
6. `find_truth`, `certify`: lists of sampled texts beside exact ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from transforms.neighbors.approximate.arrange import ArrangeRecord, ArrangeTask, arrange_vectors
from transforms.neighbors.approximate.buckets import (
    BATCH,
    AssignTask,
    Order,
    OrderTask,
    TrainRecord,
    TrainTask,
    assign_buckets,
    order_texts,
    train_buckets,
)
from transforms.neighbors.approximate.certificate import Certificate, CertifyTask, TruthRecord, TruthTask, certify, find_truth
from transforms.neighbors.approximate.join import JoinRecord, JoinTask, join_buckets
from transforms.neighbors.approximate.links import LinkTask, MergeRecord, MergeTask, link_texts, merge_lists
from transforms.neighbors.approximate.pieces import Piece, spans
from transforms.neighbors.approximate.refine import RefineRecord, RefineTask, refine_lists
from transforms.neighbors.approximate.write import WriteTask, write_part
from transforms.neighbors.graph import NeighborsRecord, plan_tiles
from transforms.neighbors.options import NeighborsOptions
from transforms.neighbors.stream import grouped
from transforms.vectors import VectorBlock

# A function of (task, options, threads) to a record.
Step = Callable[[Any, NeighborsOptions, int | None], Any]
# Runs one step for all its tasks, in parallel or not; the records come in any order.
RunStep = Callable[[Step, Sequence[Any]], list[Any]]


@dataclass(frozen=True)
class ApproximateGraph:
    """The parts in id order, how good they are, and what was done for them."""

    parts: list[NeighborsRecord]
    certificate: Certificate
    counts: dict[str, float]


def approximate_graph(
    blocks: Sequence[VectorBlock],
    options: NeighborsOptions,
    scratch: str,
    directory: str,
    run: RunStep,
    progress: str | None = None,
) -> ApproximateGraph:
    """Find the neighbours of all texts of the blocks, at least two; parts go to `directory`, work files to `scratch`."""
    everything = tuple(sorted(blocks))
    texts = sum(block.rows for block in everything)
    k = min(options.k, texts - 1)
    ranges = list(spans(texts, options.rows_per_chunk, BATCH))

    training: TrainRecord
    (training,) = run(train_buckets, [TrainTask(everything, scratch)])
    tasks = [AssignTask(low, high, everything, training.centroids, scratch) for low, high in ranges]
    assigned: list[Piece] = run(assign_buckets, tasks)
    order: Order
    (order,) = run(order_texts, [OrderTask(tuple(sorted(assigned)), training.buckets, scratch)])
    arranging = [ArrangeTask(low, high, order, everything, scratch) for low, high in ranges]
    arranged: list[ArrangeRecord] = run(arrange_vectors, arranging)
    vectors = tuple(sorted(piece for record in arranged for piece in record.vectors))
    joining = [
        JoinTask(part, first, last, order, vectors, k, scratch, progress) for part, (first, last) in enumerate(order.groups)
    ]
    joined: list[JoinRecord] = sorted(run(join_buckets, joining), key=lambda record: record.part)
    merging = [MergeTask(low, high, order, tuple(joined), k, scratch) for low, high in ranges]
    merged: list[MergeRecord] = sorted(run(merge_lists, merging), key=lambda record: record.lists)
    links: list[Piece] = sorted(run(link_texts, [LinkTask(low, high, tuple(merged), scratch) for low, high in ranges]))
    lists = tuple(record.lists for record in merged)
    refining = [
        RefineTask(low, high, order, lists, tuple(links), vectors, everything, k, scratch, progress) for low, high in ranges
    ]
    refined: list[RefineRecord] = sorted(run(refine_lists, refining), key=lambda record: record.neighbors)
    writing = [
        WriteTask(part, tile, everything, order, tuple(refined), k, directory)
        for part, tile in enumerate(plan_tiles(everything, options))
    ]
    parts: list[NeighborsRecord] = sorted(run(write_part, writing), key=lambda record: record.part)
    searching = [
        TruthTask(part, training.queries, tuple(some), k, scratch)
        for part, some in enumerate(grouped(everything, options.rows_per_chunk))
    ]
    truth: list[TruthRecord] = run(find_truth, searching)
    certifying = CertifyTask(training.queries, tuple(truth), tuple(record.file for record in parts), k)
    (certificate,) = run(certify, [certifying])
    counts: dict[str, float] = {
        "buckets": training.buckets,
        "largest_bucket": order.largest,
        "bucket_slices": sum(record.slices for record in joined),
        "candidates_compared": sum(record.candidates for record in refined),
        "rows_filled": sum(record.filled for record in refined),
    }
    return ApproximateGraph(parts, certificate, counts)
