import threading
import time
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer
from transformers.tokenization_utils_base import TruncationStrategy

from tests.embedding.compare import cosines
from tests.embedding.tiny import DIM, MAX_TOKENS, build_model
from transforms.embedding import EmbeddingOptions, ModelError, VectorError, check_vectors, encoder, encoder_spec, load_encoder
from transforms.embedding.packed import ROWS

SENTENCES = [
    "The parcel arrived two days late and the box was open.",
    "My order came late.",
    "",
    "   ",
    "Wie ändere ich mein Passwort? 日本語のテキスト 😀",
    "\x00\t\n control",
    "refund " * 300,
    "a",
    "The quick brown fox jumps over the lazy dog. " * 12,
    "antidisestablishmentarianism " * 7,
]


@pytest.fixture(scope="module")
def encoded(minilm) -> encoder.Encoded:
    return minilm.encode_documents(SENTENCES, 4096)


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("tiny"), {"query": "query: ", "document": "passage: "})


@pytest.fixture(scope="module")
def tiny_library(tiny_folder) -> SentenceTransformer:
    return SentenceTransformer(tiny_folder, device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def tiny(tiny_folder) -> encoder.Encoder:
    return load_encoder(encoder_spec(EmbeddingOptions(model=tiny_folder, device="cpu")), "cpu")


@pytest.fixture
def one_thread():
    """Two threads on a model this small wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def true_lengths(library: SentenceTransformer, texts: list[str], prompt: str = "") -> list[int]:
    return [len(library.tokenizer(prompt + text, truncation=False, verbose=False)["input_ids"]) for text in texts]


# --- the default model ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens_per_batch", [256, 4096])
def test_vectors_are_the_librarys_in_input_order(minilm, library, tokens_per_batch):
    own = minilm.encode_documents(SENTENCES, tokens_per_batch).vectors
    expected = library.encode(SENTENCES, normalize_embeddings=True)
    assert own.dtype == np.float32
    assert own.shape == (len(SENTENCES), 384)
    assert cosines(own, expected).min() >= 0.999999
    check_vectors(own, SENTENCES)


def test_the_cost_is_counted_in_the_models_tokens(encoded, library):
    lengths = true_lengths(library, SENTENCES)
    np.testing.assert_array_equal(encoded.truncated, [length > 256 for length in lengths])
    assert encoded.truncated.sum() == 1
    assert encoded.tokens == sum(min(length, 256) for length in lengths)
    # On a CPU tokens are filled up to whole tiles of rows.
    assert encoded.padded_tokens == -(-encoded.tokens // ROWS) * ROWS


def test_batches_that_are_done_are_reported(tiny):
    done = []
    texts = SENTENCES * 12
    tiny.encode_documents(texts, 32, done.append)
    assert sum(done) == len(texts)
    assert len(done) > 1


def test_no_texts_have_no_vectors(minilm):
    for none in (minilm.encode_documents([], 4096), minilm.encode_queries([])):
        assert none.vectors.shape == (0, 384)
        assert none.vectors.dtype == np.float32
        assert (none.tokens, none.padded_tokens, none.truncated.tolist(), none.failed) == (0, 0, [], {})


def test_queries_of_a_symmetric_model_are_documents(minilm, encoded):
    np.testing.assert_array_equal(minilm.encode_queries(SENTENCES).vectors, encoded.vectors)


def test_bf16_is_near_fp32(minilm_spec, encoded):
    rough = load_encoder(replace(minilm_spec, precision="bf16")).encode_documents(SENTENCES, 4096).vectors
    assert rough.dtype == np.float32
    assert cosines(rough, encoded.vectors).min() >= 0.999
    assert np.abs(rough - encoded.vectors).max() > 1e-5  # or bf16 was not used at all
    check_vectors(rough, SENTENCES)


def test_the_first_dimensions_are_kept_and_normalised_again(minilm_spec, encoded):
    short = load_encoder(replace(minilm_spec, truncate_dim=64))
    own = short.encode_documents(SENTENCES, 4096).vectors
    first = encoded.vectors[:, :64]
    assert short.dim == 64
    np.testing.assert_allclose(own, first / np.linalg.norm(first, axis=1, keepdims=True), atol=1e-6)
    check_vectors(own, SENTENCES)


def test_max_tokens_truncates_as_the_library_does(minilm_spec, library):
    short = load_encoder(replace(minilm_spec, max_tokens=16))
    found = short.encode_documents(SENTENCES, 4096)
    own = SentenceTransformer(minilm_spec.folder, local_files_only=True)
    own.max_seq_length = 16
    assert cosines(found.vectors, own.encode(SENTENCES)).min() >= 0.999999
    np.testing.assert_array_equal(found.truncated, [length > 16 for length in true_lengths(library, SENTENCES)])
    assert found.truncated.sum() > 1


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16x2", "bf16"])
def test_sts_benchmark(minilm_spec, shared_data, precision):
    """Spearman of cosine and human score on the test split; 0.8203 is the model's published figure."""
    path = shared_data / "stsb_test.parquet"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    table = pq.read_table(path)
    pairs = [table[name].to_pylist() for name in ("sentence1", "sentence2")]
    texts = sorted({text for side in pairs for text in side})
    encoded = load_encoder(replace(minilm_spec, precision=precision)).encode_documents(texts)
    vectors = dict(zip(texts, encoded.vectors, strict=True))
    a, b = (np.array([vectors[text] for text in side]) for side in pairs)
    assert spearmanr((a * b).sum(1), table["score"].to_numpy()).statistic == pytest.approx(0.8203, abs=0.001)


# --- texts that are cut before they are tokenised ------------------------------------------------------------------------

_RANDOM = np.random.default_rng(7)
_WORDS = [f"{a}{b}" for a in ("re", "un", "inter", "over", "") for b in ("fund", "parcel", "nation", "cook", "x")]

HUGE = {
    "a megabyte of words": " ".join(_RANDOM.choice(_WORDS, 170_000)),
    "a megabyte of one word": "x" * 1_000_000,
    "few words far apart": "hello" + " " * 100_000 + "world" + "\n" * 50_000 + "again",
    "words after a long margin": " " * 60_000 + "hello world",
    "only spaces": " " * 60_000,
    "control characters": "\x00" * 60_000 + "hello",
    "many accents on a letter": "e" + "\u0301" * 60_000 + " hello",
    "Chinese": "漢字" * 5_000,
    "emoji": "😀" * 30_000 + " hello",
    "punctuation": "=" * 30_000,
    "long words, few enough": ("z" * 150 + " ") * 26 + "end",
}
# Words of more than 100 characters are one token [UNK]. Their first letters alone are many.
TROUBLE = {
    "long words": ("a" * 130 + " ") * 300,
    "encoded words": " ".join("".join(_RANDOM.choice(list("abcdefghijklmnopqrstuvwxyz0123456789"), 130)) for _ in range(300)),
}


def check_like_the_full_text(own, library, text):
    encoded = own.encode_documents([text], 4096)
    assert cosines(encoded.vectors, library.encode([text])).min() >= 0.999999
    length = true_lengths(library, [text])[0]
    assert (encoded.tokens, encoded.truncated.tolist()) == (min(length, own.max_tokens), [length > own.max_tokens])


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_text_has_the_vector_of_the_full_text(minilm, library, name):
    check_like_the_full_text(minilm, library, HUGE[name])


@pytest.mark.parametrize("name", TROUBLE)
def test_long_words_have_the_vector_of_the_full_text(minilm, library, name):
    check_like_the_full_text(minilm, library, TROUBLE[name])


def test_a_huge_text_is_not_tokenised_whole(minilm, monkeypatch):
    """The reason for the cut: tokenising costs about a second per megabyte."""
    seen = []
    real = minilm._tokenize
    monkeypatch.setattr(minilm, "_tokenize", lambda texts: seen.extend(map(len, texts)) or real(texts))
    minilm.encode_documents([HUGE["a megabyte of words"]], 4096)
    assert sum(seen) < 50_000


PIECES = st.lists(
    st.tuples(st.sampled_from([" ", "\n", "a", "b", "ab ", "a, ", "É", "\u200b", "?"]), st.integers(1, 100)),
    min_size=1,
    max_size=40,
)


@given(pieces=PIECES)
@example(pieces=[("a ", 40)])
@example(pieces=[(" ", 512), ("a ", 31)])
# As many words as fit, or one less or more, before the cut, and others only after it.
@example(pieces=[("a ", 27), (" ", 600), ("b ", 9)])
@example(pieces=[("a ", 28), (" ", 600), ("b ", 9)])
@example(pieces=[("a ", 29), (" ", 600), ("b ", 9)])
@example(pieces=[("a ", 30), (" ", 600), ("b ", 9)])
@example(pieces=[("a ", 31), (" ", 600), ("b ", 9)])
@example(pieces=[("a ", 29)])
@example(pieces=[("a ", 30)])
@example(pieces=[("a ", 31)])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_of_ordinary_words_has_the_vector_of_the_full_text(tiny_folder, one_thread, pieces):
    # Characters are cut at 16 × 32 here, so that a text of a few hundred characters already is a long one.
    own = load_encoder(encoder_spec(EmbeddingOptions(model=tiny_folder, device="cpu", document_prompt="")), "cpu")
    text = " ".join(char * count if " " in char else " ".join([char * min(count, 90)] * 3) for char, count in pieces)
    library = own._model
    check_like_the_full_text(own, library, text)


# --- documents are not queries -------------------------------------------------------------------------------------------

SHORT = ["abc", "hello world", "a", "the longer of the texts, with more than enough letters to be truncated in the end"]


def test_documents_and_queries_go_through_their_own_prompts(tiny, tiny_library):
    documents, queries = tiny.encode_documents(SHORT, 4096), tiny.encode_queries(SHORT)
    np.testing.assert_allclose(
        documents.vectors, tiny_library.encode_document(SHORT, normalize_embeddings=True), atol=1e-6, rtol=0
    )
    np.testing.assert_allclose(queries.vectors, tiny_library.encode_query(SHORT, normalize_embeddings=True), atol=1e-6, rtol=0)
    np.testing.assert_allclose(
        documents.vectors, tiny_library.encode([f"passage: {text}" for text in SHORT], normalize_embeddings=True), atol=1e-6
    )
    assert np.abs(documents.vectors - queries.vectors).max(axis=1).min() > 1e-3  # or one prompt would do for both


def test_prompts_count_as_tokens(tiny, tiny_library):
    for encoded, prompt in ((tiny.encode_documents(SHORT, 4096), "passage: "), (tiny.encode_queries(SHORT), "query: ")):
        lengths = true_lengths(tiny_library, SHORT, prompt)
        assert encoded.tokens == sum(min(length, MAX_TOKENS) for length in lengths)
        assert encoded.truncated.tolist() == [length > MAX_TOKENS for length in lengths]
        assert encoded.truncated.sum() == 1


def test_a_prompt_of_the_options_replaces_the_models(tiny_folder, tiny_library):
    for prompt in ("other: ", ""):
        options = EmbeddingOptions(model=tiny_folder, device="cpu", document_prompt=prompt, query_prompt=prompt)
        own = load_encoder(encoder_spec(options), "cpu")
        expected = tiny_library.encode([prompt + text for text in SHORT], prompt="", normalize_embeddings=True)
        np.testing.assert_allclose(own.encode_documents(SHORT, 4096).vectors, expected, atol=1e-6)
        np.testing.assert_allclose(own.encode_queries(SHORT).vectors, expected, atol=1e-6)


def test_an_empty_prompt_beats_the_default_prompt_of_the_model(tmp_path):
    folder = build_model(tmp_path, {"query": "query: ", "document": "passage: "}, "query")
    own = load_encoder(encoder_spec(EmbeddingOptions(model=folder, device="cpu", document_prompt="")), "cpu")
    plain = SentenceTransformer(folder, device="cpu").encode(SHORT, prompt="", normalize_embeddings=True)
    np.testing.assert_allclose(own.encode_documents(SHORT, 4096).vectors, plain, atol=1e-6)


def test_a_static_embedding_model_is_refused(tmp_path, tiny_library):
    from sentence_transformers.models import StaticEmbedding

    folder = str(tmp_path / "static")
    library = SentenceTransformer(
        modules=[StaticEmbedding(tiny_library.tokenizer.backend_tokenizer, embedding_dim=8)], device="cpu"
    )
    library.save_pretrained(folder)
    with pytest.raises(ModelError, match="not supported"):
        load_encoder(encoder_spec(EmbeddingOptions(model=folder, device="cpu")), "cpu")


# --- bad vectors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 2.0, 1e30])
@pytest.mark.parametrize("row", [0, 3])
def test_a_bad_vector_is_refused_by_name(value, row):
    vectors = np.eye(4, 8, dtype=np.float32)
    vectors[row, row] = value
    with pytest.raises(VectorError, match=f"'name {row}'.*1 of 4"):
        check_vectors(vectors, [f"name {i}" for i in range(4)])


def test_the_first_bad_vector_is_named_and_all_are_counted():
    vectors = np.zeros((5, 2), np.float32)
    vectors[0, 0] = 1
    with pytest.raises(VectorError, match=r"'b'.*4 of 5"):
        check_vectors(vectors, list("abcde"))


@given(st.integers(0, 20), st.floats(-0.9e-3, 0.9e-3))
@settings(max_examples=40, deadline=None)
def test_unit_vectors_pass_within_the_tolerance(rows, error):
    vectors = np.random.default_rng(rows).normal(size=(rows, 7))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * (1 + error)).astype(np.float32)
    check_vectors(vectors, ["x"] * rows)
    if rows:
        with pytest.raises(VectorError):
            check_vectors(vectors * np.float32(1.01 / (1 + error)), ["x"] * rows)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 1e-30, 1e30])
