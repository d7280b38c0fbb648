"""The forward pass without padding: the model's own result, and a function of each text alone."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from tests.embedding.tiny import build_model
from transforms.embedding.packed import PackedBert, UnsupportedModelError

WORDS = ["index", "a", "the", "vector", "recall", "of", "12", "documents", "paraphrase,", "naïve", "topic", "x1"]
TEXTS = [" ".join(WORDS[(i * 7 + j * j) % len(WORDS)] for j in range(1 + (i * 37) % 90)) for i in range(60)]


@pytest.fixture(scope="module")
def library(minilm_spec) -> SentenceTransformer:
    return SentenceTransformer(minilm_spec.folder, device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def ids(library) -> list[list[int]]:
    return sorted(library.tokenizer(TEXTS)["input_ids"], key=len)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-6), ("bf16", 1e-4)])
def test_it_computes_what_the_model_computes(library, ids, precision, tolerance):
    own = PackedBert(library, precision)(ids)
    features = library.tokenizer.pad({"input_ids": ids}, return_tensors="pt")
    with torch.inference_mode():
        expected = library(dict(features))["sentence_embedding"].numpy()
    cosines = (own * expected).sum(axis=1) / np.linalg.norm(own, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() >= 1 - tolerance
    if precision == "fp32":
        np.testing.assert_allclose(own, expected, atol=2e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(chosen=st.sets(st.integers(0, len(TEXTS) - 1), min_size=1))
def test_a_vector_does_not_depend_on_the_texts_beside_it(library, ids, chosen, precision):
    forward = PackedBert(library, precision)
    together = forward(ids)
    rows = sorted(chosen)
    np.testing.assert_array_equal(forward([ids[row] for row in rows]), together[rows])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_vector_does_not_depend_on_the_number_of_threads(library, ids, precision):
    forward, threads = PackedBert(library, precision), torch.get_num_threads()
    vectors = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            vectors.append(forward(ids))
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(*vectors)


def test_other_architectures_are_refused_by_name(tmp_path):
    model = SentenceTransformer(build_model(tmp_path, dense=True), device="cpu")
    with pytest.raises(UnsupportedModelError, match="Dense"):
        PackedBert(model, "fp32")
    model = SentenceTransformer(build_model(tmp_path / "cls"), device="cpu")
    model[1].pooling_mode = "cls"
    with pytest.raises(UnsupportedModelError, match="cls"):
        PackedBert(model, "fp32")
    model[1].pooling_mode = "mean"
    model.transformers_model.config.hidden_act = "relu"
    with pytest.raises(UnsupportedModelError, match="relu"):
        PackedBert(model, "fp32")
