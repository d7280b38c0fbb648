"""Conditions against DuckDB, which reads and computes the same SQL."""

from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.search import WhereError, parse_where

WHEN = [datetime(2024, 5, 31), datetime(2024, 6, 1, 12, 30), None, datetime(1999, 1, 1)]
TABLE = pa.table(
    {
        "section": ["net", "web", None, "Net", "it's", "", "n%t", r"C:\temp\x", r"C:temp\x", r"C:\temp%", "a\nb"],
        "votes": pa.array([1, 2, None, 4, -5, 0, 2**62, 7, 8, 9, 10], pa.int64()),
        "rate": pa.array([0.5, None, 1.0, -2.5, 0.0, 1e9, 3.0, *[None] * 4]),
        "open": pa.array([True, False, None, True, False, True, False, *[None] * 4]),
        "when": pa.array((WHEN * 3)[:11], pa.timestamp("us")),
        "a column": ["x", "y", "z", "x", "y", None, "w", *[None] * 4],
    }
)


def rows(text: str) -> list[int]:
    numbered = TABLE.append_column("row", pa.array(range(TABLE.num_rows)))
    return numbered.filter(parse_where(text).expression(TABLE.schema))["row"].to_pylist()


def of_duckdb(text: str) -> list[int]:
    numbered = TABLE.append_column("row", pa.array(range(TABLE.num_rows)))  # noqa: F841  # found by name
    return [row for (row,) in duckdb.sql(f'select "row" from numbered where {text} order by "row"').fetchall()]


SIGNS = st.sampled_from(["=", "!=", "<>", "<", "<=", ">", ">="])
TEXTS = st.sampled_from(
    [
        "net",
        "web",
        "it's",
        "",
        "N",
        "n%t",
        "n_t",
        "%e%",
        "日本",
        r"C:\temp_x",
        r"C:\temp\x",
        r"%\temp\%",
        r"C:\temp%",
        r"%\%",
        "a_b",
        "a%",
        "(.*)",
    ]
)
COMPARISONS = st.one_of(
    st.builds("{} {} {}".format, st.sampled_from(["votes", "rate"]), SIGNS, st.sampled_from(["0", "1", "-5", "+2", "1e9"])),
    st.builds("rate {} {}".format, SIGNS, st.sampled_from(["0.5", "-2.5e0", ".5"])),
    st.builds("votes {} 4611686018427387904".format, SIGNS),
    st.builds(
        lambda sign, text: "section {} '{}'".format(sign, text.replace("'", "''")),
        st.sampled_from(["=", "!=", "<", ">="]),
        TEXTS,
    ),
    st.builds(
        lambda negated, how, text: "section {}{} '{}'".format(negated, how, text.replace("'", "''")),
        st.sampled_from(["", "not "]),
        st.sampled_from(["like", "ilike"]),
        TEXTS,
    ),
    st.builds(
        lambda negated, some: "section {}in ({})".format(
            negated, ", ".join("'" + one.replace("'", "''") + "'" for one in some)
        ),
        st.sampled_from(["", "not "]),
        st.lists(TEXTS, min_size=1, max_size=3),
    ),
    st.builds("votes {}between {} and {}".format, st.sampled_from(["", "not "]), st.integers(-9, 9), st.integers(-9, 9)),
    st.builds("{} is {}null".format, st.sampled_from(["section", "votes", '"when"', "open"]), st.sampled_from(["", "not "])),
    st.sampled_from(["open", "open = true", "open != FALSE", "not open"]),
    st.builds(
        "\"when\" {} {}'2024-05-31'".format, st.sampled_from(["<", ">=", "="]), st.sampled_from(["", "date ", "timestamp "])
    ),
    st.builds("\"a column\" = '{}'".format, st.sampled_from("xyz")),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds("({}) and {}".format, inner, inner),
        st.builds("{} OR {}".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(condition=CONDITIONS)
def test_rows_are_those_of_duckdb(condition):
    assert rows(condition) == of_duckdb(condition)


@pytest.mark.parametrize("pattern", [r"C:\temp_x", r"C:\temp\x", r"%\temp\%", r"C:\temp%", r"%\%", "a_b", "A%", "%.%"])
def test_in_a_pattern_only_percent_and_underline_are_special(pattern):
    for how in ("like", "ilike", "not like"):
        assert rows(f"section {how} '{pattern}'") == of_duckdb(f"section {how} '{pattern}'")


def test_contains_is_a_part_of_the_text_and_nothing_in_it_is_special():
    assert rows("section contains 'e'") == [0, 1, 3, 7, 8, 9]
    assert rows("section contains '%'") == [6, 9]
    assert rows("section not contains 'e'") == [4, 5, 6, 10]


def test_moments_with_a_zone_are_compared_in_utc():
    zoned = pa.table({"at": pa.array([datetime(2024, 5, 31, 12, tzinfo=UTC)], pa.timestamp("us", "UTC"))})
    for text, fits in (("at >= '2024-05-31T14:00:00+02:00'", 1), ("at > '2024-05-31T12:00:00'", 0)):
        assert zoned.filter(parse_where(text).expression(zoned.schema)).num_rows == fits


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("", "expected a column at the end"),
        ("section", "alone is no condition"),
        ("date = 'x'", "expected a column, one that is called date in double quotes, before \"date = 'x'\""),
        ("section =", "expected 'text'"),
        ("section = net", "expected 'text', a number, true, false or date '2024-05-31' before 'net'"),
        ("section = 'net", 'cannot read "\'net" at character 11'),
        ("section = 'a' votes = 1", "expected `and`, `or` or the end before 'votes = 1'"),
        ("(section = 'a'", "expected `)` at the end"),
        ("section = 3", "column 'section' is a text and cannot be compared with 3: write 'text'"),
        ("votes = '3'", "is a number (int64) and cannot be compared with '3'"),
        ("votes = 99999999999999999999", "does not fit column 'votes'"),
        ("votes = 0.5", "whole numbers only"),
        ("open = 1", "write true"),
        ("\"when\" > 'yesterday'", "does not fit column 'when'"),
        ("nothing = 1", "there is no column 'nothing'; columns are section, votes"),
        ("votes like '1'", "`like` is for texts"),
        ("section like 1", "expected 'text'"),
        ("section in ()", "expected 'text'"),
        ("section not = 'a'", "expected `in`, `like`"),
        ("section = 'a'; drop table x", "cannot read '; drop table x'"),
        ("__import__('os')", "expected `and`, `or` or the end"),
        ("(" * 500 + "open" + ")" * 500, "more than 100"),
        ("section = '" + "a" * 200_000 + "'", "at most 100,000"),
        ("votes = " + "1" * 5000, "the number at character 9 has 5,000 characters"),
        # Without possessive digits this takes minutes.
        ("votes = " + "1" * 90_000 + "a", "cannot read '1111"),
        ("votes = ." + "1" * 90_000 + "a", "cannot read '.1111"),
        ("section like '" + "_" * 90_000 + "'", "is too large"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(condition, said):
    with pytest.raises(WhereError, match="--where") as error:
        rows(condition)
    assert said in str(error.value)


def test_thousands_of_conditions_are_no_deep_tree():
    assert rows(" or ".join(f"votes = {i}" for i in range(2000))) == [0, 1, 3, 5, 7, 8, 9, 10]
    assert rows("not " * 2000 + "open") == [0, 3, 5]
