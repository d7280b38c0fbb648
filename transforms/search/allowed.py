"""What a condition leaves of a generation: the ids to search among, and which passages of an equal text count."""

import numpy as np
import pyarrow as pa

from transforms.corpus import doc_hash, ids_of
from transforms.files import open_parquet
from transforms.generations import Generation
from transforms.search.owners import Passage
from transforms.search.vector_index import Only
from transforms.search.where import Where

# Columns that are always read of a row that fits.
_KEYS = ["doc_id", "passage_no", "content_key"]


class Allowed:
    """Passages that fit a condition: about 85 bytes for each in memory. Safe to share between threads.

    `only` are the ids of their texts. A text that other documents have too is an answer for those passages only that fit.
    """

    def __init__(self, doc_ids: pa.ChunkedArray, numbers: np.ndarray, keys: pa.ChunkedArray) -> None:
        """The passages in the order of the documents: by (doc hash, doc id, number)."""
        self._doc_ids, self._numbers = doc_ids, numbers
        hashes = b"".join(doc_hash(doc_id) for doc_id in doc_ids.to_pylist())
        self._hashes = np.frombuffer(hashes, ">u8").astype(np.uint64)
        flat = pa.concat_arrays(keys.chunks) if keys.num_chunks else pa.array([], pa.binary(32))
        self.only = Only(np.unique(ids_of(flat)) if len(flat) else np.empty(0, np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return int(self._doc_ids.nbytes + self._numbers.nbytes + self._hashes.nbytes + self.only.nbytes)

    def __contains__(self, passage: Passage) -> bool:
        doc_id, number = passage
        wanted = np.frombuffer(doc_hash(doc_id), ">u8").astype(np.uint64)[0]
        low, high = (int(np.searchsorted(self._hashes, wanted, side=side)) for side in ("left", "right"))
        # Another document with this hash is as good as impossible, and asked for all the same.
        at = low + np.flatnonzero(self._numbers[low:high] == number)
        return any(self._doc_ids[int(row)].as_py() == doc_id for row in at)


def find_allowed(generation: Generation, where: Where) -> Allowed:
    """The passages of a generation that fit. Of the documents only the columns that are needed are read, each part checked.

    Raises WhereError for a column that is not there or of another type.
    """
    tables = []
    for part in generation.manifest.under("documents"):
        with open_parquet(generation.checked(part)) as parquet:
            schema = parquet.schema_arrow
            # The key is an implementation's.
            expression = where.expression(schema.remove(schema.get_field_index("content_key")))
            for group in range(parquet.num_row_groups):
                table = parquet.read_row_group(group, columns=list(dict.fromkeys([*_KEYS, *where.columns])))
                tables.append(table.filter(expression).select(_KEYS))
    empty = pa.table({"doc_id": pa.array([], pa.string()), "passage_no": pa.array([], pa.int32()), "content_key": []})
    found = pa.concat_tables(tables) if tables else empty
    return Allowed(found["doc_id"], found["passage_no"].to_numpy(), found["content_key"])


def check_where(generation: Generation, where: Where) -> None:
    """Raise WhereError when the condition does not fit the columns of the generation's documents."""
    for part in generation.manifest.under("documents")[:1]:
        with open_parquet(generation.checked(part)) as parquet:
            schema = parquet.schema_arrow
            where.expression(schema.remove(schema.get_field_index("content_key")))
