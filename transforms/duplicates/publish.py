"""The published tables: all pairs in order, and groups of passages with the one that is kept."""

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

    `pairs` counts all rows, `exact`, `near` and `paraphrase` by relation; `duplicate_documents` are the documents with a
    passage that is in a group and not kept. With `complete` false, `pairs_dropped` pairs of `texts_capped` texts were left out.
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


@dataclass(frozen=True)
class _Owners:
    """The passages that are one of the texts, by (text id, document id, passage number).

    `ids` int64, `doc_ids` string, `ranks` int64 (of the document ids in their order), `passage_nos` int32: one per passage.
    `first` and `second`, one per text: its first passage, and its first one of another document (-1 where there is none).
    """

    ids: np.ndarray
    doc_ids: pa.Array
    ranks: np.ndarray
    passage_nos: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @property
    def new_document(self) -> np.ndarray:
        """Which passages are the first of their document with this text: bool (passages,)."""
        same = (self.ids[1:] == self.ids[:-1]) & (self.ranks[1:] == self.ranks[:-1])
        return np.concatenate([np.ones(min(1, len(self.ids)), bool), ~same])


def publish_duplicates(task: GroupTask, options: DuplicatesOptions) -> GroupRecord:
    """Write `pairs.parquet` and `groups.parquet`; both are functions of the pairs and documents, not of their parts."""
    mined = pa.concat_tables(read_table(record.file.path) for record in task.pairs)
    id_a, id_b = mined["id_a"].to_numpy(), mined["id_b"].to_numpy()
    texts = _texts(np.unique(np.concatenate([id_a, id_b])), task.passages)
    owners = _owners(texts.ids, task.documents)

    names = ("doc_id_a", "doc_id_b", "passage_no_a", "passage_no_b")
    order = [("cosine", "descending"), *((name, "ascending") for name in names)]
    pairs = pa.concat_tables([_named_pairs(mined, texts.ids, owners), _exact_pairs(texts.ids, owners)]).sort_by(order)
    pairs_file = write_table(join(task.directory, "pairs.parquet"), pairs)

    groups = _groups(texts, mined, owners, options)
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
        _duplicate_documents(groups),
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


def _owners(ids: np.ndarray, documents: Sequence[FileRef]) -> _Owners:
    """All passages that are one of the texts `ids`, read one part of the documents at a time."""
    schema = pa.schema([("id", pa.int64()), ("doc_id", pa.string()), ("passage_no", pa.int32())])
    tables = [schema.empty_table()]
    for part in documents:
        table = read_table(part.path, ["content_key", "doc_id", "passage_no"])
        if table.num_rows:
            text = ids_of(table["content_key"].combine_chunks())
            table = table.drop_columns("content_key").add_column(0, "id", pa.array(text))
            tables.append(table.filter(pa.array(np.isin(text, ids))))
    table = pa.concat_tables(tables).sort_by([(name, "ascending") for name in ("id", "doc_id", "passage_no")])
    doc_ids = table["doc_id"].combine_chunks()
    ranks = pc.rank(doc_ids, tiebreaker="dense").to_numpy().astype(np.int64)
    own = table["id"].to_numpy()
    first = np.searchsorted(own, ids)
    # Rows of a text are in the order of their documents: the second one begins where the first one's rows end.
    other = np.flatnonzero(ranks != ranks[first[np.searchsorted(ids, own)]])
    second = np.full(len(ids), -1)
    texts, at = np.unique(np.searchsorted(ids, own[other]), return_index=True)
    second[texts] = other[at]
    return _Owners(own, doc_ids, ranks, table["passage_no"].to_numpy(), first, second)


def _named_pairs(mined: pa.Table, ids: np.ndarray, owners: _Owners) -> pa.Table:
    """Mined pairs with the documents that make them: the first of each text, and of different documents in any case.

    Where the first documents of both texts are one, the first other document that either text has takes its place there.
    """
    id_a, id_b = mined["id_a"].to_numpy(), mined["id_b"].to_numpy()
    text_a, text_b = np.searchsorted(ids, id_a), np.searchsorted(ids, id_b)
    a, b = owners.first[text_a], owners.first[text_b]
    clash = owners.ranks[a] == owners.ranks[b]
    nobody = np.iinfo(np.int64).max
    next_a, next_b = owners.second[text_a], owners.second[text_b]
    rank_a, rank_b = (np.where(place < 0, nobody, owners.ranks[place]) for place in (next_a, next_b))
    of_b = rank_b <= rank_a
    a, b = np.where(clash & ~of_b, next_a, a), np.where(clash & of_b, next_b, b)
    turned = owners.ranks[a] > owners.ranks[b]
    a, b = np.where(turned, b, a), np.where(turned, a, b)
    columns = {name: mined[name] for name in mined.column_names}
    columns |= {"id_a": pa.array(owners.ids[a]), "id_b": pa.array(owners.ids[b])}
    return _pair_rows(columns, owners, a, b)


