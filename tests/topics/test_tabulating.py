"""Topics and themes by metadata, against counting in DuckDB."""

import datetime
from itertools import pairwise

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.corpus import InputError
from transforms.files import write_table
from transforms.topics import (
    VALUES_SCHEMA,
    Counted,
    TabulateTask,
    TopicsOptions,
    check_values,
    published_values,
    tabulate,
    texts_of,
)

COUNTED = (Counted("section", "value"), Counted("day", "month"))
DAYS = ["2024-01-31", "2024-02-01T00:30:00+02:00", "2024-02-01", "soon", None]


def in_parts(passages, cuts, out):
    """Documents (rows of passages) and their labels as files, cut between documents."""
    starts = [i for i, row in enumerate(passages) if row["passage_no"] == 0]
    bounds = [0, *sorted({starts[cut] for cut in cuts if cut < len(starts)} - {0}), len(passages)]
    for low, high in pairwise(bounds):
        rows = passages[low:high]
        documents = pa.table(
            {
                "passage_no": pa.array([row["passage_no"] for row in rows], pa.int32()),
                "section": pa.array([row["section"] for row in rows], pa.string()),
                "day": pa.array([row["day"] for row in rows], pa.string()),
            }
        )
        placed = pa.table(
            {
                "topic_id": pa.array([row["topic"] for row in rows], pa.int32()),
                "assigned_topic_id": pa.array([row["assigned"] for row in rows], pa.int32()),
                "layer_theme_ids": pa.array([row["themes"] for row in rows], pa.list_(pa.int32())),
            }
        )
        yield write_table(f"{out}/d{low}.parquet", documents), write_table(f"{out}/p{low}.parquet", placed)


def tabulated(passages, out, cuts=(), options=TopicsOptions()):
    uids = [pa.array([f"t{i}" for i in range(3)]), *(pa.array([f"{layer}-{i}" for i in range(2)]) for layer in range(2))]
    parts = list(in_parts(passages, cuts, out))
    tasks = [TabulateTask(i, (d,), (p,), COUNTED, 2, f"{out}/work") for i, (d, p) in enumerate(parts)]
    if len(parts) > 2:  # one task has several parts
        tasks[:2] = [TabulateTask(0, *zip(*parts[:2], strict=True), COUNTED, 2, f"{out}/work")]
    records = [tabulate(task, options) for task in reversed(tasks)]
    return published_values(records, COUNTED, uids, options)


def by_duckdb(passages, connection):
    """The same rows from one SQL statement for each labelling and column, as sets."""
    month = {day: None if day in (None, "soon") else "2024-02" if day == "2024-02-01" else "2024-01" for day in DAYS}
    rows = pa.Table.from_pylist(
        [{**row, "month": month[row["day"]], "coarse": row["themes"][0], "fine": row["themes"][1]} for row in passages],
        schema=pa.schema(
            [("document", pa.int64()), ("section", pa.string()), ("month", pa.string())]
            + [(name, pa.int64()) for name in ("topic", "assigned", "coarse", "fine")]
        ),
    )
    connection.register("passages", rows)
    found = {}
    labellings = [("topic", None, "topic", "assigned"), ("theme", 0, "coarse", "coarse"), ("theme", 1, "fine", "fine")]
    for kind, layer, own, assigned in labellings:
        for column, value in (("section", "section"), ("day", "month")):
            query = f"""
            with held as (select distinct document, {{label}} as label, {value} as value from passages where {{label}} >= 0),
            every as (select distinct document, {value} as value from passages),
            counted as (select * from held union all
                     select document, -1, value from every where document not in (select document from held))
            select counted.label, counted.value, count(*),
                count(*) / (select count(*) from counted as t where t.label = counted.label),
                (select count(*) from every where every.value is not distinct from counted.value),
                (select count(*) from every)
            from counted group by counted.label, counted.value"""
            counts = {(label, text): rest for label, text, *rest in connection.sql(query.format(label=own)).fetchall()}
            other = {(label, text): rest[0] for label, text, *rest in connection.sql(query.format(label=assigned)).fetchall()}
            for label, text in counts.keys() | other.keys():
                documents, share, *_ = counts.get((label, text), (0, 0.0))
                found[kind, layer, label, column, text] = (documents, other.get((label, text), 0), share)
    whole = connection.sql("select count(distinct document) from passages").fetchall()[0][0]
    return found, whole


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as opened:
        yield opened


@st.composite
def corpora(draw):
    passages = []
    for document in range(draw(st.integers(1, 12))):
        section, day = draw(st.sampled_from(["net", "doc", "a,b", None])), draw(st.sampled_from(DAYS))
        for number in range(draw(st.integers(1, 3))):
            topic = draw(st.integers(-1, 2))
            assigned = topic if topic >= 0 else draw(st.integers(-1, 2))
            themes = [draw(st.integers(0, 1)), draw(st.integers(0, 1))]
            passages.append(
                {"document": document, "passage_no": number, "section": section, "day": day, "topic": topic,
                 "assigned": assigned, "themes": themes}
            )  # fmt: skip
    return passages


