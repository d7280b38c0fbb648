"""A small model, and parts of distinct passages as the corpus room writes them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tests.embedding.tiny import build_model
from transforms.embedding import EmbeddingOptions, EncoderSpec, encoder_spec
from transforms.files import write_table
from transforms.vectors import EmbedTask, describe_shards


@pytest.fixture(scope="session")
def tiny_options(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingOptions:
    prompts = {"query": "query: ", "document": "passage: "}
    return EmbeddingOptions(model=build_model(tmp_path_factory.mktemp("tiny"), prompts), device="cpu", tokens_per_batch=256)


@pytest.fixture(scope="session")
def tiny_spec(tiny_options: EmbeddingOptions) -> EncoderSpec:
    return encoder_spec(tiny_options)


@pytest.fixture
def make_task(tmp_path: Path) -> Callable[..., EmbedTask]:
    """Writes the passages of one part under `tmp_path` and gives its task."""

    def make(texts: list[str], shards: tuple[str, ...] = (), part: int = 0, start: int = 0, run: str = "run") -> EmbedTask:
        rows = sorted((hashlib.sha256(text.encode()).digest(), text) for text in set(texts))
        table = pa.table(
            {
                "content_key": pa.array([key for key, _ in rows], pa.binary(32)),
                "id": pa.array([int.from_bytes(key[:8], "big") >> 1 for key, _ in rows], pa.int64()),
                "text": pa.array([text for _, text in rows], pa.string()),
                "doc_id": pa.array([f"doc of {text}" for _, text in rows], pa.string()),
                "n_documents": pa.array([1] * len(rows), pa.int32()),
            }
        )
        ref = write_table(str(tmp_path / run / f"passages-{part:05d}.parquet"), table, row_group_rows=16)
        blocks = str(tmp_path / run / "blocks")
        progress = str(tmp_path / run / "progress")
        return EmbedTask(part, start, ref, tuple(describe_shards(shards)), str(tmp_path / "store"), blocks, progress)

    return make
