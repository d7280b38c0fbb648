"""The canary: vectors that are not the model's are never stored."""

import contextlib

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from tests.embedding.tiny import build_model
from transforms.embedding import CanaryError, EmbeddingOptions, ModelError, encoder_spec
from transforms.embedding.canary import CANARY_TEXTS
from transforms.embedding.encoder import Encoder
from transforms.embedding.precision import measure_precision, product_seconds


def test_there_are_32_texts_from_one_word_to_beyond_the_limit(minilm):
    lengths = [len(ids) for ids in minilm._tokenize(CANARY_TEXTS)]
    assert len(set(CANARY_TEXTS)) == 32
    assert min(lengths) <= 4
    assert max(lengths) > minilm.max_tokens


def test_a_forward_pass_that_computes_something_else_is_stopped(minilm_spec):
    own = Encoder(minilm_spec, "cpu")
    real = own._packed
    own._packed = lambda token_ids: real(token_ids) + np.float32(0.01)
    with pytest.raises(CanaryError, match=r"smallest cosine 0\.\d+"):
        own.encode_documents(["a text"], 4096)
    own._packed = real
    assert own.encode_documents(["a text"], 4096).vectors.shape == (1, 384)


def test_it_can_be_run_before_there_are_documents_and_is_not_run_again(minilm_spec):
    threads = torch.get_num_threads()
    own = Encoder(minilm_spec, "cpu")
    real = own._packed
    own._packed = lambda token_ids: real(token_ids) + np.float32(0.01)
    with pytest.raises(CanaryError):
        own.check()
    own._packed = real
    own.check()
    assert own.fidelity.texts == 32
    own._packed = lambda token_ids: real(token_ids) + np.float32(0.01)
    assert own.encode_documents(["a text"]).vectors.shape == (1, 384)
    assert torch.get_num_threads() == threads


def test_a_wrong_length_is_stopped_where_lengths_count(tmp_path):
    folder = build_model(tmp_path, similarity="dot")
    for metric, stopped in (("dot", True), ("cosine", False)):
        own = Encoder(encoder_spec(EmbeddingOptions(model=folder, device="cpu", metric=metric)), "cpu")
        real = own._packed
        own._packed = lambda token_ids, real=real: real(token_ids) * np.float32(1.02)
        with pytest.raises(CanaryError) if stopped else contextlib.nullcontext():
            own.encode_documents(["a text"], 4096)
        own._packed = real
        assert own.encode_documents(["a text"], 4096).vectors.shape == (1, 16)


def test_bf16_passes_and_auto_means_what_was_measured(minilm_spec):
    spec = encoder_spec(EmbeddingOptions(), "bf16")
    assert spec.precision == "bf16"
    assert spec.fingerprint != minilm_spec.fingerprint
    assert Encoder(spec, "cpu").encode_documents(["a text"], 4096).vectors.shape == (1, 384)
    assert encoder_spec(EmbeddingOptions(precision="fp32"), "bf16") == minilm_spec


def test_the_fidelity_is_that_of_the_definition(minilm_spec):
    own = Encoder(encoder_spec(EmbeddingOptions(), "bf16"), "cpu")
    assert own.fidelity is None
    own.encode_documents(["a text"])
    vectors = own._encode(CANARY_TEXTS, None, "document", None, None).vectors
    exact = own._model.encode(CANARY_TEXTS, normalize_embeddings=True, batch_size=1)
    cosines = (vectors.astype(np.float64) * exact).sum(1)
    assert own.fidelity.texts == 32
    assert own.fidelity.min_cosine == pytest.approx(cosines.min(), abs=1e-6)
    assert own.fidelity.mean_cosine == pytest.approx(cosines.mean(), abs=1e-6)
    assert 0.9999 <= own.fidelity.min_cosine < own.fidelity.mean_cosine < 1


