import pickle

import pytest
from pydantic import ValidationError

from transforms.corpus import RESERVED_COLUMNS, CorpusOptions


def test_defaults_read_the_docstrings_of_this_machine():
    assert CorpusOptions().input == ["python-docs"]


@pytest.mark.parametrize("name", sorted(RESERVED_COLUMNS))
def test_published_columns_are_no_metadata(name):
    with pytest.raises(ValidationError, match=f"metadata column '{name}' has the name of a published column"):
        CorpusOptions(metadata_columns=[name])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metadata_columns": ["a", "b", "a"]}, "'a' is listed twice"),
        ({"id_column": "x", "text_column": "x"}, "id_column and text_column are both 'x'"),
        ({"max_quarantine_fraction": 1.5}, "less than or equal to 1"),
        ({"sample": 0}, "greater than or equal to 1"),
        ({"input": []}, "at least 1 item"),
        ({"format": "csv"}, "'auto', 'parquet', 'jsonl' or 'text'"),
        ({"unknown": 1}, "Extra inputs are not permitted"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        CorpusOptions(**settings)


def test_every_setting_is_documented():
    assert all(field.description for field in CorpusOptions.model_fields.values())


def test_options_travel_to_workers():
    options = CorpusOptions(input=["a.parquet"], metadata_columns=["m"])
    assert pickle.loads(pickle.dumps(options)) == options
