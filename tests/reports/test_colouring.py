"""What points are coloured by: every place against a plain definition."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reports.generation import key, write_assignments, write_documents
from transforms.files import file_ref
from transforms.reports.colouring import CHANGES, MOST, colour_by, colour_by_change
from transforms.reports.points import read_points


def test_the_most_frequent_values_have_labels_and_the_rest_share_one():
    values = [f"v{i:02d}" for i in range(20) for _ in range(20 - i)] + [None] * 5
    found = colour_by("c", pa.array(values))
    assert found.labels == (*(f"v{i:02d}" for i in range(MOST)), "9 other values")
    assert (found.others, found.ordered) == (True, False)
    expected = [-1 if value is None else min(int(value[1:]), MOST) for value in values]
    assert found.place.tolist() == expected


def test_few_values_all_have_labels_and_ties_go_by_value():
    found = colour_by("c", pa.array(["b", "a", None, "", "b", "a"]))
    assert (found.labels, found.others) == (("a", "b", "blank"), False)
    assert found.place.tolist() == [1, 0, -1, 2, 1, 0]
    assert colour_by("c", pa.array([True, False, True])).labels == ("True", "False")


@pytest.mark.parametrize("values", [pa.array([f"id{i}" for i in range(50)]), pa.nulls(4), pa.array([float("nan")] * 3)])
def test_what_says_nothing_in_colours_is_none(values):
    assert colour_by("c", values) is None


@given(st.lists(st.none() | st.floats(allow_nan=True, width=32) | st.integers(-40, 40), min_size=1, max_size=80))
def test_numbers_are_cut_in_order_into_at_most_eight_parts(values):
    found = colour_by("c", pa.array(values, pa.float64()))
    amounts = np.array([np.nan if value is None else value for value in values], float)
    there = np.isfinite(amounts)
    if not there.any():
        assert found is None
        return
    assert found.ordered
    assert ((found.place >= 0) == there).all()
    distinct = len(np.unique(amounts[there]))
    assert len(found.labels) == distinct if distinct <= MOST else 1 <= len(found.labels) <= 8
    by_amount = found.place[there][np.argsort(amounts[there], kind="stable")]
    assert (np.diff(by_amount) >= 0).all()
    assert set(found.place[there].tolist()) == set(range(len(found.labels)))
    for value in np.unique(amounts[there]):
        assert len(set(found.place[amounts == value].tolist())) == 1


def test_parts_of_numbers_are_about_equal_and_say_from_where_to_where():
    found = colour_by("c", pa.array(np.random.default_rng(0).permutation(8000)))
    assert np.bincount(found.place).tolist() == pytest.approx([1000] * 8, abs=2)
    assert found.labels[0].startswith("0 – ")
    assert found.labels[-1].endswith(" – 7999")
    assert colour_by("c", pa.array([3, 1, 2, 1])).labels == ("1", "2", "3")


def test_dates_are_cut_in_order_whether_timestamps_or_strings():
    days = [datetime(2024, 1, 1, 7, tzinfo=UTC) + timedelta(days=i) for i in range(80)]
    stamps = pa.array([*days, None], pa.timestamp("us", tz="UTC"))
    strings = pa.array([*(day.isoformat() for day in days), None])
    one, two = colour_by("c", stamps), colour_by("c", strings)
    assert one.labels == two.labels
    assert one.labels[0] == "2024-01-01 – 2024-01-10"
    assert one.place.tolist() == two.place.tolist()
    assert one.place[-1] == -1
    # One that is no date: values like others.
    assert colour_by("c", pa.array(["2024-13-01", "2024-13-01", "2024-01-01"])).ordered is False


def test_dates_are_those_of_utc_and_whole_numbers_are_written_plainly():
    assert colour_by("c", pa.array(["2024-01-31T23:30:00-05:00", "2024-02-01"])).labels == ("2024-02-01",)
    assert colour_by("year", pa.array([1999, 2024, None])).labels == ("1999", "2024")
    codes = [9007199254740993, 9007199254740992, 9007199254740992]
    found = colour_by("code", pa.array(codes))
    assert found.labels == ("9007199254740992", "9007199254740993")
    assert found.place.tolist() == [1, 0, 0]
    assert colour_by("code", pa.array([2**64 - 1, 2**64 - 1], pa.uint64())).labels == (str(2**64 - 1),)


def test_labels_show_no_secrets_of_urls():
    (label,) = colour_by("url", pa.array(["https://bob:secret@host/page?sig=abc"] * 2)).labels
    assert "secret" not in label
    assert "abc" not in label
    assert "host/page" in label


def parts(folder: Path):
    return [file_ref(str(path)) for path in sorted(folder.glob("documents/*.parquet"))]


def test_changes_are_those_of_the_texts_with_the_same_id(tmp_path):
    old = {f"d{i}": f"text {i}" for i in range(9)}
    new = {doc_id: text for doc_id, text in old.items() if doc_id != "d8"} | {"d1": "other", "d2": "text 3", "d9": "text 8"}
    write_documents(tmp_path / "old", old)
    passages = [(doc_id, 0) for doc_id in new]
    found = colour_by_change(passages, [key(text) for text in new.values()], parts(tmp_path / "old"))
    expected = {"d1": "changed", "d2": "changed", "d9": "new"}
    assert [CHANGES[place] for place in found.place.tolist()] == [expected.get(doc_id, "unchanged") for doc_id in new]
    assert colour_by_change(passages, [b""] * len(passages), ()) is None
    damaged = parts(tmp_path / "old")
    (tmp_path / "old/documents/part-00001.parquet").write_bytes(b"")
    assert colour_by_change(passages, [b""] * len(passages), damaged) is None


def test_points_have_the_values_of_their_documents(tmp_path):
    """Whatever the order of the table, with a document that has no row, and columns that are named or not there."""
    ids = [f"d{i}" for i in range(40)]
    kinds = {doc_id: ("a", "b", "c")[i % 3] for i, doc_id in enumerate(ids)}
    more = {f"c{i}": kinds for i in range(9)}
    write_documents(tmp_path, {doc_id: doc_id for doc_id in ids}, kind=kinds, url={doc_id: doc_id for doc_id in ids}, **more)
    write_assignments(tmp_path, [(doc_id, i % 2, i % 2, float(i), 0.0) for i, doc_id in enumerate([*ids, "gone"])])
    points = read_points(str(tmp_path), 30, 20, ["kind", "url", "nowhere"], parts(tmp_path))
    assert [found.name for found in points.colourings] == ["Change", "kind"]
    change, kind = points.colourings
    for i, doc_id in enumerate(points.doc_ids):
        assert (kind.labels[kind.place[i]] if kind.place[i] >= 0 else None) == kinds.get(doc_id)
        assert CHANGES[change.place[i]] == ("new" if doc_id == "gone" else "unchanged")
        assert points.texts[i] == ("" if doc_id == "gone" else doc_id)
    assert points.without_colour == ("url", "nowhere")
    points = read_points(str(tmp_path), 30, 0)
    assert [found.name for found in points.colourings] == ["kind", *(f"c{i}" for i in range(6))]
    assert (points.without_colour, points.more_columns) == (("url",), ("c6", "c7", "c8"))
