"""The published tables: all pairs in order, groups of passages with the one that is kept, and the texts that they are of."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.duplicates.grouping import group_passages
from transforms.duplicates.keep import columns_of
from transforms.duplicates.margin import margins, neighborhoods_of
from transforms.duplicates.mine import MineRecord
from transforms.duplicates.occurrences import Occurrences, occurrences_of
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.paired import PairedTexts, in_pieces, paired_ids, read_pairs
from transforms.duplicates.pairs import Dropped
from transforms.duplicates.places import places_of
from transforms.duplicates.relation import EXACT, NEAR, PARAPHRASE, difference_lists
from transforms.duplicates.tables import pairs_schema, texts_schema
from transforms.duplicates.wording_files import read_characters
from transforms.files import FileRef, join, read_table, write_batches, write_table

# Rows of pairs.parquet that are in memory as a table, with document ids, at a time.
_ROWS_PER_TABLE = 65536

_RELATIONS = (EXACT, NEAR, PARAPHRASE)

APPROXIMATE, CAPPED = "approximate graph", "max_pairs_per_text"


@dataclass(frozen=True)
class GroupTask:
    """All parts of pairs, of the graph, passages, wordings and documents, and the folder of the published tables.

    The passages and wordings parts belong to each other. `exact` says that the graph's lists are certain.
    """

    pairs: tuple[MineRecord, ...]
    graph: tuple[FileRef, ...]
    passages: tuple[FileRef, ...]
    wordings: tuple[FileRef, ...]
    documents: tuple[FileRef, ...]
    directory: str
    exact: bool = True


@dataclass(frozen=True)
class GroupRecord:
    """The three tables and what they hold.

    `pairs` counts all rows, `exact`, `near` and `paraphrase` by relation; `duplicate_documents` are the documents with a
    passage that is in a group and not kept. `incomplete_because` says why there may be pairs that are not listed, and is empty
    when all are: of `texts_incomplete` texts, `pairs_dropped` pairs were left out.
    """

    pairs_file: FileRef
    groups_file: FileRef
    texts_file: FileRef
    pairs: int
    exact: int
    near: int
    paraphrase: int
    groups: int
    duplicate_documents: int
    texts_searched_by_range: int
    texts_incomplete: int
    pairs_dropped: int
    incomplete_because: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every pair at or above the threshold is listed."""
        return not self.incomplete_because


def publish_duplicates(task: GroupTask, options: DuplicatesOptions) -> GroupRecord:
    """Write `pairs.parquet`, `groups.parquet` and `texts.parquet`: functions of the pairs and documents, not of their parts.

    One worker, because they are one file each. Memory: 17 bytes for each pair, some 35 more while they are sorted, and the
    document ids of all texts that are in one.
    """
    records = sorted(task.pairs, key=lambda record: record.part)
    texts = _texts(paired_ids(records), task)
    ids = texts["id"].to_numpy()
    pairs, dropped = read_pairs(records, ids, options.max_pairs_per_text, task.exact)
    occurrences = occurrences_of(ids, [part.path for part in task.documents], columns_of(options.keep))
    groups = group_passages(texts, occurrences, pairs.a, pairs.b, pairs.cosines, options.keep)
    groups_file = write_table(join(task.directory, "groups.parquet"), groups)
    texts_file = write_table(join(task.directory, "texts.parquet"), _described(texts, occurrences, pairs, dropped, task.exact))
    around = neighborhoods_of(ids, [part.path for part in task.graph], options.threshold)
    rows = _Rows(pairs, occurrences, around, options.near_jaccard)
    pairs_file = write_batches(join(task.directory, "pairs.parquet"), pairs_schema(), rows.tables(ids))
    exact, near, paraphrase = rows.relations.tolist()
    reasons = ((APPROXIMATE, not task.exact), (CAPPED, dropped.pairs > 0))
    return GroupRecord(
        pairs_file,
        groups_file,
        texts_file,
        rows.count,
        exact,
        near,
        paraphrase,
        pc.count_distinct(groups["group_id"]).as_py(),
        _duplicate_documents(groups),
        sum(record.texts_searched_by_range for record in task.pairs),
        len(dropped.ids),
        dropped.pairs,
        tuple(name for name, holds in reasons if holds),
    )


