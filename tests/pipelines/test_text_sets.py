"""Settings for reading texts with what a generation was published with."""

from types import SimpleNamespace

import pytest

from pipelines.config import load_config
from pipelines.search_batch import _config
from pipelines.text_sets import config_for


@pytest.fixture
def generation():
    """One whose settings name columns of its documents wherever that is possible."""
    settings = [
        "root=r",
        "corpus.input=[a.jsonl]",
        "corpus.metadata_columns=[section, created]",
        "duplicates.keep=['newest:created']",
    ]
    config = load_config(None, [*settings, "topics.tables=[section]", "topics.date_column=created", "corpus.id_column=key"])
    encoder = {"precision": "fp32", "metric": "cosine"}
    return SimpleNamespace(manifest=SimpleNamespace(configuration=config.model_dump(mode="json"), encoder=encoder))


def test_texts_are_read_without_the_columns_that_the_generation_was_published_with(generation):
    compared = config_for(generation, ["b.jsonl"], ["corpus.text_column=body"], {})
    batch = _config(generation, ["b.jsonl"], "work", None, ["corpus.text_column=body"], [])
    for config in (compared, batch):
        assert (config.corpus.input, config.corpus.id_column, config.corpus.text_column) == (["b.jsonl"], "key", "body")
        assert (config.corpus.metadata_columns, config.topics.tables, config.topics.date_column) == ([], (), None)
    assert (batch.root, batch.corpus.max_quarantine_fraction) == ("work", 1.0)
