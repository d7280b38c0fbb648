"""The published tables: all pairs in order, and groups of documents with the one that is kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.corpus import ids_of
from transforms.duplicates.groups import cover
from transforms.duplicates.mine import MineRecord
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.relation import EXACT, NEAR, PARAPHRASE
from transforms.duplicates.tables import groups_schema, pairs_schema
from transforms.files import FileRef, join, read_table, write_table


@dataclass(frozen=True)
class GroupTask:
    """All parts of pairs, the passages and documents parts, and the folder of `pairs.parquet` and `groups.parquet`."""

    pairs: tuple[MineRecord, ...]
    passages: tuple[FileRef, ...]
    documents: tuple[FileRef, ...]
    directory: str


@dataclass(frozen=True)
class GroupRecord:
    """The two tables and what they hold.

    `pairs` counts all rows, `exact`, `near` and `paraphrase` by relation; `duplicate_documents` are the documents of
    groups that are not kept. With `complete` false, `pairs_dropped` pairs of `texts_capped` texts were left out.
    """

    pairs_file: FileRef
    groups_file: FileRef
    pairs: int
    exact: int
    near: int
    paraphrase: int
    groups: int
    duplicate_documents: int
    texts_searched_by_range: int
    texts_capped: int
    pairs_dropped: int
    complete: bool


@dataclass(frozen=True)
class _Texts:
    """Texts that are in a pair or belong to several documents: ids int64 ascending, number of documents, characters."""

    ids: np.ndarray
    documents: np.ndarray
    characters: np.ndarray


def publish_duplicates(task: GroupTask, options: DuplicatesOptions) -> GroupRecord:
    """Write `pairs.parquet` and `groups.parquet`; both are functions of the pairs and documents, not of their parts."""
    mined = pa.concat_tables(read_table(record.file.path) for record in task.pairs)
    id_a, id_b = mined["id_a"].to_numpy(), mined["id_b"].to_numpy()
    texts = _texts(np.unique(np.concatenate([id_a, id_b])), task.passages)
    owners, doc_ids = _documents(texts.ids, task.documents)
    first = np.searchsorted(owners, texts.ids)

    copies = _exact_pairs(texts.ids, owners, doc_ids, first)
    order = [("cosine", "descending"), ("doc_id_a", "ascending"), ("doc_id_b", "ascending")]
    pairs = pa.concat_tables([mined, copies]).sort_by(order)
    pairs_file = write_table(join(task.directory, "pairs.parquet"), pairs)

    groups = _groups(texts, mined, owners, doc_ids, first, options)
    groups_file = write_table(join(task.directory, "groups.parquet"), groups)
    relations = {entry["values"]: entry["counts"] for entry in pc.value_counts(pairs["relation"]).to_pylist()}
    group_count = pc.count_distinct(groups["group_id"]).as_py()
    dropped = sum(record.pairs_dropped for record in task.pairs)
    return GroupRecord(
        pairs_file,
        groups_file,
        pairs.num_rows,
        relations.get(EXACT, 0),
        relations.get(NEAR, 0),
        relations.get(PARAPHRASE, 0),
        group_count,
        groups.num_rows - group_count,
        sum(record.texts_searched_by_range for record in task.pairs),
        sum(record.texts_capped for record in task.pairs),
        dropped,
        dropped == 0,
    )


def _texts(paired: np.ndarray, passages: Sequence[FileRef]) -> _Texts:
    """Texts with one of the ids `paired` (ascending) or with several documents, read one part at a time."""
    ids, documents, characters = [], [], []
    for part in passages:
        table = read_table(part.path, ["id", "n_documents", "text"])
        wanted = np.isin(table["id"].to_numpy(), paired) | (table["n_documents"].to_numpy() > 1)
        table = table.filter(pa.array(wanted))
        ids.append(table["id"].to_numpy())
        documents.append(table["n_documents"].to_numpy())
        characters.append(pc.utf8_length(table["text"]).to_numpy())
    return _Texts(np.concatenate(ids), np.concatenate(documents), np.concatenate(characters))


def _documents(ids: np.ndarray, documents: Sequence[FileRef]) -> tuple[np.ndarray, pa.Array]:
    """Text id and document id of every document that has one of the texts, by (text id, document id), each once."""
    owners, doc_ids = [], []
    for part in documents:
        table = read_table(part.path, ["content_key", "doc_id"]).combine_chunks()
        if table.num_rows:
            owner = ids_of(table["content_key"].combine_chunks())
            wanted = np.isin(owner, ids)
            owners.append(owner[wanted])
            doc_ids.append(table["doc_id"].filter(pa.array(wanted)).combine_chunks())
    table = pa.table({"owner": np.concatenate(owners), "doc_id": pa.chunked_array(doc_ids, pa.string())})
    table = table.group_by(["owner", "doc_id"]).aggregate([]).sort_by([("owner", "ascending"), ("doc_id", "ascending")])
    return table["owner"].to_numpy(), table["doc_id"].combine_chunks()


def _exact_pairs(ids: np.ndarray, owners: np.ndarray, doc_ids: pa.Array, first: np.ndarray) -> pa.Table:
    """The first document of each text with each of its other documents: m − 1 rows for m documents, not m²."""
    first_of = first[np.searchsorted(ids, owners)]
    others = np.flatnonzero(first_of != np.arange(len(owners)))
    count = len(others)
    columns = {
        "doc_id_a": doc_ids.take(pa.array(first_of[others])),
        "doc_id_b": doc_ids.take(pa.array(others)),
        "cosine": pa.array(np.ones(count, np.float32)),
        "relation": pa.array([EXACT] * count, pa.string()),
        "differences": pa.array([[]] * count, pa.list_(pa.string())),
        "jaccard": pa.array(np.ones(count, np.float32)),
        "id_a": pa.array(owners[others]),
        "id_b": pa.array(owners[others]),
    }
    return pa.Table.from_arrays([columns[name] for name in pairs_schema().names], schema=pairs_schema())


def _groups(
    texts: _Texts, mined: pa.Table, owners: np.ndarray, doc_ids: pa.Array, first: np.ndarray, options: DuplicatesOptions
) -> pa.Table:
    """Rows of `groups_schema`: every document of a text stands in the group of its text's kept text."""
    a, b = (np.searchsorted(texts.ids, mined[name].to_numpy()) for name in ("id_a", "id_b"))
    first_ids = doc_ids.take(pa.array(first))
    covered = cover(len(texts.ids), a, b, mined["cosine"].to_numpy(), _policy_order(texts, first_ids, options))
    text = np.searchsorted(texts.ids, owners)
    kept = covered.kept[text]
    size = np.bincount(kept, minlength=len(texts.ids))[kept]
    table = pa.Table.from_arrays(
        [
            pa.array(texts.ids[kept]),
            doc_ids,
            first_ids.take(pa.array(kept)),
            pa.array(covered.cosines[text]),
            pa.array(size.astype(np.int32)),
            pa.array(texts.ids[covered.component[text]]),
        ],
        schema=groups_schema(),
    )
    table = table.append_column("other", pc.not_equal(table["doc_id"], table["kept_doc_id"])).filter(pa.array(size > 1))
    order = [("group_id", "ascending"), ("other", "ascending"), ("cosine_to_kept", "descending"), ("doc_id", "ascending")]
    return table.sort_by(order).drop_columns("other")


def _policy_order(texts: _Texts, first_ids: pa.Array, options: DuplicatesOptions) -> np.ndarray:
    """Positions of the texts, most wanted first: by the rules of `keep` in turn, then by smallest document id."""
    characters = texts.characters.astype(np.int64)
    rules = {"most_documents": -texts.documents.astype(np.int64), "longest": -characters, "shortest": characters}
    names = np.empty(len(texts.ids), np.int64)
    names[pc.sort_indices(first_ids).to_numpy()] = np.arange(len(texts.ids))
    return np.lexsort((names, *(rules[rule] for rule in reversed(options.keep))))
