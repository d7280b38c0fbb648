import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from transforms.corpus import dates_of
from transforms.duplicates import DuplicatesOptions, KeepError, columns_of
from transforms.duplicates.keep import Candidates, check_dates, parse_rule, policy_order


def order(rules, documents=(1, 1, 1), characters=(1, 1, 1), **columns):
    arrays = {name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in columns.items()}
    return policy_order(Candidates(np.array(documents), np.array(characters), arrays), rules).tolist()


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], [0, 1, 2]),
        (["first_id"], [0, 1, 2]),
        (["most_documents"], [1, 2, 0]),
        (["longest"], [2, 0, 1]),
        (["shortest"], [0, 1, 2]),
        (["most_documents", "longest"], [2, 1, 0]),
        (["column:priority:desc"], [1, 0, 2]),
        (["column:priority:asc"], [0, 1, 2]),
        (["column:with:colon:asc"], [2, 1, 0]),
        (["newest:day"], [2, 0, 1]),
        (["oldest:day"], [0, 2, 1]),
        (["newest:moment"], [2, 0, 1]),
        (["column:done:desc", "longest"], [2, 0, 1]),
        (["first_id", "longest"], [0, 1, 2]),
    ],
)
def test_rules_in_order_of_importance(rules, expected):
    found = order(
        rules,
        documents=(1, 2, 2),
        characters=(5, 5, 9),
        priority=[1, 3, None],
        day=["2024-05-01", None, "2024-05-31T12:00:00Z"],
        moment=[datetime.datetime(2024, 5, 1), None, datetime.datetime(2025, 1, 1)],
        done=[True, False, True],
        **{"with:colon": ["c", "b", "a"]},
    )
    assert found == expected


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3), st.none() | st.floats(width=16), st.none() | st.text(max_size=2)))
)
def test_the_order_is_that_of_sorted(rows):
    """Missing values and NaN come last in both directions."""
    documents, characters, numbers, names = zip(*rows, strict=True) if rows else ((),) * 4

    def key(place):
        _, length, number, name = rows[place]
        missing = number is None or number != number
        return missing, 0 if missing else -number, name is None, (name or "").encode(), length, place

    columns = {"number": pa.array(numbers, pa.float64()), "name": pa.array(names, pa.string())}
    found = order(["column:number:desc", "column:name:asc", "shortest"], documents, characters, **columns)
    assert found == sorted(range(len(rows)), key=key)


def test_dates_are_compared_as_moments():
    same = ["2024-05-31T12:00:00Z", "2024-05-31T12:00:00", "2024-05-31T14:00:00+02:00", " 2024-05-31T12:00 "]
    assert len(set(dates_of(pa.array(same)).to_pylist())) == 1
    stamps = pa.array([datetime.datetime(2024, 5, 31, 12, tzinfo=datetime.UTC)], pa.timestamp("us", tz="UTC"))
    assert dates_of(stamps).to_pylist() == dates_of(pa.array(same[:1])).to_pylist()
    assert dates_of(pa.array([1716897600])).to_pylist() == [1716897600]


def test_a_value_that_is_no_date_comes_last():
    assert order(["newest:day"], day=["soon", "2020-01-01", "2021-01-01"]) == [2, 1, 0]
    assert order(["newest:day"], day=pa.array([None, None, None], pa.string())) == [0, 1, 2]
    # Other passages of the column may have dates: `check_dates` has seen them.
    assert order(["newest:day", "shortest"], characters=[3, 1, 2], day=["soon", None, "later"]) == [1, 2, 0]


@pytest.mark.parametrize(
    ("parts", "refused"),
    [
        ([["soon"], ["later", None]], True),
        ([["soon"], [None], ["2020-01-01"]], False),
        ([[None], []], False),
        ([[1, 2]], False),
        ([], False),
    ],
)
def test_a_column_without_dates_is_found_before_the_run_is_paid_for(parts, refused):
    arrays = [pa.chunked_array([pa.array(part, pa.int64() if part[:1] == [1] else pa.string())]) for part in parts]
    check_dates(["longest", "column:day:asc"], lambda name: pytest.fail(name))
    if refused:
        with pytest.raises(KeepError, match=r"'oldest:day'.*'soon'.*2024-05-31"):
            check_dates(["longest", "oldest:day"], lambda name: arrays)
    else:
        check_dates(["oldest:day"], lambda name: arrays)


@pytest.mark.parametrize(
    "rule", ["", "best", "newest", "newest:", "column:priority", "column::desc", "column:a:up", "longest:a"]
)
def test_what_is_no_rule_is_named(rule):
    with pytest.raises(ValueError, match="no rule: write most_documents"):
        parse_rule(rule)
    with pytest.raises(ValidationError, match="no rule"):
        DuplicatesOptions(keep=[rule])


def test_a_rule_that_is_listed_twice_is_named():
    with pytest.raises(ValidationError, match="'longest' is listed twice"):
        DuplicatesOptions(keep=["longest", "first_id", "longest"])


def test_columns_are_named_once():
    assert columns_of(["longest", "newest:b", "column:a:desc", "oldest:b"]) == ["b", "a"]
