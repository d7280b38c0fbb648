"""Where texts occur: all passages that are one of some texts, with the metadata of their documents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.corpus import ids_of
from transforms.duplicates.keep import KeepError
from transforms.duplicates.places import places_of
from transforms.files import open_parquet


@dataclass(frozen=True)
class Occurrences:
    """The passages that are one of n texts, by (text id, document id, passage number).

    One value per passage: `texts` int64 (its text's place among the n), `doc_ids` string, `ranks` int64 (of the document
    ids in their order), `passage_nos` int32, `columns` metadata of its document by name. One per text: `first`, its first
    passage, and `second`, its first one of another document (-1 where there is none).
    """

    texts: np.ndarray
    doc_ids: pa.Array
    ranks: np.ndarray
    passage_nos: np.ndarray
    columns: dict[str, pa.Array]
    first: np.ndarray
    second: np.ndarray

    @property
    def new_document(self) -> np.ndarray:
        """Which passages are the first of their document with this text: bool (passages,)."""
        same = (self.texts[1:] == self.texts[:-1]) & (self.ranks[1:] == self.ranks[:-1])
        return np.concatenate([np.ones(min(1, len(self.texts)), bool), ~same])


def occurrences_of(ids: np.ndarray, documents: Sequence[str], columns: Sequence[str] = ()) -> Occurrences:
    """All passages of the texts `ids` (n,) ascending, read one part of the documents (paths) at a time.

    Every text must occur. Raises KeepError when the documents lack one of the metadata `columns`.
    """
    tables = (
        []
        if documents
        else [pa.table({"text": ids[:0], "doc_id": pa.array([], pa.string()), "passage_no": pa.array([], pa.int32())})]
    )
    for path in documents:
        table = _read(path, columns)
        places = places_of(ids_of(table["content_key"].combine_chunks()), ids)
        table = table.drop_columns("content_key").add_column(0, "text", pa.array(places))
        tables.append(table.filter(pa.array(places >= 0)))
    table = pa.concat_tables(tables).combine_chunks()
    doc_ids = table["doc_id"].combine_chunks()
    ranks = pc.rank(doc_ids, tiebreaker="dense").to_numpy().astype(np.int64)
    order = np.lexsort((table["passage_no"].to_numpy(), ranks, table["text"].to_numpy()))
    table, ranks = table.take(pa.array(order)).combine_chunks(), ranks[order]
    texts = table["text"].to_numpy()
    first = np.searchsorted(texts, np.arange(len(ids)))
    # Rows of a text are in the order of their documents: the second one begins where the first one's rows end.
    other = np.flatnonzero(ranks != ranks[first[texts]])
    second = np.full(len(ids), -1)
    having, at = np.unique(texts[other], return_index=True)
    second[having] = other[at]
    taken = {name: table[name].combine_chunks() for name in ("doc_id", *columns)}
    return Occurrences(texts, taken.pop("doc_id"), ranks, table["passage_no"].to_numpy(), taken, first, second)


def _read(path: str, columns: Sequence[str]) -> pa.Table:
    with open_parquet(path) as parquet:
        names = parquet.schema_arrow.names
        if missing := [name for name in columns if name not in names]:
            raise KeepError(
                f"duplicates.keep needs the metadata column {missing[0]!r}, which the documents lack (they have "
                f"{', '.join(names)}): add it to corpus.metadata_columns or leave the rule out"
            )
        return parquet.read(columns=["content_key", "doc_id", "passage_no", *columns])