def _texts(paired: np.ndarray, task: GroupTask) -> pa.Table:
    """Ids, documents and characters of the texts with one of the ids `paired` (ascending) or with several documents, by id.

    Read one part at a time.
    """
    tables = []
    for part, wording in zip(task.passages, task.wordings, strict=True):
        table = read_table(part.path, ["id", "n_documents"])
        ids, documents = table["id"].to_numpy(), table["n_documents"].to_numpy()
        wanted = np.flatnonzero((places_of(ids, paired) >= 0) | (documents > 1))
        columns = [ids[wanted], documents[wanted], read_characters(wording.path)[wanted]]
        tables.append(pa.table(columns, names=["id", "documents", "characters"]))
    return pa.concat_tables(tables).combine_chunks()


class _Rows:
    """The rows of the pairs table: first the pairs of texts, then those of documents with the same text.

    Of a text with m documents its first one with each of the others: m − 1 rows, not m². What a row has beside its pair is
    made when it is written. `relations` counts the rows that were, by place in _RELATIONS.
    """

    def __init__(self, pairs: PairedTexts, occurrences: Occurrences, around: np.ndarray, near_jaccard: float) -> None:
        self._pairs, self._occurrences, self._around, self._near = pairs, occurrences, around, near_jaccard
        first_of = occurrences.first[occurrences.texts]
        self._others = np.flatnonzero(occurrences.new_document & (first_of != np.arange(len(first_of))))
        self.count = len(pairs.a) + len(self._others)
        self.relations = np.zeros(len(_RELATIONS), np.int64)

    def tables(self, ids: np.ndarray) -> Iterator[pa.Table]:
        """Rows of `pairs_schema` in order, some at a time."""
        order = self._order()
        for piece in in_pieces(len(order), _ROWS_PER_TABLE):
            yield self._table(order[piece], ids)

    def _order(self) -> np.ndarray:
        """The rows by (cosine descending, both documents, both passages), int64 (rows,)."""
        occurrences = self._occurrences
        # Ranks are below the number of passages of a worker's tables, and passage numbers below 2³¹: two fit into one integer.
        documents = np.empty(self.count, np.int64)
        passages = np.empty(self.count if occurrences.passage_nos.any() else 0, np.int64)
        for piece in in_pieces(self.count, _ROWS_PER_TABLE):
            a, b = self._places(np.arange(piece.start, piece.stop))
            documents[piece] = occurrences.ranks[a] << 32 | occurrences.ranks[b]
            if len(passages):
                passages[piece] = occurrences.passage_nos[a].astype(np.int64) << 32 | occurrences.passage_nos[b]
        falling = np.full(self.count, -1, np.float32)
        np.negative(self._pairs.cosines, out=falling[: len(self._pairs.cosines)])
        keys: list[np.ndarray] = [documents, falling]
        return np.lexsort([passages, *keys] if len(passages) else keys)

    def _places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The passages of both sides of some rows, int64 (rows,): places in the occurrences."""
        of_texts, of_documents = self._split(rows)
        a, b = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
        a[of_texts], b[of_texts] = _named(*self._texts(rows[of_texts]), self._occurrences)
        b[of_documents] = self._others[rows[of_documents] - len(self._pairs.a)]
        a[of_documents] = self._occurrences.first[self._occurrences.texts[b[of_documents]]]
        return a, b

    def _texts(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._pairs.a[rows], self._pairs.b[rows]

    def _split(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where in `rows` pairs of texts are, and where those of documents."""
        of_texts = rows < len(self._pairs.a)
        return np.flatnonzero(of_texts), np.flatnonzero(~of_texts)

    def _table(self, rows: np.ndarray, ids: np.ndarray) -> pa.Table:
        occurrences, around = self._occurrences, self._around
        of_texts, of_documents = self._split(rows)
        places = self._places(rows)
        pairs = self._pairs.some(rows[of_texts])
        cosines, jaccards = np.ones(len(rows), np.float32), np.ones(len(rows), np.float32)
        cosines[of_texts], jaccards[of_texts] = pairs.cosines, pairs.jaccards
        differences = np.zeros(len(rows), np.uint8)
        differences[of_texts] = pairs.differences
        near = pairs.jaccards.astype(np.float64) >= self._near
        relations = np.full(len(rows), _RELATIONS.index(EXACT), np.int8)
        relations[of_texts] = np.where(near, _RELATIONS.index(NEAR), _RELATIONS.index(PARAPHRASE))
        self.relations += np.bincount(relations, minlength=len(_RELATIONS))
        found = np.empty(len(rows), np.float32)
        found[of_texts] = margins(pairs.cosines, around[pairs.a], around[pairs.b])
        same = around[occurrences.texts[places[0][of_documents]]]
        found[of_documents] = margins(cosines[of_documents], same, same)
        columns = {
            "cosine": cosines,
            "relation": pa.array(_RELATIONS).take(pa.array(relations)),
            "differences": difference_lists(differences),
            "jaccard": jaccards,
            "margin": pa.array(found, from_pandas=True),
        }
        for side, at in zip(("a", "b"), places, strict=True):
            columns[f"doc_id_{side}"] = occurrences.doc_ids.take(pa.array(at))
            columns[f"passage_no_{side}"] = occurrences.passage_nos[at]
            columns[f"id_{side}"] = ids[occurrences.texts[at]]
        return pa.table([columns[name] for name in pairs_schema().names], schema=pairs_schema())


