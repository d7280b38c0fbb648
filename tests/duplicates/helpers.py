"""A small corpus with everything that paraphrase mining reads, and what brute force says about it."""

import shutil
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tests.neighbors.helpers import integer_cosines, make_blocks
from transforms.corpus import content_key, content_keys, ids_of
from transforms.duplicates import (
    DuplicatesOptions,
    GroupRecord,
    GroupTask,
    MineRecord,
    MineTask,
    WordingTask,
    mine_part,
    publish_duplicates,
    write_wording,
)
from transforms.files import FileRef, list_files, read_table, write_table
from transforms.neighbors import NeighborsOptions, NeighborsTask, build_part, plan_tiles
from transforms.vectors import VectorBlock


@dataclass
class Corpus:
    """Files of one corpus; `vectors` and `ids` are those of the distinct texts, in position order.

    `owners` are the documents of each text, `occurrences` with the number of the passage that it is.
    """

    folder: str
    ids: np.ndarray
    vectors: np.ndarray
    texts: list[str]
    owners: list[list[str]]
    occurrences: list[list[tuple[str, int]]]
    blocks: tuple[VectorBlock, ...]
    passages: tuple[FileRef, ...]
    documents: tuple[FileRef, ...]

    def place(self, doc_id: str) -> int:
        """The text whose first document this is."""
        return next(place for place, names in enumerate(self.owners) if names[0] == doc_id)

    def mine_tasks(self, k: int = 4, rows_per_tile: int = 30) -> list[MineTask]:
        options = NeighborsOptions(k=k, rows_per_tile=rows_per_tile, margin=2)
        shutil.rmtree(f"{self.folder}/neighbors", ignore_errors=True)
        tiles = plan_tiles(self.blocks, options)
        tasks = [NeighborsTask(part, tile, self.blocks, f"{self.folder}/neighbors") for part, tile in enumerate(tiles)]
        parts = [build_part(task, options) for task in tasks]
        split = any(number for names in self.occurrences for _, number in names)
        graph = tuple(part.file for part in parts)
        inputs = graph, self.blocks, self.passages, self.wordings()
        return [MineTask(part, *inputs, f"{self.folder}/pairs", split=split) for part in parts]

    def wordings(self) -> tuple[FileRef, ...]:
        tasks = [WordingTask(part, file, f"{self.folder}/wordings") for part, file in enumerate(self.passages)]
        return tuple(write_wording(task).file for task in tasks)

    def group_task(self, mined: list[MineRecord]) -> GroupTask:
        graph = tuple(FileRef(path, 0, 0, "") for path in sorted(list_files(f"{self.folder}/neighbors", ".parquet")))
        return GroupTask(tuple(mined), graph, self.passages, self.wordings(), self.documents, f"{self.folder}/duplicates")

    def duplicates(self, options: DuplicatesOptions, **tiling: int) -> tuple[list[dict], list[dict], GroupRecord]:
        """Rows of pairs and of groups, and the record."""
        mined = [mine_part(task, options) for task in self.mine_tasks(**tiling)]
        record = publish_duplicates(self.group_task(mined), options)
        return read_table(record.pairs_file.path).to_pylist(), read_table(record.groups_file.path).to_pylist(), record


def make_corpus(folder, owned: dict[str, list], vector_of: dict[str, np.ndarray], rows_per_part: int = 17) -> Corpus:
    """`owned` maps a text to the documents that have it, or to (document, passage number); `vector_of` to its unit vector."""
    texts = sorted(owned, key=content_key)
    occurrences = [sorted((name, 0) if isinstance(name, str) else name for name in owned[text]) for text in texts]
    owners = [sorted({name for name, _ in names}) for names in occurrences]
    keys = content_keys(texts)
    ids, vectors = ids_of(keys), np.stack([vector_of[text] for text in texts])
    passages = pa.table(
        {
            "content_key": keys,
            "id": ids,
            "text": texts,
            "doc_id": [names[0][0] for names in occurrences],
            "passage_no": pa.array([names[0][1] for names in occurrences], pa.int32()),
            "n_documents": pa.array([len(names) for names in owners], pa.int32()),
        }
    )
    rows = sorted((*name, key) for key, names in zip(keys.to_pylist(), occurrences, strict=True) for name in names)
    documents = pa.table(
        {
            "doc_id": [name for name, _, _ in rows],
            "passage_no": pa.array([number for _, number, _ in rows], pa.int32()),
            "content_key": pa.array([key for _, _, key in rows], pa.binary(32)),
        }
    )
    return Corpus(
        str(folder),
        ids,
        vectors,
        texts,
        owners,
        occurrences,
        make_blocks(folder, vectors, ids, rows_per_part),
        tuple(
            write_table(f"{folder}/passages/part-{i:05d}.parquet", passages.slice(i, rows_per_part))
            for i in range(0, len(texts), rows_per_part)
        ),
        tuple(write_table(f"{folder}/documents/part-{i:05d}.parquet", documents.slice(i, 40)) for i in range(0, len(rows), 40)),
    )


def brute_pairs(corpus: Corpus, threshold: float) -> dict[tuple[str, str], float]:
    """First documents of every pair of distinct texts at or above the threshold, with the cosine."""
    cosines = integer_cosines(corpus.vectors).astype(np.float64)
    pairs = {}
    for i, j in zip(*np.triu_indices(len(corpus.ids), 1), strict=True):
        if cosines[i, j] >= threshold:
            a, b = sorted((corpus.owners[i][0], corpus.owners[j][0]))
            pairs[a, b] = float(cosines[i, j])
    return pairs


def is_pair(row: dict) -> bool:
    return row["relation"] != "exact"


def found_pairs(rows: list[dict]) -> dict[tuple[str, str], float]:
    return {(row["doc_id_a"], row["doc_id_b"]): row["cosine"] for row in rows if is_pair(row)}
