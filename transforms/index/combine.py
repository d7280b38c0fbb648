"""One index of all shards and, for an increment, of what is kept of an earlier index; and the table of its ids."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from transforms.files import FileRef, filesystem_of, join, write_hashed
from transforms.index.check import knows_layout
from transforms.index.ids import write_ids
from transforms.index.merge import Merged, Source, merge_files, merge_in_memory
from transforms.index.shards import ShardError, ShardRecord, in_order
from transforms.index.train import TrainRecord
from transforms.index.training import Spread, spread_of
from transforms.vectors import load_array

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """An earlier index of the same template that an increment starts from, and a `.npy` of the ascending ids that it loses."""

    index: FileRef
    gone: FileRef
    fingerprint: str


@dataclass(frozen=True)
class MergeTask:
    """The template, all shards, all documents and, for an increment, what is kept.

    `directory` is for the merged index, which still waits for its nprobe, `published` for what the generation gets.
    """

    training: TrainRecord
    shards: tuple[ShardRecord, ...]
    documents: tuple[FileRef, ...]
    directory: str
    published: str
    kept: Kept | None = None


@dataclass(frozen=True)
class MergeRecord:
    """The merged index (work), `ids.parquet` and, for a type that learns, `trained.faiss` (published).

    `spread` says how evenly the texts lie in the lists.
    """

    index: FileRef
    ids: FileRef
    trained: FileRef | None
    texts: int
    spread: Spread


def merge_index(task: MergeTask) -> MergeRecord:
    """Merge the shards and write the ids.

    Raises ShardError when shards and documents do not hold the same number of texts.
    """
    template, fingerprint = task.training.template, task.training.fingerprint
    merged = merge_shards(template, fingerprint, task.shards, join(task.directory, "merged.faiss"), task.kept)
    ids, texts = write_ids(task.documents, join(task.published, "ids.parquet"), task.directory)
    if texts != merged.entries:
        raise ShardError(f"the index holds {merged.entries} texts but the documents have {texts}: they are of different runs")
    trained = _copied(template.path, join(task.published, "trained.faiss")) if task.training.trained else None
    return MergeRecord(merged.file, ids, trained, texts, spread_of(merged.sizes))


# Bytes of a file that are copied at a time.
_PIECE = 8 << 20


def _copied(source: str, target: str) -> FileRef:
    def copy(out: BinaryIO) -> None:
        fs, inner = filesystem_of(source)
        with fs.open(inner, "rb") as file:
            shutil.copyfileobj(file, out, _PIECE)

    return write_hashed(target, copy)


def merge_shards(
    template: FileRef, fingerprint: str, shards: Sequence[ShardRecord], target: str, kept: Kept | None = None
) -> Merged:
    """Merge into `target`: the bytes of adding all texts to the template in one process, by ascending id, and writing it.

    In bounded memory, unless the installed FAISS writes files in another way than this project knows: then FAISS reads
    everything into memory, and a warning says so. Raises ShardError for a shard, or an earlier index, of another template, and
    for missing parts or texts.
    """
    ordered = in_order(shards, fingerprint)
    if kept is not None and kept.fingerprint != fingerprint:
        raise ShardError(
            f"{kept.index.path} was encoded with template {kept.fingerprint[:12]}, not {fingerprint[:12]}: nothing of it can "
            "be kept; index everything anew with --set index.retrain=always"
        )
    sources = [Source(shard.file.path) for shard in ordered]
    expected = sum(shard.texts for shard in ordered)
    if kept is not None:
        sources.insert(0, Source(kept.index.path, load_array(kept.gone.path)))
    if knows_layout():
        merged = merge_files(template.path, sources, target)
    else:
        _log.warning(
            "this FAISS writes index files in a way that is not known here: the index is merged in memory, all at once"
        )
        merged = merge_in_memory(template.path, sources, target)
    if kept is None and merged.entries != expected:
        raise ShardError(f"{expected} texts were encoded but {merged.entries} merged")
    return merged
