"""Queries one by one: the vectors of the library's model, and the same bytes whoever asks for what beside them."""

import gc
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from tests.embedding.tiny import DIM, build_model
from transforms.embedding import EmbeddingOptions, ModelError, QueryEncoder, encoder_spec, load_query_encoder, query_encoder

QUERIES = [
    "crash",
    "where is my invoice",
    "naïve résumé ÀÉÎ",
    "x",
    "日本語 text 12,5",
    "a " * 200,
    "don't  stop\tnow",
    "b" * 40,
]


def spec_of(folder: str, **settings):
    return encoder_spec(EmbeddingOptions(model=folder, **settings))


@pytest.mark.parametrize("architecture", ["BertModel", "RobertaModel", "XLMRobertaModel", "DistilBertModel", "MPNetModel"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_the_librarys(tmp_path, architecture, pooling):
    folder = build_model(tmp_path, {"query": "query: "}, architecture=architecture, pooling=pooling)
    encoder = QueryEncoder(spec_of(folder))
    # MPNet's positions are code of transformers: it goes through the library.
    assert (encoder._library is None) == (architecture != "MPNetModel")
    # In this tokenizer what is unknown has the number that MPNet takes for padding.
    queries = [query for query in QUERIES if "12" not in query and "'" not in query]
    vectors, truncated = encoder.encode(queries)
    expected = SentenceTransformer(folder, device="cpu").encode_query(queries, normalize_embeddings=True, batch_size=1)
    np.testing.assert_allclose(vectors, expected, atol=2e-6)
    assert truncated.tolist() == [False, False, False, False, True, True]
    assert encoder.dim == DIM


def test_the_default_models_vectors_are_the_librarys(minilm_spec):
    """The tokenizer too: it comes from another file than the library's."""
    texts = [
        *QUERIES,
        "İstanbul",
        "“quotes” – dashes…",
        "\x00\ufffd zero\u200bwidth",
        "Ⅳ ½ ﬁ",
        "👩‍👩‍👧 emoji",
        "[CLS] [SEP] [MASK]",
    ]
    encoder = QueryEncoder(minilm_spec)
    assert encoder._library is None
    expected = SentenceTransformer(minilm_spec.folder, device="cpu", local_files_only=True).encode(texts, batch_size=1)
    np.testing.assert_allclose(encoder.encode(texts)[0], expected, atol=2e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16x2", "int8"])
def test_a_query_has_the_same_bytes_alone_and_beside_others(tmp_path, precision):
    spec = spec_of(build_model(tmp_path), precision=precision)
    one, three = QueryEncoder(spec, threads=1), QueryEncoder(spec, threads=3)
    together = three.encode(QUERIES)[0]
    alone = np.concatenate([one.encode([query])[0] for query in reversed(QUERIES)])[::-1]
    with ThreadPoolExecutor(4) as pool:
        at_once = np.concatenate(list(pool.map(lambda query: three.encode([query])[0], QUERIES)))
    assert together.tobytes() == alone.tobytes() == at_once.tobytes()


def test_dimensions_are_cut_and_lengths_kept_as_the_options_say(tmp_path):
    folder = build_model(tmp_path)
    cut, _ = QueryEncoder(spec_of(folder, truncate_dim=8)).encode(QUERIES)
    own = SentenceTransformer(folder, device="cpu", truncate_dim=8).encode(QUERIES, normalize_embeddings=True, batch_size=1)
    np.testing.assert_allclose(cut, own, atol=2e-6)
    raw, _ = QueryEncoder(spec_of(folder, metric="dot")).encode(QUERIES)
    np.testing.assert_allclose(raw, SentenceTransformer(folder, device="cpu").encode(QUERIES, batch_size=1), atol=2e-5)


def test_a_model_without_a_tokenizer_file_or_of_other_modules_goes_through_the_library(tmp_path):
    folder = build_model(tmp_path, dense=True)
    encoder = QueryEncoder(spec_of(folder))
    assert encoder._library is not None
    expected = SentenceTransformer(folder, device="cpu").encode(QUERIES, normalize_embeddings=True, batch_size=1)
    np.testing.assert_allclose(encoder.encode(QUERIES)[0], expected, atol=2e-6)


@pytest.mark.parametrize(("own", "beside", "model"), [(True, False, False), (False, False, True)])
def test_settings_beside_the_tokenizer_count_as_in_the_library(tmp_path, minilm_spec, own, beside, model):
    """Whether texts are in small letters, by the tokenizer's own file, by that beside it, and by the model's."""
    for path in Path(minilm_spec.folder).rglob("*"):
        if path.is_file():
            (tmp_path / path.relative_to(minilm_spec.folder)).parent.mkdir(exist_ok=True)
            (tmp_path / path.relative_to(minilm_spec.folder)).symlink_to(path)

    def change(name: str, **values) -> None:
        path = tmp_path / f"{name}.json"
        known = json.loads(path.read_text())
        path.unlink()
        path.write_text(json.dumps(known | values))

    normalizer = json.loads((tmp_path / "tokenizer.json").read_text())["normalizer"]
    change("tokenizer", normalizer=normalizer | {"lowercase": own})
    change("tokenizer_config", do_lower_case=beside)
    change("sentence_bert_config", do_lower_case=model)
    texts = ["Where Is My INVOICE", "Straße"]
    expected = SentenceTransformer(str(tmp_path), device="cpu", local_files_only=True).encode(texts, batch_size=1)
    np.testing.assert_allclose(QueryEncoder(spec_of(str(tmp_path))).encode(texts)[0], expected, atol=2e-6)


def test_a_query_that_the_model_fails_on_is_named(tmp_path, monkeypatch):
    encoder = QueryEncoder(spec_of(build_model(tmp_path)))
    good = encoder._tokenize

    def tokenize(texts):
        if any("bad" in text for text in texts):
            raise ValueError("no")
        return good(texts)

    monkeypatch.setattr(encoder, "_tokenize", tokenize)
    with pytest.raises(ModelError, match="'bad one'"):
        encoder.encode(["good", "bad one"])


def test_no_query_is_no_vector(tmp_path):
    vectors, truncated = QueryEncoder(spec_of(build_model(tmp_path))).encode([])
    assert (vectors.shape, truncated.shape) == ((0, DIM), (0,))


@pytest.fixture
def slow(monkeypatch):
    """Encoders of whatever is asked for; that of `slow` is not loaded before `go`."""
    go, built = threading.Event(), []

    class Slow:
        def __init__(self, spec, device, threads):
            built.append(spec)
            assert spec != "slow" or go.wait(10)

    monkeypatch.setattr(query_encoder, "QueryEncoder", Slow)
    monkeypatch.setattr(query_encoder, "find_here", lambda spec: spec)
    return SimpleNamespace(go=go, built=built)


def test_no_query_waits_until_another_model_is_loaded(slow):
    known, found = load_query_encoder("known"), []
    loading = [threading.Thread(target=lambda: found.append(load_query_encoder("slow"))) for _ in range(2)]
    for thread in loading:
        thread.start()
    other = threading.Thread(target=lambda: found.append(load_query_encoder("known")), daemon=True)
    other.start()
    other.join(5)
    assert found == [known]
    slow.go.set()
    for thread in loading:
        thread.join()
    assert found[1] is found[2]
    assert slow.built == ["known", "slow"]


def test_a_model_that_nobody_has_is_dropped(slow):
    encoder = load_query_encoder("a")
    assert load_query_encoder("a") is encoder
    del encoder
    gc.collect()
    load_query_encoder("a")
    assert slow.built == ["a", "a"]
