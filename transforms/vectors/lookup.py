"""Looking content keys up in the shards of the vector store: few of them, in an order of their own, none that is damaged."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import CorruptFileError, FileRef, file_ref, open_parquet, read_table
from transforms.vectors.store import KEY_BYTES, is_named_by

# Footers are small: on an object store all the time goes into waiting for them.
_THREADS = 16
_FIRST, _LAST = bytes(KEY_BYTES), b"\xff" * KEY_BYTES


@dataclass(frozen=True)
class StoredShard:
    """One shard by its footer: its content keys are within `low` … `high`, both included, and there are `rows` of them.

    A footer that cannot be read gives 0 rows anywhere: whoever looks a key up finds the damage.
    """

    path: str
    low: bytes
    high: bytes
    rows: int

    @property
    def preference(self) -> tuple[int, str]:
        """Sorts shards: those with the most rows first, so that few answer for many keys; no matter how a folder is listed."""
        return -self.rows, self.path


@dataclass(frozen=True)
class StoredVectors:
    """What the store knows of n keys.

    `vectors` float32 (n, dim), undefined where `found` bool (n,) is false, and None where no key is found. `truncated` bool
    (n,). `shards` answered. `damaged` are paths of shards whose bytes are not those that their names say: not used.
    """

    vectors: np.ndarray | None
    truncated: np.ndarray
    found: np.ndarray
    shards: list[FileRef]
    damaged: list[str]


def describe_shards(paths: Iterable[str]) -> list[StoredShard]:
    """Read the footers of files of rows sorted by content key, in the order given."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(describe_shard, paths))


def describe_shard(path: str) -> StoredShard:
    """Read the footer of one file of rows sorted by content key."""
    try:
        low, high, rows = _footer(path)
    # Whatever damaged bytes look like to a reader of Parquet.
    except (CorruptFileError, pa.ArrowException, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return StoredShard(path, _FIRST, _LAST, 0)
    return StoredShard(path, low, high, rows)


def _footer(path: str) -> tuple[bytes, bytes, int]:
    with open_parquet(path) as parquet:
        metadata = parquet.metadata
        groups = [metadata.row_group(group).column(0).statistics for group in range(metadata.num_row_groups)]
        low, high = min(group.min for group in groups), max(group.max for group in groups)
        if metadata.schema.column(0).path != "content_key" or not len(low) == len(high) == KEY_BYTES:
            raise CorruptFileError(f"{path} is not sorted by content key")
        return low, high, metadata.num_rows


class ShardIndex:
    """The shards of a store by their key ranges: which of them can answer for a part is decided once, without opening any."""

    def __init__(self, shards: Sequence[StoredShard]) -> None:
        self._shards = sorted(shards, key=lambda shard: shard.preference)
        self._low = _keys([shard.low for shard in self._shards])
        self._high = _keys([shard.high for shard in self._shards])

    def between(self, low: bytes, high: bytes) -> tuple[StoredShard, ...]:
        """The shards that can hold a key of `low` … `high`, both included; the preferred ones come first."""
        chosen = (self._low <= np.bytes_(high)) & (self._high >= np.bytes_(low))
        return tuple(self._shards[i] for i in np.flatnonzero(chosen))


def find_vectors(shards: Sequence[StoredShard], keys: Sequence[bytes]) -> StoredVectors:
    """Look `keys` (n, ascending) up in the shards. The preferred shard answers for a key that several hold.

    A shard is used only when its name is that of its bytes. Shards are read until every key is found. Raises ValueError when
    their vectors have different dimensions.
    """
    vectors: np.ndarray | None = None
    truncated, found = np.zeros(len(keys), bool), np.zeros(len(keys), bool)
    answered: list[FileRef] = []
    damaged: list[str] = []
    wanted = _keys(keys)
    for shard in sorted(shards, key=lambda shard: shard.preference):
        if found.all():
            break
        ref = file_ref(shard.path, shard.rows)
        # Before it is decoded: what a decoder makes of damaged bytes is anybody's guess.
        if not is_named_by(shard.path, ref.sha256):
            damaged.append(shard.path)
            continue
        table = read_table(shard.path, key="content_key", low=keys[0], high=_after(keys[-1]))
        if table.num_rows == 0:
            continue
        have = _keys(table["content_key"].to_pylist())
        # numpy strips trailing NULs of S-arrays on both sides alike, so order and equality of equal-width keys hold.
        at = np.minimum(np.searchsorted(have, wanted), len(have) - 1)
        hit = (have[at] == wanted) & ~found
        if hit.any():
            column = table["vector"].combine_chunks()
            dim = column.type.list_size
            if vectors is None:
                vectors = np.empty((len(keys), dim), np.float32)
            if dim != vectors.shape[1]:
                raise ValueError(
                    f"{shard.path} holds vectors of {dim} dimensions, other shards beside it {vectors.shape[1]}: no two models "
                    "share a folder of the store; remove the files that do not belong there"
                )
            rows = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
            vectors[hit] = rows[at[hit]]
            truncated[hit] = table["truncated"].to_numpy()[at[hit]]
            found[hit] = True
            answered.append(ref)
    return StoredVectors(vectors, truncated, found, answered, damaged)


def _keys(keys: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(keys), dtype=f"S{KEY_BYTES}")


def _after(key: bytes) -> bytes | None:
    """The next key in byte order, for a half-open range that includes `key`; None after the last one."""
    following = int.from_bytes(key, "big") + 1
    return None if following >> (8 * len(key)) else following.to_bytes(len(key), "big")