def _named(of_a: np.ndarray, of_b: np.ndarray, occurrences: Occurrences) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of texts as pairs of passages: of the first document of each text, and of different documents in any case.

    Where the first documents of both texts are one, the first other document that either text has takes its place there.
    """
    a, b = occurrences.first[of_a], occurrences.first[of_b]
    if len(clash := np.flatnonzero(occurrences.ranks[a] == occurrences.ranks[b])):
        nobody = np.iinfo(np.int64).max
        next_a, next_b = occurrences.second[of_a[clash]], occurrences.second[of_b[clash]]
        rank_a, rank_b = (np.where(place < 0, nobody, occurrences.ranks[place]) for place in (next_a, next_b))
        side_b = rank_b <= rank_a
        a[clash], b[clash] = np.where(side_b, a[clash], next_a), np.where(side_b, next_b, b[clash])
    turned = occurrences.ranks[a] > occurrences.ranks[b]
    return np.where(turned, b, a), np.where(turned, a, b)


def _described(texts: pa.Table, occurrences: Occurrences, pairs: PairedTexts, dropped: Dropped, exact: bool) -> pa.Table:
    """Rows of `texts_schema`."""
    count = texts.num_rows
    lost, best = np.zeros(count, np.int64), np.full(count, np.nan, np.float32)
    places = places_of(dropped.ids, texts["id"].to_numpy())
    lost[places], best[places] = dropped.counts, dropped.best
    columns = {name: texts[name] for name in texts.column_names} | {
        "doc_id": occurrences.doc_ids.take(pa.array(occurrences.first)),
        "passage_no": occurrences.passage_nos[occurrences.first],
        "pairs": (np.bincount(pairs.a, minlength=count) + np.bincount(pairs.b, minlength=count)).astype(np.int32),
        "pairs_dropped": lost,
        "best_dropped": pa.array(best, from_pandas=True),
        "complete": (lost == 0) & exact,
    }
    return pa.table([columns[name] for name in texts_schema().names], schema=texts_schema())


def _duplicate_documents(groups: pa.Table) -> int:
    """Documents with a passage that is in a group and is not the kept one, which alone is of the kept document."""
    return int(pc.count_distinct(groups.filter(pc.not_equal(groups["doc_id"], groups["kept_doc_id"]))["doc_id"]).as_py())
