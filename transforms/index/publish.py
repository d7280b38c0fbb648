"""The task that merges shards into one index, with the table of its ids."""

from dataclasses import dataclass

from transforms.files import FileRef, file_ref, filesystem_of, join, write_bytes
from transforms.index.faiss_files import write_index
from transforms.index.ids import write_ids
from transforms.index.shards import ShardError, ShardRecord, merge_shards
from transforms.index.train import TrainRecord


@dataclass(frozen=True)
class MergeTask:
    """The template, all shards and all documents.

    `directory` is for the merged index, which still waits for its nprobe, `published` for what the generation gets.
    """

    training: TrainRecord
    shards: tuple[ShardRecord, ...]
    documents: tuple[FileRef, ...]
    directory: str
    published: str


@dataclass(frozen=True)
class MergeRecord:
    """The merged index (work), `ids.parquet` and, for a type that learns, `trained.faiss` (published)."""

    index: FileRef
    ids: FileRef
    trained: FileRef | None
    texts: int


def merge_index(task: MergeTask) -> MergeRecord:
    """Merge the shards and write the ids.

    Raises ShardError when shards and documents do not hold the same number of texts.
    """
    index = merge_shards(task.training.template, task.training.fingerprint, task.shards)
    merged = write_index(index, join(task.directory, "merged.faiss"))
    ids, texts = write_ids(task.documents, join(task.published, "ids.parquet"))
    if texts != index.ntotal:
        raise ShardError(f"the index holds {index.ntotal} texts but the documents have {texts}: they are of different runs")
    trained = None
    if task.training.trained:
        trained = _copied(task.training.template.path, join(task.published, "trained.faiss"))
    return MergeRecord(merged, ids, trained, texts)


def _copied(source: str, target: str) -> FileRef:
    fs, inner = filesystem_of(source)
    write_bytes(target, fs.cat_file(inner))
    return file_ref(target)