def test_a_bad_vector_of_a_dot_model_is_refused_by_name(value):
    vectors = np.diag([0.5, 3, value, 1e9]).astype(np.float32)
    with pytest.raises(VectorError, match=r"'c'.*1 of 4"):
        check_vectors(vectors, list("abcd"), unit=False)
    check_vectors(vectors[[0, 1, 3]], list("abd"), unit=False)


def test_a_query_with_a_bad_vector_is_refused(tiny, monkeypatch):
    monkeypatch.setattr(tiny, "_packed", lambda token_ids: np.full((len(token_ids), DIM), np.nan, np.float32))
    with pytest.raises(VectorError, match="what is this"):
        tiny.encode_queries(["what is this"])


# --- texts that the model fails on ---------------------------------------------------------------------------------------


def poisoned(real):
    """A forward pass that fails whenever a text that begins with q is in the batch (token 21 of the tiny model)."""

    def forward(token_ids):
        if any(ids[1:2] == [21] for ids in token_ids):
            raise RuntimeError("cannot compute a q")
        return real(token_ids)

    return forward


@given(st.lists(st.sampled_from(["abc", "q", "quite", "a b c d", "hello", "zz"]), max_size=40))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_text_that_the_model_fails_on_costs_only_itself(tiny_folder, one_thread, texts):
    own = load_encoder(encoder_spec(EmbeddingOptions(model=tiny_folder, device="cpu", document_prompt="")), "cpu")
    expected, real = own.encode_documents(texts).vectors, own._packed
    own._packed = poisoned(real)
    try:
        found = own.encode_documents(texts)
    finally:
        own._packed = real
    bad = [i for i, text in enumerate(texts) if text.startswith("q")]
    assert sorted(found.failed) == bad
    assert all(str(error) == "cannot compute a q" for error in found.failed.values())
    good = [i for i in range(len(texts)) if i not in bad]
    np.testing.assert_array_equal(found.vectors[good], expected[good])
    assert np.isnan(found.vectors[bad]).all()


