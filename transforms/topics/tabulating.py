"""Topics and themes by metadata: documents of each with each value of a column, counted part by part and added up."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.files import FileRef, join, read_table, write_table
from transforms.topics.options import TopicsOptions
from transforms.topics.tables import VALUES_SCHEMA, themes_of_layers
from transforms.topics.values import Counted, check_number, texts_of

# Work, not published. `labelling` 0 are the topics, 1 and on the layers of themes, -1 the whole corpus; `topic_id` is -1 for
# documents that are in none; `counted` is a place in the list of what is counted.
SUMS_SCHEMA = pa.schema(
    [
        ("labelling", pa.int32()),
        ("topic_id", pa.int32()),
        ("counted", pa.int32()),
        ("value", pa.string()),
        ("documents", pa.int64()),
        ("assigned_documents", pa.int64()),
    ]
)
_KEYS = SUMS_SCHEMA.names[:4]


@dataclass(frozen=True)
class TabulateTask:
    """Consecutive parts of the documents, the placed passages of each, what is counted, and how many layers there are."""

    part: int
    documents: tuple[FileRef, ...]
    placed: tuple[FileRef, ...]
    counted: tuple[Counted, ...]
    layers: int
    directory: str


@dataclass(frozen=True)
class TabulateRecord:
    """The sums over some documents, in SUMS_SCHEMA."""

    part: int
    sums: FileRef


def tabulate(task: TabulateTask, options: TopicsOptions) -> TabulateRecord:
    """Count some documents. Memory: one part's columns, and the sums: a row for each topic and value that occur together.

    Raises InputError for a column with more than `options.table_values` different values.
    """
    tables = []
    for documents, placed in zip(task.documents, task.placed, strict=True):
        columns = list(dict.fromkeys(one.column for one in task.counted))
        metadata = read_table(documents.path, ["passage_no", *columns])
        labels = read_table(placed.path, ["topic_id", "assigned_topic_id", "layer_theme_ids"])
        first = metadata["passage_no"].to_numpy() == 0
        document = np.cumsum(first) - 1
        of_documents = metadata.filter(pa.array(first))
        topics = [(labels["topic_id"].to_numpy(), labels["assigned_topic_id"].to_numpy())]
        themes = themes_of_layers(labels["layer_theme_ids"].combine_chunks(), task.layers)
        topics += [(themes[:, layer], themes[:, layer]) for layer in range(task.layers)]
        for place, one in enumerate(task.counted):
            values = texts_of(of_documents[one.column].combine_chunks(), one.unit)
            check_number(one, pc.count_distinct(values).as_py(), options.table_values)
            whole = np.zeros(len(document), np.int64)
            found = {-1: _counted(document, whole, whole, values)}
            found |= {number: _counted(document, *both, values) for number, both in enumerate(topics)}
            tables += [_keyed(table, labelling, place) for labelling, table in found.items()]
    path = join(task.directory, f"values-{task.part:05d}.parquet")
    return TabulateRecord(task.part, write_table(path, _added(tables)))


def published_values(
    records: Sequence[TabulateRecord],
    counted: Sequence[Counted],
    uids: Sequence[pa.Array],
    options: TopicsOptions,
) -> pa.Table:
    """The rows of VALUES_SCHEMA, for topics and then each layer of themes, from the sums over all documents.

    `uids` has the names of the topics and of each layer's themes, by number. Values come by documents, months in their order.
    Memory: the table, which has a row for each topic and value that occur together. Raises InputError as `tabulate` does.
    """
    sums = _added([read_table(record.sums.path) for record in records])
    labelling, topic, place, documents, assigned = (
        sums[name].to_numpy() for name in ("labelling", "topic_id", "counted", "documents", "assigned_documents")
    )
    # Equal values have one code, null the last one.
    code = pc.rank(sums["value"].combine_chunks(), "ascending", null_placement="at_end", tiebreaker="dense").to_numpy()
    code = code.astype(np.int64) - 1
    width, whole = int(code.max(initial=-1)) + 1, labelling < 0
    corpus = np.zeros(len(counted) * width, np.int64)
    corpus[place[whole] * width + code[whole]] = documents[whole]
    of_values = corpus.reshape(len(counted), width)
    for number, one in enumerate(counted):
        different = np.unique(code[(place == number) & whole & sums["value"].is_valid().to_numpy()])
        check_number(one, len(different), options.table_values)
    months = np.array([one.unit == "month" for one in counted], bool)[place]
    by_size = [np.where(months, 0, -values) for values in (documents, assigned)]
    order = np.lexsort((code, by_size[1], by_size[0], place, topic, labelling))
    order = order[labelling[order] >= 0]
    labelling, topic, place, code, documents, assigned = (
        values[order] for values in (labelling, topic, place, code, documents, assigned)
    )
    own = _of_topic(labelling, topic, place, documents)
    share = documents / np.maximum(own, 1)
    of_corpus = of_values[place, code]
    lift = share / (of_corpus / np.maximum(of_values.sum(axis=1)[place], 1))
    names = [pa.array(name for name in values) for values in ((one.column for one in counted), (one.unit for one in counted))]
    columns = {
        "kind": pa.array(np.where(labelling == 0, "topic", "theme").tolist(), pa.string()),
        "layer": pa.array(labelling - 1, pa.int32(), mask=labelling == 0),
        "topic_id": topic,
        "uid": _uids_of(labelling, topic, uids),
        "column": names[0].take(pa.array(place)),
        "unit": names[1].take(pa.array(place)),
        "value": sums["value"].take(pa.array(order)),
        "documents": documents,
        "assigned_documents": assigned,
        "share": share.astype(np.float32),
        "corpus_documents": of_corpus,
        "lift": lift.astype(np.float32),
    }
    return pa.table([columns[name] for name in VALUES_SCHEMA.names], schema=VALUES_SCHEMA)


def _counted(document: np.ndarray, topic: np.ndarray, assigned: np.ndarray, values: pa.Array) -> pa.Table:
    """Documents by topic and value, from the `document` (passages,) of each passage and a value of each document.

    A document counts once in each topic that it has a passage in, in topic -1 when it has none in any.
    """
    encoded = values.dictionary_encode(null_encoding="encode")
    code, names = encoded.indices.to_numpy().astype(np.int64), encoded.dictionary
    tables = []
    for labels, name in ((topic, "documents"), (assigned, "assigned_documents")):
        topics = int(labels.max(initial=-1)) + 2  # none first
        inside = np.flatnonzero(labels >= 0)
        belongs = np.unique(document[inside] * topics + labels[inside] + 1)
        without = np.setdiff1d(np.arange(len(code)), belongs // topics, assume_unique=False)
        owner, label = np.divmod(np.concatenate([belongs, without * topics]), topics)
        together, counts = np.unique(label * len(names) + code[owner], return_counts=True)
        label, value = np.divmod(together, max(len(names), 1))
        table = pa.table({"topic_id": (label - 1).astype(np.int32), "value": names.take(pa.array(value)), name: counts})
        tables.append(table)
    return pa.concat_tables(tables, promote_options="default")


def _keyed(table: pa.Table, labelling: int, place: int) -> pa.Table:
    rows = table.num_rows
    columns = {name: table[name] for name in table.column_names} | {
        "labelling": np.full(rows, labelling, np.int32),
        "counted": np.full(rows, place, np.int32),
    }
    return pa.table([columns[name] for name in SUMS_SCHEMA.names], names=SUMS_SCHEMA.names).cast(SUMS_SCHEMA)


def _added(tables: Sequence[pa.Table]) -> pa.Table:
    """Sums of tables of SUMS_SCHEMA, sorted: they do not depend on parts or their order."""
    everything = pa.concat_tables([SUMS_SCHEMA.empty_table(), *tables])
    summed = everything.group_by(_KEYS, use_threads=False).aggregate([("documents", "sum"), ("assigned_documents", "sum")])
    columns = [*(summed[name] for name in _KEYS), *(pc.fill_null(summed[f"{name}_sum"], 0) for name in SUMS_SCHEMA.names[4:])]
    table = pa.table(columns, names=SUMS_SCHEMA.names).cast(SUMS_SCHEMA)
    return table.sort_by([(name, "ascending") for name in _KEYS])


def _of_topic(labelling: np.ndarray, topic: np.ndarray, place: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """For each row the documents of its topic, which are the sum of those of all values of a column, int64 (rows,)."""
    keys = np.column_stack([labelling, topic, place])
    new = np.ones(len(keys), bool)
    new[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    group = np.cumsum(new) - 1
    return np.bincount(group, documents, minlength=len(keys))[group].astype(np.int64) if len(keys) else documents


def _uids_of(labelling: np.ndarray, topic: np.ndarray, uids: Sequence[pa.Array]) -> pa.Array:
    """The name of each row's topic, null for none."""
    starts = np.cumsum([0, *(len(names) for names in uids)])
    everything = pa.concat_arrays([pa.array([], pa.string()), *uids])
    return everything.take(pa.array(starts[labelling] + topic, mask=topic < 0))
