"""What `search --queries` refuses before it reads a query."""

from types import SimpleNamespace

import pytest

from pipelines.config import Config, ConfigurationError
from pipelines.search_batch import _config, search_batch
from transforms.corpus import InputError
from transforms.search import BatchOptions


def test_without_texts_nothing_is_embedded_for_a_cross_encoder(tmp_path, monkeypatch):
    manifest = SimpleNamespace(configuration={"corpus": {"keep_text": False}})
    monkeypatch.setattr("pipelines.search_batch.open_generation", lambda _: SimpleNamespace(id="g", manifest=manifest))
    with pytest.raises(InputError, match="keeps no texts"):
        search_batch(str(tmp_path / "root"), ["q.jsonl"], str(tmp_path / "hits"), BatchOptions(3, rerank="cross"))


@pytest.fixture
def configure():
    """The configuration of a search with these settings, of a generation that was published on another machine."""
    settings = {"corpus": {"input": ["corpus.jsonl"]}, "embedding": {"device": "cuda:7", "threads": 9}}
    manifest = SimpleNamespace(
        encoder={"precision": "fp32", "metric": "cosine"}, configuration=Config.model_validate(settings).model_dump(mode="json")
    )
    return lambda *given: _config(SimpleNamespace(manifest=manifest), ["q.jsonl"], "work", None, given, ["--streaming"])


def test_how_and_where_queries_are_read_and_embedded_can_be_set(configure):
    assert (configure().embedding.device, configure().embedding.threads) == (None, None)
    config = configure("corpus.id_column=q", "runner.workers=3", "embedding.device=cpu", "embedding.tokens_per_batch=512")
    assert (config.corpus.id_column, config.runner.workers, config.runner.beam_options) == ("q", 3, ("--streaming",))
    assert (config.embedding.device, config.embedding.tokens_per_batch) == ("cpu", 512)


@pytest.mark.parametrize(
    "setting",
    [
        "search.k1=2",
        "embedding.model=other",
        "embedding={device: cpu}",
        "corpus.keep_text=false",
        "root=other",
        "index.recall_gate=0.5",
    ],
)
def test_a_setting_that_changes_nothing_is_refused(configure, setting):
    with pytest.raises(ConfigurationError, match=f"--set {setting.partition('=')[0]} changes nothing in a search"):
        configure(setting)
