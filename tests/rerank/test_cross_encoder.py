import threading

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import AlbertConfig, AlbertForSequenceClassification, AutoTokenizer

from tests.embedding.tiny import ARCHITECTURES, build_model
from tests.rerank.tiny import build_cross_encoder
from transforms.embedding import architectures
from transforms.rerank import Reranker, RerankerError, by_relevance

QUERY = "how do i reset my password"
WORDS = ["password", "reset", "account", "page", "settings", "crash", "invoice", "month", "delivery", "late", "weather"]


def texts(count: int, longest: int) -> list[str]:
    generator = np.random.default_rng(0)
    return [" ".join(generator.choice(WORDS, generator.integers(1, longest))) for _ in range(count)]


def rank_by_library(folder: str, query: str, documents: list[str]) -> tuple[list[int], list[float]]:
    library = CrossEncoder(folder, device="cpu", local_files_only=True)
    ranked = library.rank(query, documents, activation_fn=torch.nn.Identity())
    return [row["corpus_id"] for row in ranked], [row["score"] for row in ranked]


def rank(reranker: Reranker, query: str, documents: list[str]) -> tuple[list[int], list[float]]:
    found = by_relevance(reranker.logits([(query, text) for text in documents]), [f"{i:05d}" for i in range(len(documents))])
    return [one.place for one in found], [one.logit for one in found]


@pytest.fixture(scope="module")
def of_minilm(tmp_path_factory, minilm_spec) -> str:
    return build_cross_encoder(tmp_path_factory.mktemp("cross") / "minilm", minilm_spec.folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("cross")
    build_model(folder)
    return build_cross_encoder(folder / "small", str(folder / "bert"), small=True)


def test_the_order_is_that_of_the_library_in_fp32(of_minilm):
    documents = [*texts(12, 30), "", "x", " ".join(texts(1, 30)) * 60]
    order, logits = rank_by_library(of_minilm, QUERY, documents)
    found = rank(Reranker(of_minilm, "cpu", precision="fp32"), QUERY, documents)
    assert found[0] == order
    assert found[1] == pytest.approx(logits, abs=1e-5)


@pytest.mark.parametrize("precision", ["bf16x2", "bf16"])
def test_lower_precision_moves_logits_little(of_minilm, precision):
    pairs = [(QUERY, text) for text in texts(12, 12)]
    reranker = Reranker(of_minilm, "cpu", precision=precision)
    exact = Reranker(of_minilm, "cpu", precision="fp32").logits(pairs)
    assert reranker.precision == precision
    assert np.abs(reranker.logits(pairs) - exact).max() < 0.05 * np.ptp(exact)


# MPNet takes token 1, here the unknown one, for padding.
@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {"MPNetModel"}))
def test_every_architecture_gives_the_librarys_logits(tmp_path, architecture):
    build_model(tmp_path, architecture=architecture)
    folder = build_cross_encoder(tmp_path / "cross", str(tmp_path / "bert"), small=True)
    documents = texts(30, 12)  # the longest do not fit: letters are tokens
    reranker = Reranker(folder, "cpu", precision="fp32")
    assert reranker._forward is not None
    order, logits = rank_by_library(folder, "abc de", documents)
    found = rank(reranker, "abc de", documents)
    assert found[1] == pytest.approx(logits, abs=1e-4)
    assert found[0] == order


@pytest.fixture
def albert(tmp_path, small) -> Reranker:
    """Of an architecture that goes through the library."""
    config = AlbertConfig(
        vocab_size=64, embedding_size=16, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, num_labels=1, pad_token_id=0,
    )  # fmt: skip
    AlbertForSequenceClassification(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(small).save_pretrained(tmp_path)
    return Reranker(str(tmp_path), "cpu", precision="bf16")


def test_another_architecture_goes_through_the_library(albert):
    assert (albert.precision, albert._forward) == ("fp32", None)
    documents = texts(20, 6)
    assert rank(albert, "abc", documents)[1] == pytest.approx(rank_by_library(albert.name, "abc", documents)[1], abs=1e-5)


def test_threads_do_not_share_the_librarys_tokenizer(albert, monkeypatch):
    """It sets padding where we set none: whoever tokenises meanwhile has the other's."""
    pairs = [("abc", text) for text in texts(20, 6)]
    alone, tokens = albert.logits(pairs), threading.Thread(target=albert._tokens, args=(pairs,))
    predict = albert._model.predict

    def slow(*arguments, **options):
        if tokens.ident is None:
            tokens.start()
            tokens.join(0.2)
        assert tokens.is_alive()
        return predict(*arguments, **options)

    monkeypatch.setattr(albert._model, "predict", slow)
    assert albert.logits(pairs).tobytes() == alone.tobytes()
    tokens.join()


def test_a_pairs_logit_does_not_depend_on_the_others(small):
    reranker = Reranker(small, "cpu", threads=2, precision="fp32")
    pairs = [("abc", text) for text in texts(200, 8)]
    together = reranker.logits(pairs)
    for some in ([7], [3, 150], list(range(50, 199))):
        assert reranker.logits([pairs[i] for i in some]).tobytes() == together[some].tobytes()
    assert reranker.logits([]).shape == (0,)


def test_a_forward_pass_that_computes_something_else_is_refused(small, monkeypatch):
    """The second text's segment is forgotten."""
    own = architectures.weights_in
    monkeypatch.setattr(architectures, "pair_weights", lambda encoder: own(encoder, "BertModel", 2, "cls", normalize=False))
    with pytest.raises(RerankerError, match="differ from the model's own"):
        Reranker(small, "cpu", precision="fp32")


def test_what_cannot_rank_is_refused(tmp_path, small, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(RerankerError, match=r"no-such-model.*cannot be used"):
        Reranker("no-such-model")
    build_model(tmp_path)
    with pytest.raises(RerankerError, match="is no cross-encoder: its architecture BertModel"):
        Reranker(str(tmp_path / "bert"), "cpu")
    two = build_cross_encoder(tmp_path / "two", str(tmp_path / "bert"), labels=2, small=True)
    with pytest.raises(RerankerError, match="gives 2 scores"):
        Reranker(two, "cpu")
    (tmp_path / "two" / "model.safetensors").rename(tmp_path / "two" / "pytorch_model.bin")
    with pytest.raises(RerankerError, match=r"no \.safetensors weights"):
        Reranker(two, "cpu")