def test_a_text_that_cannot_be_tokenised_costs_only_itself(tiny, monkeypatch):
    real = tiny._tokenize

    def tokenize(texts):
        if any("bad" in text for text in texts):
            raise TypeError("no tokens")
        return real(texts)

    expected = tiny.encode_documents(["one", "two", "three"]).vectors
    monkeypatch.setattr(tiny, "_tokenize", tokenize)
    found = tiny.encode_documents(["one", "bad", "two", "three"])
    assert list(found.failed) == [1]
    np.testing.assert_array_equal(found.vectors[[0, 2, 3]], expected)


def test_through_the_library_too(tmp_path, monkeypatch):
    own = encoder.Encoder(encoder_spec(EmbeddingOptions(model=build_model(tmp_path, dense=True), device="cpu")), "cpu")
    texts = ["one", "bad", "two", "three"]
    expected, real = own.encode_documents(texts).vectors, own._model.encode_document

    def encode_document(batch, **arguments):
        if "bad" in batch:
            raise RuntimeError("no vector")
        return real(batch, **arguments)

    monkeypatch.setattr(own._model, "encode_document", encode_document)
    found = own.encode_documents(texts)
    assert list(found.failed) == [1]
    np.testing.assert_allclose(found.vectors[[0, 2, 3]], expected[[0, 2, 3]], atol=1e-6)


