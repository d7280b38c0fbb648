"""Vectors of the user's queries: through the query side of the encoder, as a search would embed them."""

from dataclasses import dataclass

import numpy as np

from transforms.embedding import EmbeddingOptions, EncoderSpec, load_encoder
from transforms.files import FileRef, file_ref, join, read_table
from transforms.vectors.blocks import VectorBlock, write_block


@dataclass(frozen=True)
class QueriesTask:
    """A table with the column `text`, and the folder for the vectors."""

    texts: FileRef
    directory: str


@dataclass(frozen=True)
class QueriesRecord:
    """The queries' vectors in the order of the texts. Their ids are -(n + 1) … -2: no text of the corpus has such a one."""

    block: VectorBlock
    files: tuple[FileRef, ...]


def embed_queries(task: QueriesTask, spec: EncoderSpec, options: EmbeddingOptions, threads: int | None = None) -> QueriesRecord:
    """Embed all queries with the query prompt. Raises VectorError or ModelError naming the query that has no usable vector."""
    texts = read_table(task.texts.path, ["text"])["text"].to_pylist()
    encoder = load_encoder(spec, options.device, threads)
    vectors = encoder.encode_queries(texts, options.tokens_per_batch).vectors
    paths = [join(task.directory, f"asked-{name}.npy") for name in ("vectors", "ids")]
    block = write_block(paths[0], paths[1], 0, np.arange(-len(texts) - 1, -1), vectors)
    return QueriesRecord(block, tuple(file_ref(path, block.rows) for path in paths))
