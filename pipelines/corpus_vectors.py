"""Vectors of a published corpus by any encoder, in files of this machine: from the root's store where it has them."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from pipelines.embed import damage_warnings
from pipelines.errors import warn
from transforms.corpus import InputError
from transforms.embedding import EmbeddingOptions, EncoderSpec
from transforms.files import filesystem_of, open_parquet, read_table
from transforms.generations import Generation
from transforms.vectors import ShardIndex, VectorBlock, describe_shards, save_array, stored_shards, vectors_of

# Rows of a block: 25 MB at 384 dimensions.
_ROWS = 16_384


@dataclass(frozen=True)
class CorpusVectors:
    """Blocks of the distinct texts' vectors, as the index has them, in the order of their ids; `embedded` of them now."""

    blocks: tuple[VectorBlock, ...]
    embedded: int

    @property
    def texts(self) -> int:
        """Number of distinct texts."""
        return sum(block.rows for block in self.blocks)


def corpus_vectors(generation: Generation, spec: EncoderSpec, options: EmbeddingOptions, folder: str) -> CorpusVectors:
    """Write the vectors of all texts of a generation by `spec` to the local `folder`, embedding what the store has not.

    Nothing is added to the root. Memory holds one part of the documents with its vectors, and 33 bytes for each text. Raises
    InputError when texts must be embedded and the generation keeps none.
    """
    keys, ids = _keys(generation)
    shards = ShardIndex(describe_shards(stored_shards(generation.root, spec.fingerprint)))
    done = np.zeros(len(keys), bool)
    blocks: list[VectorBlock] = []
    embedded, damaged = 0, set()
    for part_keys, part_texts in _parts(generation):
        at = np.searchsorted(keys, np.array(part_keys, keys.dtype))
        # A text that an earlier part had too is not embedded again.
        new = np.flatnonzero(~done[at])
        if not len(new):
            continue
        chosen = [part_keys[i] for i in new]
        texts = [part_texts[i] for i in new]
        check_texts_are_kept(generation, spec, texts)
        found = vectors_of(chosen, texts, shards, spec, options, unit=False)
        embedded += found.embedded
        damaged |= set(found.damaged)
        blocks = blocks or _blocks(folder, ids, found.vectors.shape[1])
        _store(blocks, at[new], found.vectors)
        done[at[new]] = True
    warn(damage_warnings(generation.root, sorted(damaged)))
    return CorpusVectors(tuple(blocks), embedded)


def check_texts_are_kept(generation: Generation, spec: EncoderSpec, texts: Collection[str | None]) -> None:
    """Raise InputError when another model than the generation's own would have to embed texts that it does not keep."""
    if None in texts and spec.fingerprint != generation.manifest.encoder["fingerprint"]:
        raise InputError(
            f"generation {generation.id} keeps no texts (corpus.keep_text=false): only its own model can be measured on it"
        )


def _keys(generation: Generation) -> tuple[np.ndarray, np.ndarray]:
    """Content keys S32 (texts,) of all distinct texts, ascending, and their ids int64 (texts,), which ascend with them."""
    keys: list[np.ndarray] = []
    ids: list[np.ndarray] = []
    with open_parquet(generation.path("index/ids.parquet")) as table:
        for batch in table.iter_batches(columns=["content_key", "id"]):
            keys.append(np.array(batch["content_key"].to_pylist(), "S32"))
            ids.append(batch["id"].to_numpy())
    distinct, first = np.unique(np.concatenate([np.empty(0, "S32"), *keys]), return_index=True)
    return distinct, np.concatenate([np.empty(0, np.int64), *ids])[first]


def _parts(generation: Generation) -> Iterator[tuple[list[bytes], list[str | None]]]:
    """Distinct content keys of each part of the documents, ascending, with their texts."""
    for file in generation.manifest.under("documents"):
        path = generation.checked(file)
        fs, inner = filesystem_of(path)
        columns = ["content_key", *(["text"] if "text" in pq.read_schema(inner, filesystem=fs).names else [])]
        table = read_table(path, columns)
        texts = table["text"].to_pylist() if "text" in columns else [None] * table.num_rows
        by_key = dict(zip(table["content_key"].to_pylist(), texts, strict=True))
        keys = sorted(by_key)
        yield keys, [by_key[key] for key in keys]


def _blocks(folder: str, ids: np.ndarray, dim: int) -> list[VectorBlock]:
    """Empty blocks for all texts."""
    blocks = []
    for start in range(0, len(ids), _ROWS):
        some = ids[start : start + _ROWS]
        paths = [os.path.join(folder, f"{name}-{start:012d}.npy") for name in ("vectors", "ids")]
        np.lib.format.open_memmap(paths[0], "w+", np.float32, (len(some), dim)).flush()
        save_array(paths[1], some)
        blocks.append(VectorBlock(start, len(some), dim, *paths))
    return blocks


def _store(blocks: list[VectorBlock], rows: np.ndarray, vectors: np.ndarray) -> None:
    """Write vectors at ascending positions."""
    for block in blocks:
        low, high = np.searchsorted(rows, [block.start, block.start + block.rows])
        if high > low:
            stored = np.lib.format.open_memmap(block.path, "r+")
            stored[rows[low:high] - block.start] = vectors[low:high]
            stored.flush()