def _exact_pairs(ids: np.ndarray, owners: _Owners) -> pa.Table:
    """The first document of each text with each of its other documents: m − 1 rows for m documents, not m²."""
    first_of = owners.first[np.searchsorted(ids, owners.ids)]
    others = np.flatnonzero(owners.new_document & (first_of != np.arange(len(owners.ids))))
    count = len(others)
    columns = {
        "cosine": pa.array(np.ones(count, np.float32)),
        "relation": pa.array([EXACT] * count, pa.string()),
        "differences": pa.array([[]] * count, pa.list_(pa.string())),
        "jaccard": pa.array(np.ones(count, np.float32)),
        "id_a": pa.array(owners.ids[others]),
        "id_b": pa.array(owners.ids[others]),
    }
    return _pair_rows(columns, owners, first_of[others], others)


def _pair_rows(columns: dict[str, pa.Array], owners: _Owners, a: np.ndarray, b: np.ndarray) -> pa.Table:
    """Rows of `pairs_schema` whose passages are the rows `a` and `b` of `owners`."""
    for side, rows in (("a", a), ("b", b)):
        columns[f"doc_id_{side}"] = owners.doc_ids.take(pa.array(rows))
        columns[f"passage_no_{side}"] = pa.array(owners.passage_nos[rows])
    return pa.table([columns[name] for name in pairs_schema().names], schema=pairs_schema())


def _groups(texts: _Texts, mined: pa.Table, owners: _Owners, options: DuplicatesOptions) -> pa.Table:
    """Rows of `groups_schema`: every passage stands in the group of its text's kept text.

    Other passages of the kept document are left out: a document is no duplicate of itself.
    """
    a, b = (np.searchsorted(texts.ids, mined[name].to_numpy()) for name in ("id_a", "id_b"))
    first_ids = owners.doc_ids.take(pa.array(owners.first))
    covered = cover(len(texts.ids), a, b, mined["cosine"].to_numpy(), _policy_order(texts, first_ids, options))
    text = np.searchsorted(texts.ids, owners.ids)
    kept = covered.kept[text]
    kept_row = owners.first[kept]
    is_kept = kept_row == np.arange(len(kept))
    rows = np.flatnonzero(is_kept | (owners.ranks != owners.ranks[kept_row]))
    size = np.bincount(kept[rows], minlength=len(texts.ids))[kept]
    rows = rows[size[rows] > 1]
    columns = {
        "group_id": texts.ids[kept],
        "passage_no": owners.passage_nos,
        "kept_passage_no": owners.passage_nos[kept_row],
        "cosine_to_kept": covered.cosines[text],
        "size": size.astype(np.int32),
        "component_id": texts.ids[covered.component[text]],
    }
    taken = {name: pa.array(values[rows]) for name, values in columns.items()}
    taken |= {"doc_id": owners.doc_ids.take(pa.array(rows)), "kept_doc_id": owners.doc_ids.take(pa.array(kept_row[rows]))}
    table = pa.table([taken[name] for name in groups_schema().names], schema=groups_schema())
    order = [
        ("group_id", "ascending"),
        ("other", "ascending"),
        ("cosine_to_kept", "descending"),
        ("doc_id", "ascending"),
        ("passage_no", "ascending"),
    ]
    return table.append_column("other", pa.array(~is_kept[rows])).sort_by(order).drop_columns("other")


def _duplicate_documents(groups: pa.Table) -> int:
    """Documents with a passage that is in a group and is not the kept one, which alone is of the kept document."""
    return pc.count_distinct(groups.filter(pc.not_equal(groups["doc_id"], groups["kept_doc_id"]))["doc_id"]).as_py()


def _policy_order(texts: _Texts, first_ids: pa.Array, options: DuplicatesOptions) -> np.ndarray:
    """Positions of the texts, most wanted first: by the rules of `keep` in turn, then by smallest document id."""
    characters = texts.characters.astype(np.int64)
    rules = {"most_documents": -texts.documents.astype(np.int64), "longest": -characters, "shortest": characters}
    names = np.empty(len(texts.ids), np.int64)
    names[pc.sort_indices(first_ids).to_numpy()] = np.arange(len(texts.ids))
    return np.lexsort((names, *(rules[rule] for rule in reversed(options.keep))))
