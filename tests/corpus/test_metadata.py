import datetime as dt
import decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.corpus.metadata import CELLS, arrow_type, kinds_in, published, store_typed, to_json, unified_kind

UTC = dt.UTC


@pytest.mark.parametrize(
    ("array", "kind", "values"),
    [
        (pa.array([True, None]), "bool", [True, None]),
        (pa.array([1, None], pa.uint8()), "int", [1, None]),
        (pa.array([1.5], pa.float32()), "float", [1.5]),
        (pa.array(["a"], pa.large_string()), "string", ["a"]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), "string", ["a", "b", "a"]),
        (pa.array([b"a\xff"]), "string", ["a\\xff"]),
        (pa.array([1 << 63], pa.uint64()), "string", [str(1 << 63)]),
        (pa.array([decimal.Decimal("1.10")]), "string", ["1.10"]),
        (pa.array([dt.date(2024, 2, 3)]), "timestamp", [dt.datetime(2024, 2, 3)]),
        (pa.array([dt.datetime(2024, 2, 3, 4)], pa.timestamp("ns")), "timestamp", [dt.datetime(2024, 2, 3, 4)]),
        (
            pa.array([dt.datetime(2024, 2, 3, 4)], pa.timestamp("ms", tz="Europe/Berlin")),
            "timestamp_utc",
            [dt.datetime(2024, 2, 3, 4, tzinfo=UTC)],
        ),
        (pa.array([{"b": [1], "a": None}]), "json", ['{"a":null,"b":[1]}']),
        (pa.nulls(2), "string", [None, None]),
    ],
)
def test_parquet_types(array, kind, values):
    name, stored = store_typed("m", array)
    assert name == f"{kind}:m"
    column = published(pa.chunked_array([stored]), kind, kind)
    assert column.type == arrow_type(kind)
    assert column.to_pylist() == values
    assert kinds_in(name, stored) == (set() if array.null_count == len(array) else {kind})


@pytest.mark.parametrize(
    ("kinds", "kind"),
    [
        ((), "string"),
        (("int",), "int"),
        (("int", "float"), "float"),
        (("int", "bool"), "string"),
        (("timestamp", "timestamp_utc"), "string"),
        (("json", "int"), "string"),
    ],
)
def test_kinds_unify(kinds, kind):
    assert unified_kind(kinds) == kind


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@given(st.lists(JSON, max_size=6), st.integers(0, 6))
def test_json_values_do_not_depend_on_how_they_are_split(values, cut):
    def stored(part):
        return pa.array([None if value is None else to_json(value) for value in part], pa.string())

    name = f"{CELLS}:m"
    kind = unified_kind(kinds_in(name, stored(values[:cut])) | kinds_in(name, stored(values[cut:])))
    assert kind == unified_kind(kinds_in(name, stored(values)))
    parts = [published(pa.chunked_array([stored(part)]), CELLS, kind).to_pylist() for part in (values[:cut], values[cut:])]
    whole = published(pa.chunked_array([stored(values)]), CELLS, kind)
    whole.validate(full=True)
    assert repr(parts[0] + parts[1]) == repr(whole.to_pylist())


@given(st.sampled_from([(pa.int64(), [1, -5]), (pa.float64(), [1.0, 2.5]), (pa.bool_(), [True, False])]))
def test_parquet_and_json_lines_write_conflicting_values_alike(case):
    kind, values = case
    name, typed = store_typed("m", pa.array(values, kind))
    cells = pa.array([to_json(value) for value in values])
    from_parquet = published(pa.chunked_array([typed]), name.split(":")[0], "string").to_pylist()
    assert from_parquet == published(pa.chunked_array([cells]), CELLS, "string").to_pylist()
