"""Encoding and merging: shards of one index, each built against the same template."""

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from transforms.files import FileRef, Progress, filesystem_of, join
from transforms.index.faiss_files import fingerprint_of, index_from_bytes, read_index, write_index
from transforms.index.options import IndexOptions
from transforms.vectors import VectorBlock


class ShardError(Exception):
    """Shards that do not belong together."""


@dataclass(frozen=True)
class EncodeTask:
    """Consecutive blocks that become one shard, and the template that they are encoded with."""

    part: int
    blocks: tuple[VectorBlock, ...]
    template: FileRef
    fingerprint: str
    directory: str
    progress: str | None = None


@dataclass(frozen=True)
class ShardRecord:
    """A finished shard and the fingerprint of its template."""

    part: int
    file: FileRef
    texts: int
    fingerprint: str


def plan_shards(blocks: Sequence[VectorBlock], options: IndexOptions) -> list[tuple[VectorBlock, ...]]:
    """The blocks of each shard: consecutive, at least `rows_per_shard` rows together, the last shard may be smaller."""
    shards: list[tuple[VectorBlock, ...]] = []
    group: list[VectorBlock] = []
    for block in sorted(blocks):
        group.append(block)
        if sum(member.rows for member in group) >= options.rows_per_shard:
            shards.append(tuple(group))
            group = []
    return [*shards, tuple(group)] if group else shards


def encode_shard(task: EncodeTask, threads: int | None = None) -> ShardRecord:
    """Add the blocks' vectors, with their ids, to a copy of the template and write it as `shard-NNNNN.faiss`.

    Block by block, whatever the size of the shard: the arithmetic that finds a vector's list sees the same rows
    together. Raises ShardError when the template is not the one that was trained.
    """
    index = read_template(task.template, task.fingerprint)
    progress = Progress(task.progress)
    with threadpool_limits(threads):
        for block in task.blocks:
            index.add_with_ids(np.ascontiguousarray(block.vectors()), np.ascontiguousarray(block.ids()))
            progress.add(block.rows)
    progress.flush()
    file = write_index(index, join(task.directory, f"shard-{task.part:05d}.faiss"))
    return ShardRecord(task.part, file, index.ntotal, task.fingerprint)


def read_template(template: FileRef, fingerprint: str) -> faiss.Index:
    """The empty trained index. Raises ShardError when its bytes are not those of the fingerprint."""
    fs, inner = filesystem_of(template.path)
    data = fs.cat_file(inner)
    if fingerprint_of(data) != fingerprint:
        raise ShardError(f"{template.path} is not the template {fingerprint[:12]} that was trained: run the index stage again")
    return index_from_bytes(data)


def merge_shards(template: FileRef, fingerprint: str, shards: Sequence[ShardRecord]) -> faiss.Index:
    """One index of all shards, in order of their parts: the bytes of adding all blocks to the template in one process.

    One shard at a time is in memory beside the result. Raises ShardError for a shard of another template, and for
    missing parts or texts.
    """
    ordered = sorted(shards, key=lambda shard: shard.part)
    if [shard.part for shard in ordered] != list(range(len(ordered))):
        raise ShardError(f"shards must be numbered from 0 without gaps, got {[shard.part for shard in ordered]}")
    for shard in ordered:
        if shard.fingerprint != fingerprint:
            raise ShardError(
                f"{shard.file.path} was encoded with template {shard.fingerprint[:12]}, not {fingerprint[:12]}: "
                "merged, its vectors could not be found; encode it again"
            )
    index = read_template(template, fingerprint)
    for shard in ordered:
        index.merge_from(read_index(shard.file.path), 0)
    if index.ntotal != sum(shard.texts for shard in ordered):
        raise ShardError(f"{sum(shard.texts for shard in ordered)} texts were encoded but {index.ntotal} merged")
    return index
