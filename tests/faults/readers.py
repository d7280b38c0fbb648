"""What readers see of a root: a whole generation, its results, and files that belong to none."""

import re
from pathlib import Path
from typing import Any

import faiss
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.files import sha256_of
from transforms.generations import (
    Generation,
    list_generations,
    manifest_path,
    open_generation,
    read_manifest,
    verify_generation,
)

# They tell when the run was and how long it took, which is never the same twice.
_TELL_TIMES = ("metrics.json", "report.html")
# Files under a root that belong to no generation on purpose.
_NOT_OF_A_GENERATION = re.compile(r"CURRENT|LEASE|last_run\.json|pins(\.json)?|pins/.*|(.*/)?[^/]*\.?lock")


def read_whole(root: Path, documents: dict[str, str]) -> Generation:
    """Open what is published as a reader does, and check that it is all there and holds exactly `documents`."""
    generation = open_generation(str(root))
    assert verify_generation(str(root), generation.id).problems == ()
    table = pa.concat_tables([pq.read_table(generation.checked(file)) for file in generation.manifest.under("documents")])
    assert dict(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True)) == documents
    index = faiss.read_index(generation.path("index/index.faiss"))
    ids = pq.read_table(generation.path("index/ids.parquet"))["id"].to_pylist()
    assert index.ntotal == len(set(ids)) == len(set(documents.values()))
    _, nearest = index.search(index.reconstruct(ids[0]).reshape(1, -1), 1)
    assert nearest[0, 0] == ids[0]
    return generation


def results(generation: Generation) -> dict[str, Any]:
    """All that two runs of one corpus must have in common: sha256 of files by path, vectors by key, counts, digests.

    Vectors are compared by key: in which shard one is depends on what was stored before.
    """
    manifest = generation.manifest
    start = f"generations/{generation.id}/"
    files = {file.path.removeprefix(start): file.sha256 for file in manifest.files if file.path.startswith(start)}
    for file in manifest.files:
        assert sha256_of(f"{generation.root}/{file.path}") == (file.sha256, file.size)
    return {
        "files": {path: sha256 for path, sha256 in files.items() if path not in _TELL_TIMES},
        "names": sorted(files),
        "vectors": {key: vector for key, vector in stored_vectors(Path(generation.root)).items() if key in keys(generation)},
        "counts": manifest.counts,
        "corpus": manifest.corpus_digest,
        "configuration": manifest.configuration_digest,
        "fingerprint": manifest.encoder["fingerprint"],
    }


def keys(generation: Generation) -> set[bytes]:
    """Content keys of the published documents."""
    return {
        key
        for file in generation.manifest.under("documents")
        for key in pq.read_table(generation.checked(file))["content_key"].to_pylist()
    }


def stored_vectors(root: Path) -> dict[bytes, bytes]:
    """Every stored vector by its content key, with whether its text was cut short; several shards may hold the same one."""
    found: dict[bytes, bytes] = {}
    for path in sorted(root.glob("vectors/*/*.parquet")):
        table = pq.read_table(path)
        vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
        for key, vector, truncated in zip(
            table["content_key"].to_pylist(), vectors, table["truncated"].to_pylist(), strict=True
        ):
            value = vector.tobytes() + bytes([truncated])
            assert found.setdefault(key, value) == value, f"two vectors of {key.hex()}"
    return found


def orphans(root: Path) -> list[str]:
    """Files under `root` that no generation with a manifest names."""
    known = set()
    for generation in list_generations(str(root)):
        known.update(file.path for file in read_manifest(str(root), generation).files)
        known.add(Path(manifest_path(str(root), generation)).relative_to(root).as_posix())
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return sorted(path for path in found - known if not _NOT_OF_A_GENERATION.fullmatch(path))