@settings(max_examples=10, deadline=None)
@given(corpora(), st.lists(st.integers(1, 11), max_size=3))
def test_tables_are_those_of_duckdb_whatever_the_parts(tmp_path_factory, connection, passages, cuts):
    out = tmp_path_factory.mktemp("tables")
    table = tabulated(passages, f"{out}/cut", cuts)
    assert table.schema.equals(VALUES_SCHEMA)
    assert table.equals(tabulated(passages, f"{out}/whole"))
    expected, whole = by_duckdb(passages, connection)
    rows = table.to_pylist()
    keys = [tuple(row[name] for name in ("kind", "layer", "topic_id", "column", "value")) for row in rows]
    assert set(keys) == set(expected)
    assert len(keys) == len(expected)
    of_values = {}
    for key, row in zip(keys, rows, strict=True):
        documents, assigned, share = expected[key]
        assert (row["documents"], row["assigned_documents"]) == (documents, assigned)
        assert row["share"] == pytest.approx(share)
        assert row["lift"] == pytest.approx(share * whole / row["corpus_documents"])
        prefix = "t" if row["kind"] == "topic" else f"{row['layer']}-"
        assert row["uid"] == (None if row["topic_id"] < 0 else f"{prefix}{row['topic_id']}")
        of_values.setdefault((row["column"], row["value"]), set()).add(row["corpus_documents"])
    # The corpus has a value as often whatever topic is looked at, and each document has one.
    assert all(len(counts) == 1 for counts in of_values.values())
    for column in ("section", "day"):
        assert sum(counts.copy().pop() for (name, _), counts in of_values.items() if name == column) == whole


def test_values_come_by_documents_and_months_in_their_order(tmp_path):
    days = ["2024-02-01"] * 3 + ["2024-01-31"] + [None]
    passages = [
        {"document": i, "passage_no": 0, "section": section, "day": day, "topic": 0, "assigned": 0, "themes": [0, 0]}
        for i, (section, day) in enumerate(zip(["z", "z", "b", "a", None], days, strict=True))
    ]
    table = tabulated(passages, tmp_path).filter(pa.compute.field("kind") == "topic")
    assert table["value"].to_pylist() == ["z", "a", "b", None, "2024-01", "2024-02", None]
    assert table["documents"].to_pylist() == [2, 1, 1, 1, 1, 3, 1]


def test_too_many_values_are_refused_not_cut(tmp_path):
    passages = [
        {"document": i, "passage_no": 0, "section": f"s{i}", "day": None, "topic": -1, "assigned": -1, "themes": [0, 0]}
        for i in range(6)
    ]
    allowed = TopicsOptions(table_values=6)
    assert tabulated(passages, tmp_path, (), allowed).num_rows
    message = r"topics\.tables has the column 'section', which has more than 5 different values .*topics\.table_values"
    with pytest.raises(InputError, match=message):
        tabulated(passages, tmp_path, (), TopicsOptions(table_values=5))
    with pytest.raises(InputError, match=message):  # no part alone has so many
        tabulated(passages, tmp_path, (2, 4), TopicsOptions(table_values=5))
    halves = [pa.chunked_array([[f"s{i}" for i in some]]) for some in (range(3), range(2, 6))]
    check_values(COUNTED[:1], 6, lambda name: halves)
    with pytest.raises(InputError, match=message):
        check_values(COUNTED[:1], 5, lambda name: halves)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([1, None, -3]), ["1", None, "-3"]),
        (pa.array([1.5, float("nan"), None]), ["1.5", None, None]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array(["", "ä", None]), ["", "ä", None]),
        (pa.array([datetime.datetime(2024, 5, 31, 12)], pa.timestamp("us", "UTC")), ["2024-05-31 12:00:00.000000Z"]),
        (pa.array([None, None], pa.string()), [None, None]),
        (pa.array([], pa.string()), []),
    ],
)
def test_values_as_texts(values, texts):
    assert texts_of(values, "value").to_pylist() == texts


def test_months_are_those_of_the_calendar_in_utc():
    moments = [datetime.datetime(1969, 12, 31, 23, 59), datetime.datetime(2000, 2, 29), None, datetime.datetime(2038, 1, 19)]
    expected = [None if moment is None else moment.strftime("%Y-%m") for moment in moments]
    assert texts_of(pa.array(moments, pa.timestamp("us")), "month").to_pylist() == expected
    texts = ["2024-02-01T00:30:00+02:00", "2024-01-31T23:30:00-01:00", "20240131", "31.1.2024", "", None]
    assert texts_of(pa.array(texts), "month").to_pylist() == ["2024-01", "2024-02", "2024-01", None, None, None]
    assert texts_of(pa.array([None, None], pa.string()), "month").to_pylist() == [None, None]


def test_months_are_of_years_with_four_digits_in_utc():
    texts = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-05:00"]
    assert texts_of(pa.array(texts), "month").to_pylist() == ["0001-01", "9999-12", None, None]
    ends = [-62_135_596_800_000_000, 253_402_300_799_999_999]
    moments = pa.array([*ends, ends[0] - 1, ends[1] + 1, -(2**63), 2**63 - 1], pa.timestamp("us", "UTC"))
    assert texts_of(moments, "month").to_pylist() == ["0001-01", "9999-12", None, None, None, None]


def test_a_column_without_dates_is_refused():
    def check(*parts):
        check_values(COUNTED[1:], 10, lambda name: [pa.chunked_array([part]) for part in parts])

    check(pa.array(["soon"]), pa.array(["2024-01-01"]))
    check(pa.array([None], pa.string()))
    check(pa.array([datetime.datetime(2024, 1, 1)]))
    with pytest.raises(InputError, match=r"topics\.date_column='day': no value .*'soon'.*2024-05-31"):
        check(pa.array([None, "soon"]), pa.array(["later"]))
    with pytest.raises(InputError, match=r"topics\.date_column='day' has values of type int64"):
        check(pa.array([1716897600]))
