"""The published tables: all pairs in order, and groups of passages with the one that is kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.duplicates.grouping import group_passages
from transforms.duplicates.keep import columns_of
from transforms.duplicates.mine import MineRecord
from transforms.duplicates.occurrences import Occurrences, occurrences_of
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.places import places_of
from transforms.duplicates.relation import EXACT, NEAR, PARAPHRASE
from transforms.duplicates.tables import pairs_schema
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


def publish_duplicates(task: GroupTask, options: DuplicatesOptions) -> GroupRecord:
    """Write `pairs.parquet` and `groups.parquet`; both are functions of the pairs and documents, not of their parts."""
    mined = pa.concat_tables(read_table(record.file.path) for record in task.pairs)
    id_a, id_b = mined["id_a"].to_numpy(), mined["id_b"].to_numpy()
    texts = _texts(np.unique(np.concatenate([id_a, id_b])), task.passages)
    ids = texts["id"].to_numpy()
    owners = occurrences_of(ids, [part.path for part in task.documents], columns_of(options.keep))

    names = ("doc_id_a", "doc_id_b", "passage_no_a", "passage_no_b")
    order = [("cosine", "descending"), *((name, "ascending") for name in names)]
    pairs = pa.concat_tables([_named_pairs(mined, ids, owners), _exact_pairs(ids, owners)]).sort_by(order)
    pairs_file = write_table(join(task.directory, "pairs.parquet"), pairs)

    groups = group_passages(texts, owners, places_of(id_a, ids), places_of(id_b, ids), mined["cosine"].to_numpy(), options.keep)
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


def _texts(paired: np.ndarray, passages: Sequence[FileRef]) -> pa.Table:
    """Texts with one of the ids `paired` (ascending) or with several documents, read one part at a time."""
    tables = []
    for part in passages:
        table = read_table(part.path, ["id", "n_documents", "text"])
        wanted = (places_of(table["id"].to_numpy(), paired) >= 0) | (table["n_documents"].to_numpy() > 1)
        table = table.filter(pa.array(wanted))
        columns = [table["id"], table["n_documents"], pc.utf8_length(table["text"])]
        tables.append(pa.table(columns, names=["id", "documents", "characters"]))
    return pa.concat_tables(tables).combine_chunks()


def _named_pairs(mined: pa.Table, ids: np.ndarray, owners: Occurrences) -> pa.Table:
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
    columns |= {"id_a": pa.array(ids[owners.texts[a]]), "id_b": pa.array(ids[owners.texts[b]])}
    return _pair_rows(columns, owners, a, b)


def _exact_pairs(ids: np.ndarray, owners: Occurrences) -> pa.Table:
    """The first document of each text with each of its other documents: m − 1 rows for m documents, not m²."""
    first_of = owners.first[owners.texts]
    others = np.flatnonzero(owners.new_document & (first_of != np.arange(len(owners.texts))))
    count = len(others)
    columns = {
        "cosine": pa.array(np.ones(count, np.float32)),
        "relation": pa.array([EXACT] * count, pa.string()),
        "differences": pa.array([[]] * count, pa.list_(pa.string())),
        "jaccard": pa.array(np.ones(count, np.float32)),
        "id_a": pa.array(ids[owners.texts[others]]),
        "id_b": pa.array(ids[owners.texts[others]]),
    }
    return _pair_rows(columns, owners, first_of[others], others)


def _pair_rows(columns: dict[str, pa.Array], owners: Occurrences, a: np.ndarray, b: np.ndarray) -> pa.Table:
    """Rows of `pairs_schema` whose passages are the rows `a` and `b` of `owners`."""
    for side, rows in (("a", a), ("b", b)):
        columns[f"doc_id_{side}"] = owners.doc_ids.take(pa.array(rows))
        columns[f"passage_no_{side}"] = pa.array(owners.passage_nos[rows])
    return pa.table([columns[name] for name in pairs_schema().names], schema=pairs_schema())


def _duplicate_documents(groups: pa.Table) -> int:
    """Documents with a passage that is in a group and is not the kept one, which alone is of the kept document."""
    return pc.count_distinct(groups.filter(pc.not_equal(groups["doc_id"], groups["kept_doc_id"]))["doc_id"]).as_py()