def test_a_model_that_fails_on_every_text_stops_the_run(tiny, monkeypatch):
    tiny.encode_documents(["abc"])

    def broken(token_ids):
        raise RuntimeError("device lost")

    monkeypatch.setattr(tiny, "_packed", broken)
    with pytest.raises(ModelError, match="fails on every text: device lost"):
        tiny.encode_documents(["abc", "def"])


def test_a_query_that_the_model_fails_on_is_named(tiny, monkeypatch):
    monkeypatch.setattr(tiny, "_packed", poisoned(tiny._packed))
    own = load_encoder(replace(tiny.spec, query_prompt=""), "cpu")
    monkeypatch.setattr(own, "_packed", poisoned(own._packed))
    with pytest.raises(ModelError, match="fails on 'quite': cannot compute a q"):
        own.encode_queries(["abc", "quite"])


# --- threads -------------------------------------------------------------------------------------------------------------


def test_a_model_is_loaded_once_however_many_threads_ask(monkeypatch, minilm_spec):
    loaded = []

    class Slow:
        def __init__(self, spec, device, threads):
            loaded.append((spec, device))
            time.sleep(0.05)

    monkeypatch.setattr(encoder, "Encoder", Slow)
    monkeypatch.setattr(encoder, "_loaded", {})
    start, found = threading.Barrier(8), []

    def ask():
        start.wait()
        found.append(load_encoder(minilm_spec))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert loaded == [(minilm_spec, None)]
    assert load_encoder(replace(minilm_spec, max_tokens=9)) is not found[0]
    assert load_encoder(minilm_spec, "cpu") is not found[0]
    assert len(loaded) == 3


