"""What `search --queries` refuses before it reads a query."""

from types import SimpleNamespace

import pytest

from pipelines.search_batch import search_batch
from transforms.corpus import InputError
from transforms.search import BatchOptions


def test_without_texts_nothing_is_embedded_for_a_cross_encoder(tmp_path, monkeypatch):
    manifest = SimpleNamespace(configuration={"corpus": {"keep_text": False}})
    monkeypatch.setattr("pipelines.search_batch.open_generation", lambda _: SimpleNamespace(id="g", manifest=manifest))
    with pytest.raises(InputError, match="keeps no texts"):
        search_batch(str(tmp_path / "root"), ["q.jsonl"], str(tmp_path / "hits"), BatchOptions(3, rerank="cross"))