def test_int8_is_measured_on_the_corpus_itself(minilm_spec):
    spec = encoder_spec(EmbeddingOptions(precision="int8"))
    assert len({spec.fingerprint, minilm_spec.fingerprint, encoder_spec(EmbeddingOptions(precision="bf16")).fingerprint}) == 3
    own = Encoder(spec, "cpu")
    texts = [f"{word} {other} number {i}" for i, word in enumerate(["red", "green", "blue"]) for other in ["tea", "ink", "sky"]]
    encoded = own.encode_documents(texts)
    exact = own._model.encode(texts, normalize_embeddings=True)
    cosines = (encoded.vectors.astype(np.float64) * exact).sum(1)
    assert own.fidelity.texts == 9
    assert own.fidelity.min_cosine == pytest.approx(cosines.min(), abs=1e-6)
    assert 0.9 < own.fidelity.min_cosine < 0.9999  # or int8 was not used at all


def test_a_half_precision_checkpoint_is_compared_with_its_exact_values(tmp_path):
    """Loaded as it is, it would be compared with itself, and half precision would pass for fp32."""
    folder = build_model(tmp_path)
    half = SentenceTransformer(folder, device="cpu").half()
    half.save_pretrained(str(tmp_path / "half"))
    own = Encoder(encoder_spec(EmbeddingOptions(model=str(tmp_path / "half"), device="cpu", precision="fp32")), "cpu")
    texts = ["abc", "hello world", "a longer text"]
    exact = half.float().encode(texts, normalize_embeddings=True)
    assert own._packed is not None
    np.testing.assert_allclose(own.encode_documents(texts).vectors, exact, atol=1e-6)


def test_int8_stays_on_the_cpu(tmp_path):
    spec = encoder_spec(EmbeddingOptions(model=build_model(tmp_path), precision="int8"))
    with pytest.raises(ModelError, match=r"int8 is for CPUs, not for device 'cuda'.*device=cpu"):
        Encoder(spec, "cuda")
    assert Encoder(spec)._model.device.type == "cpu"


@pytest.mark.parametrize("precision", ["bf16x2", "int8"])
def test_a_precision_that_only_packed_models_have_is_refused_for_others(tmp_path, precision):
    folder = build_model(tmp_path, dense=True)
    with pytest.raises(ModelError, match=f"precision={precision} is not possible.*Dense.*set it to fp32 or bf16"):
        Encoder(encoder_spec(EmbeddingOptions(model=folder, device="cpu", precision=precision)), "cpu")


# Seconds of a product in fp32, bf16x2 and bf16, and what is chosen for a model that can be packed and one that cannot.
MEASURED = [
    ((2.0, 1.0, 0.6), "bf16x2", "bf16"),
    ((1.9, 1.0, 0.6), "bf16", "bf16"),
    ((1.5, 1.6, 1.0), "bf16", "bf16"),
    ((1.4, 1.6, 1.0), "fp32", "fp32"),
    ((1.0, 99.0, 50.0), "fp32", "fp32"),
]


@pytest.mark.parametrize(("seconds", "packed", "other"), MEASURED)
def test_precision_follows_the_measurement(monkeypatch, seconds, packed, other):
    measured = dict(zip(("fp32", "bf16x2", "bf16"), seconds, strict=True))
    monkeypatch.setattr("transforms.embedding.precision.product_seconds", lambda names, _: {n: measured[n] for n in names})
    assert measure_precision("cpu") == packed
    assert measure_precision("cpu", packable=False) == other


def test_the_measurement_itself_gives_an_answer():
    threads = torch.get_num_threads()
    assert measure_precision("cpu") in ("fp32", "bf16", "bf16x2")
    assert torch.get_num_threads() == threads
    seconds = product_seconds(["fp32", "bf16x2", "bf16"], "cpu")
    assert all(value > 0 for value in seconds.values())
    # Twice the products cannot be free, whatever the hardware.
    assert seconds["bf16x2"] > seconds["bf16"]