def test_two_threads_encode_with_one_model(tiny_folder, monkeypatch):
    """The worst moment for the second thread to begin: the first has set the tokenizer to truncate, and not used it yet."""
    own = encoder.Encoder(encoder_spec(EmbeddingOptions(model=tiny_folder, device="cpu")), "cpu")
    own._packed = None  # the library's own batches set and reset the truncation
    texts = ["a " * 60, "b " * 50]
    expected = own.encode_documents(texts, 4096).vectors
    tokenizer = own._model.tokenizer
    real = tokenizer.set_truncation_and_padding
    second_is_ready, first_is_done = threading.Event(), threading.Event()
    second = threading.Thread(target=lambda: own.encode_documents(texts, 4096))

    def set_truncation_and_padding(*args, **kwargs):
        truncates = kwargs["truncation_strategy"] != TruncationStrategy.DO_NOT_TRUNCATE
        if threading.current_thread() is second and truncates:
            second_is_ready.set()
            first_is_done.wait(10)
        real(*args, **kwargs)
        if threading.current_thread() is not second and truncates and not second.ident:
            second.start()
            second_is_ready.wait(0.5)  # it never comes where the second thread waits for a lock of the first: as good

    monkeypatch.setattr(tokenizer, "set_truncation_and_padding", set_truncation_and_padding)
    try:
        vectors = own.encode_documents(texts, 4096).vectors
    finally:
        first_is_done.set()
        second.join()
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


# bf16 multiplies as bf16x2 does, once instead of twice.
@pytest.mark.parametrize("precision", ["fp32", "bf16x2", "int8", pytest.param("bf16", marks=pytest.mark.long)])
def test_a_vector_does_not_depend_on_threads_windows_or_batches(minilm_spec, monkeypatch, precision):
    """What an incremental run computes alone and a full run computes among others must be the same bytes."""
    texts = [*SENTENCES, *(f"{sentence} {i}" for i, sentence in enumerate(SENTENCES * 4))]
    spec = replace(minilm_spec, precision=precision)
    expected = encoder.Encoder(spec, "cpu", 2).encode_documents(texts).vectors
    monkeypatch.setattr(encoder, "_WINDOW", 37)
    one = encoder.Encoder(spec, "cpu", 1)
    np.testing.assert_array_equal(one.encode_documents(texts, 2100).vectors, expected)
    np.testing.assert_array_equal(one.encode_documents(texts[5:6]).vectors, expected[5:6])


def test_threads_of_the_process_stay_as_they_were(tiny_folder):
    threads = torch.get_num_threads()
    own = encoder.Encoder(encoder_spec(EmbeddingOptions(model=tiny_folder, device="cpu")), "cpu", 3)
    own.encode_documents(SHORT)
    assert torch.get_num_threads() == threads
    seen = []
    other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert seen == [threads]
    assert set(own._threads.map(lambda _: torch.get_num_threads(), range(20))) == {1}


def test_a_worker_without_the_models_folder_says_what_it_needs(tiny_folder):
    elsewhere = replace(encoder_spec(EmbeddingOptions(model=tiny_folder)), folder="/image/model")
    with pytest.raises(ModelError, match=r"is not in /image/model on .*: workers need it at the same path"):
        load_encoder(elsewhere)
