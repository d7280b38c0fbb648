"""The canary: vectors that are not the model's are never stored."""

import contextlib

import numpy as np
import pytest

from tests.embedding.tiny import build_model
from transforms.embedding import CanaryError, EmbeddingOptions, encoder_spec
from transforms.embedding.canary import CANARY_TEXTS
from transforms.embedding.encoder import Encoder
from transforms.embedding.precision import measure_precision


def test_there_are_32_texts_from_one_word_to_beyond_the_limit(minilm):
    lengths = [len(ids) for ids in minilm._token_ids(CANARY_TEXTS)]
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


@pytest.mark.parametrize(("seconds", "chosen"), [((1.5, 1.0), "bf16"), ((1.4, 1.0), "fp32"), ((1.0, 50.0), "fp32")])
def test_precision_follows_the_measurement(monkeypatch, seconds, chosen):
    times = iter([seconds[0]] * 5 + [seconds[1]] * 5)
    monkeypatch.setattr("transforms.embedding.precision._seconds", lambda *_: next(times))
    assert measure_precision("cpu") == chosen


def test_the_measurement_itself_gives_an_answer():
    assert measure_precision("cpu") in ("fp32", "bf16")
