"""Documents of texts: which pairs of texts no two documents have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, read_table


@dataclass(frozen=True)
class SoleOwners:
    """Texts that a single document has: ids int64 ascending, and numbers of the documents, equal for equal documents."""

    ids: np.ndarray
    documents: np.ndarray

    def same(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Which pairs of texts, by id (n,), are of one document and no other has either: bool (n,)."""
        if not len(self.ids):
            return np.zeros(len(a), bool)
        at, bt = (np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1) for ids in (a, b))
        known = (self.ids[at] == a) & (self.ids[bt] == b)
        return known & (self.documents[at] == self.documents[bt])


NOBODY = SoleOwners(np.empty(0, np.int64), np.empty(0, np.int64))


def sole_owners(passages: Sequence[FileRef]) -> SoleOwners:
    """The owners of all texts that one document has, from the passages parts in order. Memory: an id for each text."""
    ids, names = [np.empty(0, np.int64)], [pa.array([], pa.string())]
    for part in passages:
        table = read_table(part.path, ["id", "doc_id", "n_documents"])
        table = table.filter(pa.array(table["n_documents"].to_numpy() == 1))
        ids.append(table["id"].to_numpy())
        names += table["doc_id"].chunks
    numbers = pa.chunked_array(names).combine_chunks().dictionary_encode().indices.to_numpy()
    return SoleOwners(np.concatenate(ids), numbers.astype(np.int64))
