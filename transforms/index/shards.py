"""Shards: parts of one index, each encoded against the same template by a task of its own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from transforms.files import FileRef, Progress, filesystem_of, join
from transforms.index.encode import batches, encode_batch, store
from transforms.index.faiss_files import fingerprint_of, index_from_bytes, write_index
from transforms.index.options import IndexOptions
from transforms.index.training import Encoded, distance_steps
from transforms.vectors import VectorBlock, load_array

# The sizes of all shards' lists are in memory together when they are merged.
_MOST_SHARDS = 256


class ShardError(Exception):
    """Shards that do not belong together."""


@dataclass(frozen=True)
class EncodeTask:
    """Consecutive blocks that become one shard, and the template that they are encoded with.

    `only`: a `.npy` of ascending ids; other texts of the blocks are left out. None takes all.
    """

    part: int
    blocks: tuple[VectorBlock, ...]
    template: FileRef
    fingerprint: str
    directory: str
    progress: str | None = None
    only: FileRef | None = None


@dataclass(frozen=True)
class ShardRecord:
    """A finished shard, the fingerprint of its template, and how well that fits; nothing for an index without lists."""

    part: int
    file: FileRef
    texts: int
    fingerprint: str
    encoded: Encoded


def plan_shards(
    blocks: Sequence[VectorBlock], options: IndexOptions, texts: int | None = None
) -> list[tuple[VectorBlock, ...]]:
    """The blocks of each shard: consecutive, at least `rows_per_shard` rows together, the last shard may be smaller.

    At most 256 shards, which are larger then. `texts`: how many texts of the blocks will be encoded when not all are.
    """
    rows = sum(block.rows for block in blocks)
    least = max(options.rows_per_shard, math.ceil(rows / _MOST_SHARDS))
    if texts is not None:
        least = math.ceil(least * rows / max(texts, 1))
    shards: list[tuple[VectorBlock, ...]] = []
    group: list[VectorBlock] = []
    for block in sorted(blocks):
        group.append(block)
        if sum(member.rows for member in group) >= least:
            shards.append(tuple(group))
            group = []
    return [*shards, tuple(group)] if group else shards


def encode_shard(task: EncodeTask, threads: int | None = None) -> ShardRecord:
    """Encode the blocks' vectors with the template and write them, with their ids, as `shard-NNNNN.faiss`.

    The bytes are those of adding the vectors to a copy of the template, in the order of their ids. Raises ShardError when the
    template is not the one that was trained.
    """
    index = read_template(task.template, task.fingerprint)
    progress = Progress(task.progress)
    only = None if task.only is None else load_array(task.only.path)
    ids, lists, codes = [np.empty(0, np.int64)], [np.empty(0, np.int64)], []
    encoded = Encoded()
    with threadpool_limits(threads):
        for some, vectors in batches(task.blocks, only):
            if isinstance(index, faiss.IndexIDMap2):
                index.add_with_ids(vectors, some)
            else:
                coded = encode_batch(index, vectors)
                ids.append(some)
                lists.append(coded.lists)
                codes.append(coded.codes)
                encoded += Encoded(len(some), distance_steps(coded.distances), coded.clipped, coded.components)
            progress.add(len(some))
    progress.flush()
    if codes:
        store(index, np.concatenate(ids), np.concatenate(lists), np.concatenate(codes))
    file = write_index(index, join(task.directory, f"shard-{task.part:05d}.faiss"), durable=False)
    return ShardRecord(task.part, file, index.ntotal, task.fingerprint, encoded)


def read_template(template: FileRef, fingerprint: str) -> faiss.Index:
    """The empty trained index. Raises ShardError when its bytes are not those of the fingerprint."""
    fs, inner = filesystem_of(template.path)
    data = fs.cat_file(inner)
    if fingerprint_of(data) != fingerprint:
        raise ShardError(f"{template.path} is not the template {fingerprint[:12]} that was trained: run the index stage again")
    return index_from_bytes(data)


def in_order(shards: Sequence[ShardRecord], fingerprint: str) -> list[ShardRecord]:
    """The shards by their parts. Raises ShardError for a shard of another template, and for parts that are missing."""
    ordered = sorted(shards, key=lambda shard: shard.part)
    if [shard.part for shard in ordered] != list(range(len(ordered))):
        raise ShardError(f"shards must be numbered from 0 without gaps, got {[shard.part for shard in ordered]}")
    for shard in ordered:
        if shard.fingerprint != fingerprint:
            raise ShardError(
                f"{shard.file.path} was encoded with template {shard.fingerprint[:12]}, not {fingerprint[:12]}: "
                "merged, its vectors could not be found; encode it again"
            )
    return ordered
