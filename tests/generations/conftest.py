"""A published generation of a few small files, with a vector shard outside its folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from transforms.files import file_ref, write_bytes
from transforms.generations import FORMAT, Gate, Manifest, published_files, write_manifest

FIRST, SECOND = "20260101T000000Z-0a1b2c3d", "20260102T000000Z-ffffffff"
INSIDE = ("index/index.faiss", "neighbors/part-00000.parquet", "neighbors/part-00001.parquet", "report.html")
SHARD = "vectors/abc/part-1.parquet"


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "root")


@pytest.fixture
def make_generation(root: str) -> Callable[..., Manifest]:
    """Writes the files and the manifest of one generation."""

    def make(generation: str = FIRST, parent: str | None = None, root: str = root, **fields: object) -> Manifest:
        names = [f"generations/{generation}/{name}" for name in INSIDE]
        for name in [*names, SHARD]:
            write_bytes(f"{root}/{name}", f"the content of {name.rsplit('/')[-1]}".encode() * 5)
        values = {
            "format": FORMAT,
            "generation": generation,
            "parent": parent,
            "created": "2026-01-01T00:00:00+00:00",
            "encoder": {"model": "all-MiniLM-L6-v2", "max_tokens": None, "normalize": True},
            "corpus_digest": "c" * 64,
            "configuration_digest": "d" * 64,
            "configuration": {"index": {"nprobe": 8, "recall": 0.95}, "input": ["é/*.parquet"]},
            "versions": {"faiss": "1.12.0"},
            "counts": {"documents": 12, "pairs": 0},
            "gates": [Gate(name="recall", value=0.998, limit=0.95, passed=True, meaning="recall@10 of the index")],
            "changes": {"added": 12},
            "files": published_files(root, [file_ref(f"{root}/{name}", 7) for name in (SHARD, *reversed(names))]),
        }
        manifest = Manifest(**{**values, **fields}).with_digest()
        write_manifest(root, manifest)
        return manifest

    return make
