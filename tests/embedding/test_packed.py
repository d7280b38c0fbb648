"""The forward pass without padding: the model's own result, and a function of each text alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from tests.embedding.compare import cosines
from tests.embedding.tiny import ARCHITECTURES, build_model
from transforms.embedding import is_packable
from transforms.embedding.architectures import UnsupportedModelError, weights_of
from transforms.embedding.packable import ARCHITECTURES as PACKABLE
from transforms.embedding.packed import PackedEncoder

WORDS = ["index", "a", "the", "vector", "recall", "of", "12", "documents", "paraphrase,", "naïve", "topic", "x1"]
TEXTS = [" ".join(WORDS[(i * 7 + j * j) % len(WORDS)] for j in range(1 + (i * 37) % 90)) for i in range(60)]
# Smallest cosine to the model's own forward pass in fp32.
PRECISIONS = {"fp32": 1 - 1e-6, "bf16x2": 0.9999, "bf16": 0.9999, "fp16": 0.9999, "int8": 0.95}


@pytest.fixture(scope="module")
def ids(library) -> list[list[int]]:
    return sorted(library.tokenizer(TEXTS)["input_ids"], key=len)


@pytest.fixture
def one_thread():
    """As the encoder calls it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def packed(model: SentenceTransformer, precision: str) -> PackedEncoder:
    return PackedEncoder(weights_of(model), model.device, precision)


def own_vectors(model: SentenceTransformer, ids: list[list[int]]) -> np.ndarray:
    features = model.tokenizer.pad({"input_ids": ids}, return_tensors="pt")
    with torch.inference_mode():
        return model({name: value.to(model.device) for name, value in features.items()})["sentence_embedding"].cpu().numpy()


@pytest.mark.parametrize(("precision", "least"), PRECISIONS.items())
def test_it_computes_what_the_model_computes(library, ids, precision, least):
    own, expected = packed(library, precision)(ids), own_vectors(library, ids)
    assert own.dtype == np.float32
    assert cosines(own, expected).min() >= least
    if precision == "fp32":
        np.testing.assert_allclose(own, expected, atol=2e-6)
    else:
        assert np.abs(own - expected).max() > 1e-5  # or nothing was rounded at all


def test_each_precision_is_nearer_to_the_model_than_the_next(library, ids):
    expected = own_vectors(library, ids)
    errors = [np.linalg.norm(packed(library, precision)(ids) - expected) for precision in PRECISIONS if precision != "fp16"]
    assert errors == sorted(errors)


@pytest.fixture
def of_all(library, ids, one_thread, precision) -> np.ndarray:
    """The vectors of all texts together."""
    return packed(library, precision)(ids)


# Few processors have instructions for fp16: on others it takes a minute.
@pytest.mark.parametrize("precision", ["fp32", "bf16x2", "bf16", "int8", pytest.param("fp16", marks=pytest.mark.long)])
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_vector_does_not_depend_on_the_texts_beside_it(library, ids, of_all, precision, data):
    rows = sorted(data.draw(st.sets(st.integers(0, len(TEXTS) - 1), min_size=1)))
    np.testing.assert_array_equal(packed(library, precision)([ids[row] for row in rows]), of_all[rows])


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_computes_what_its_model_computes(tmp_path, one_thread, architecture, pooling):
    folder = build_model(tmp_path, architecture=architecture, pooling=pooling)
    model = SentenceTransformer(folder, device="cpu", local_files_only=True)
    assert type(model.transformers_model).__name__ == architecture
    texts = ["abc", "hello world", "a", "hello wurld", "a longer text of several words"]
    ids = sorted(model.tokenizer(texts)["input_ids"], key=len)
    np.testing.assert_allclose(packed(model, "fp32")(ids), own_vectors(model, ids), atol=1e-5)
    assert is_packable(folder)


def test_every_packable_architecture_is_tested():
    assert set(PACKABLE) == set(ARCHITECTURES)


def test_other_models_are_refused_by_name(tmp_path):
    folder = build_model(tmp_path, dense=True)
    assert not is_packable(folder)
    model = SentenceTransformer(folder, device="cpu")
    with pytest.raises(UnsupportedModelError, match="Dense"):
        packed(model, "fp32")
    folder = build_model(tmp_path / "max", pooling="max")
    assert not is_packable(folder)
    model = SentenceTransformer(folder, device="cpu")
    with pytest.raises(UnsupportedModelError, match="max"):
        packed(model, "fp32")
    model[1].pooling_mode = "mean"
    model.transformers_model.config.hidden_act = "relu"
    with pytest.raises(UnsupportedModelError, match="relu"):
        packed(model, "fp32")


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("config.json", "hidden_act", "relu"),
        ("config.json", "is_decoder", True),
        ("config.json", "position_embedding_type", "relative_key"),
        ("1_Pooling/config.json", "include_prompt", False),
    ],
)
def test_what_the_forward_pass_refuses_is_not_called_packable(tmp_path, file, key, value):
    """Or precision would be chosen for a forward pass that is not to be had."""
    folder = build_model(tmp_path)
    path = Path(folder, file)
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    assert not is_packable(folder)


@pytest.mark.parametrize("folder", ["no such folder", "."])
def test_a_folder_that_is_no_model_is_not_packable(folder):
    assert not is_packable(folder)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_computes_what_the_model_computes(minilm_spec, device):
    if not getattr(torch, device).is_available() if device == "cuda" else not torch.backends.mps.is_available():
        pytest.skip(f"no {device} device on this machine")
    model = SentenceTransformer(minilm_spec.folder, device=device, local_files_only=True)
    ids = sorted(model.tokenizer(TEXTS)["input_ids"], key=len)
    expected = own_vectors(model, ids)
    for precision in ("fp32", "bf16", "fp16"):
        assert cosines(packed(model, precision)(ids), expected).min() >= 0.9999
