"""The published tables: all pairs in order, groups of passages with the one that is kept, and the texts that they are of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.duplicates.grouping import group_passages
from transforms.duplicates.keep import columns_of
from transforms.duplicates.margin import margins, neighborhoods_of
from transforms.duplicates.mine import MineRecord
from transforms.duplicates.occurrences import Occurrences, occurrences_of
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.pairs import Dropped
from transforms.duplicates.places import ascending, places_of
from transforms.duplicates.relation import EXACT, NEAR, PARAPHRASE, difference_lists
from transforms.duplicates.tables import dropped_schema, mined_schema, pairs_schema, texts_schema
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


@dataclass(frozen=True)
class _Rows:
    """Pairs, one value in each array: `a` and `b` int64 are passages (places in the occurrences) or texts (places in their
    table); `relations` int8 are places in _RELATIONS.
    """

    a: np.ndarray
    b: np.ndarray
    cosines: np.ndarray
    relations: np.ndarray
    differences: np.ndarray
    jaccards: np.ndarray
    margins: np.ndarray


def publish_duplicates(task: GroupTask, options: DuplicatesOptions) -> GroupRecord:
    """Write `pairs.parquet`, `groups.parquet` and `texts.parquet`: functions of the pairs and documents, not of their parts.

    Memory: about 100 bytes for each pair, and the document ids of all texts that are in one.
    """
    mined, dropped = _mined(task.pairs, options.max_pairs_per_text, task.exact)
    texts = _texts(ascending(np.concatenate([dropped.ids, mined["id_a"], mined["id_b"]])), task)
    ids = texts["id"].to_numpy()
    occurrences = occurrences_of(ids, [part.path for part in task.documents], columns_of(options.keep))
    around = neighborhoods_of(ids, [part.path for part in task.graph], options.threshold)
    pairs = _of_texts(mined, ids, around, options.near_jaccard)
    groups = group_passages(texts, occurrences, pairs.a, pairs.b, pairs.cosines, options.keep)
    groups_file = write_table(join(task.directory, "groups.parquet"), groups)
    texts_file = write_table(join(task.directory, "texts.parquet"), _described(texts, occurrences, pairs, dropped, task.exact))
    rows = _sorted(_joined(_named(pairs, occurrences), _exact_pairs(occurrences, around)), occurrences)
    pairs_file = write_batches(join(task.directory, "pairs.parquet"), pairs_schema(), _tables(rows, ids, occurrences))
    exact, near, paraphrase = np.bincount(rows.relations, minlength=len(_RELATIONS)).tolist()
    reasons = ((APPROXIMATE, not task.exact), (CAPPED, dropped.pairs > 0))
    return GroupRecord(
        pairs_file,
        groups_file,
        texts_file,
        len(rows.a),
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


def _mined(records: Sequence[MineRecord], cap: int, exact: bool) -> tuple[dict[str, np.ndarray], Dropped]:
    """The columns of `mined_schema` of all parts, at most `cap` pairs of a text with texts of larger id; what is left out."""
    records = sorted(records, key=lambda record: record.part)
    table = pa.concat_tables([mined_schema().empty_table(), *(read_table(record.file.path) for record in records)])
    columns = {name: table[name].to_numpy() for name in table.column_names}
    if not exact:
        columns = _once(columns)
    lost = [dropped_schema().empty_table(), *(read_table(record.dropped_file.path) for record in records)]
    parts = [Dropped(*(part[name].to_numpy() for name in dropped_schema().names)) for part in lost]
    _, rows, counts = np.unique(columns["id_a"], return_inverse=True, return_counts=True)
    if counts.max(initial=0) > cap:
        order = np.lexsort((columns["id_b"], -columns["cosine"], rows))
        within = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts) < cap
        rest = order[~within]
        parts.append(Dropped.of(*(columns[name][rest] for name in ("id_a", "id_b", "cosine"))))
        columns = {name: values[order[within]] for name, values in columns.items()}
    return columns, Dropped.summed(parts)


def _once(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each pair once, where both lists of an approximate graph may hold it, with one and the same cosine."""
    order = np.lexsort((columns["id_b"], columns["id_a"]))
    a, b = columns["id_a"][order], columns["id_b"][order]
    new = np.ones(len(order), bool)
    new[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    return {name: values[order[new]] for name, values in columns.items()}


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


def _of_texts(mined: dict[str, np.ndarray], ids: np.ndarray, around: np.ndarray, near_jaccard: float) -> _Rows:
    """Pairs of places in `ids`, with their margins by the neighbourhoods `around` (ids,)."""
    a, b = places_of(mined["id_a"], ids), places_of(mined["id_b"], ids)
    near = mined["jaccard"].astype(np.float64) >= near_jaccard
    relations = np.where(near, _RELATIONS.index(NEAR), _RELATIONS.index(PARAPHRASE)).astype(np.int8)
    margin = margins(mined["cosine"], around[a], around[b])
    return _Rows(a, b, mined["cosine"], relations, mined["differences"], mined["jaccard"], margin)


def _named(pairs: _Rows, occurrences: Occurrences) -> _Rows:
    """Pairs of texts as pairs of passages: of the first document of each text, and of different documents in any case.

    Where the first documents of both texts are one, the first other document that either text has takes its place there.
    """
    a, b = occurrences.first[pairs.a], occurrences.first[pairs.b]
    if len(clash := np.flatnonzero(occurrences.ranks[a] == occurrences.ranks[b])):
        nobody = np.iinfo(np.int64).max
        next_a, next_b = occurrences.second[pairs.a[clash]], occurrences.second[pairs.b[clash]]
        rank_a, rank_b = (np.where(place < 0, nobody, occurrences.ranks[place]) for place in (next_a, next_b))
        of_b = rank_b <= rank_a
        a[clash], b[clash] = np.where(of_b, a[clash], next_a), np.where(of_b, next_b, b[clash])
    turned = occurrences.ranks[a] > occurrences.ranks[b]
    return replace(pairs, a=np.where(turned, b, a), b=np.where(turned, a, b))


def _exact_pairs(occurrences: Occurrences, around: np.ndarray) -> _Rows:
    """The first document of each text with each of its other documents: m − 1 rows for m documents, not m²."""
    first_of = occurrences.first[occurrences.texts]
    others = np.flatnonzero(occurrences.new_document & (first_of != np.arange(len(first_of))))
    one, around = np.ones(len(others), np.float32), around[occurrences.texts[others]]
    nothing = np.zeros(len(others), np.int8)
    relations = nothing + np.int8(_RELATIONS.index(EXACT))
    return _Rows(first_of[others], others, one, relations, nothing.astype(np.uint8), one, margins(one, around, around))


def _joined(*parts: _Rows) -> _Rows:
    return _Rows(*(np.concatenate(values) for values in zip(*(vars(part).values() for part in parts), strict=True)))


def _sorted(rows: _Rows, occurrences: Occurrences) -> _Rows:
    """By (cosine descending, both documents, both passages)."""
    # Ranks are below the number of passages of a worker's tables, and passage numbers below 2³¹: two fit into one integer.
    documents = occurrences.ranks[rows.a] << 32 | occurrences.ranks[rows.b]
    passages = occurrences.passage_nos.astype(np.int64)
    keys = [documents, -rows.cosines]
    if passages.any():
        keys.insert(0, passages[rows.a] << 32 | passages[rows.b])
    order = np.lexsort(keys)
    return _Rows(*(values[order] for values in vars(rows).values()))


def _tables(rows: _Rows, ids: np.ndarray, occurrences: Occurrences) -> Iterator[pa.Table]:
    """Rows of `pairs_schema`, some at a time."""
    relations = pa.array(_RELATIONS)
    for low in range(0, len(rows.a), _ROWS_PER_TABLE):
        part = _Rows(*(values[low : low + _ROWS_PER_TABLE] for values in vars(rows).values()))
        columns = {
            "cosine": part.cosines,
            "relation": relations.take(pa.array(part.relations)),
            "differences": difference_lists(part.differences),
            "jaccard": part.jaccards,
            "margin": pa.array(part.margins, from_pandas=True),
        }
        for side, places in (("a", part.a), ("b", part.b)):
            columns[f"doc_id_{side}"] = occurrences.doc_ids.take(pa.array(places))
            columns[f"passage_no_{side}"] = occurrences.passage_nos[places]
            columns[f"id_{side}"] = ids[occurrences.texts[places]]
        yield pa.table([columns[name] for name in pairs_schema().names], schema=pairs_schema())


def _described(texts: pa.Table, occurrences: Occurrences, pairs: _Rows, dropped: Dropped, exact: bool) -> pa.Table:
    """Rows of `texts_schema`."""
    count = texts.num_rows
    lost, best = np.zeros(count, np.int64), np.full(count, np.nan, np.float32)
    places = places_of(dropped.ids, texts["id"].to_numpy())
    lost[places], best[places] = dropped.counts, dropped.best
    columns = {name: texts[name] for name in texts.column_names} | {
        "doc_id": occurrences.doc_ids.take(pa.array(occurrences.first)),
        "passage_no": occurrences.passage_nos[occurrences.first],
        "pairs": np.bincount(np.concatenate([pairs.a, pairs.b]), minlength=count).astype(np.int32),
        "pairs_dropped": lost,
        "best_dropped": pa.array(best, from_pandas=True),
        "complete": (lost == 0) & exact,
    }
    return pa.table([columns[name] for name in texts_schema().names], schema=texts_schema())


def _duplicate_documents(groups: pa.Table) -> int:
    """Documents with a passage that is in a group and is not the kept one, which alone is of the kept document."""
    return int(pc.count_distinct(groups.filter(pc.not_equal(groups["doc_id"], groups["kept_doc_id"]))["doc_id"]).as_py())
