"""The whole reindex of 2,000 real texts with the real model on every engine: what is published is the same, byte by byte."""

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from pipelines.config import load_config
from pipelines.reindex import reindex
from tests.runners.engines.engine import Engine, engine_or_skip
from tests.runners.engines.flink_cluster import flink_cluster
from tests.runners.engines.flink_embedded import flink_embedded
from tests.runners.engines.java import TOOLS as JAVA
from tests.runners.engines.job_service import job_service
from tests.runners.engines.prism import TOOLS as GO
from tests.runners.engines.prism import prism
from tests.runners.texts import write_texts
from tests.s3 import ENVIRONMENT
from transforms.generations import Generation, open_generation, verify_generation

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("minilm_spec")]

DOCUMENTS, PARTS = 2000, 4
SETTINGS = (
    # "auto" would measure, and two runs could measure differently.
    "embedding.precision=fp32",
    # Beyond some number of texts a matrix product in several threads may sum in another order.
    "embedding.threads=1",
    # Several tasks in every stage.
    f"corpus.rows_per_part={DOCUMENTS // PARTS}",
    f"neighbors.rows_per_tile={DOCUMENTS // PARTS}",
    f"index.rows_per_shard={DOCUMENTS // PARTS}",
    # An index that is trained, so that this is a job too.
    "index.type=IVF16,SQ8",
    "index.recall_queries=200",
    "index.recall_gate=0.9",
    "index.recall_target=0.9",
    "topics.n_epochs=50",
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Folder with the texts in PARTS files, and queries beside them."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "texts").mkdir()
    write_texts(folder / "texts", DOCUMENTS, PARTS)
    (folder / "queries.txt").write_text("solve a linear system\nread a file\nsample from a distribution\n")
    return folder


@pytest.fixture(scope="module")
def expected(corpus, tmp_path_factory) -> dict[str, str]:
    """What this process publishes, without any engine but Beam's own in it."""
    generation = publish(str(tmp_path_factory.mktemp("expected")), str(corpus))
    counts = generation.manifest.counts
    assert counts["documents"] == DOCUMENTS > counts["distinct_texts"], counts
    for count in ("pairs", "groups", "topics"):
        assert counts[count] > 0, f"the corpus is too simple: no {count}"
    return digests(generation)


def publish(root: str, corpus: str, beam_options: tuple[str, ...] = (), **runner: int) -> Generation:
    """Reindex the corpus into an empty root and open what is published."""
    overrides = {
        "root": root,
        "corpus.input": [f"{corpus}/texts"],
        "index.recall_queries_file": f"{corpus}/queries.txt",
        "runner.beam_options": beam_options,
        **{f"runner.{name}": value for name, value in runner.items()},
    }
    assert reindex(load_config(None, SETTINGS, overrides)).published
    return open_generation(root)


def digests(generation: Generation) -> dict[str, str]:
    """Checksums of all published files but those that tell the time of the run, after a look that the files have them."""
    assert verify_generation(generation.root, generation.id).problems == ()
    found = {file.path.removeprefix(f"generations/{generation.id}/"): file.sha256 for file in generation.manifest.files}
    return {path: digest for path, digest in found.items() if path not in ("metrics.json", "report.html")}


def check_equal(found: dict[str, str], expected: dict[str, str]) -> None:
    names = {path.split("/")[0] for path in expected}
    assert names >= {"documents", "vectors", "index", "neighbors", "duplicates", "topics"}, names
    assert [path for path in expected if found.get(path) != expected[path]] == []
    assert found == expected


def test_two_worker_processes(tmp_path, corpus, expected):
    check_equal(digests(publish(str(tmp_path), str(corpus), workers=2)), expected)


@pytest.fixture(
    params=[
        pytest.param((job_service, ()), id="job service"),
        pytest.param((prism, GO), id="Prism", marks=pytest.mark.tools(*GO)),
        pytest.param((flink_embedded, JAVA), id="embedded Flink", marks=pytest.mark.tools(*JAVA)),
    ]
)
def engine(request, tmp_path) -> Iterator[Engine]:
    make, tools = request.param
    with engine_or_skip(make(tmp_path / "engine"), tools) as engine:
        yield engine


def test_engines_whose_workers_see_this_disk(tmp_path, corpus, expected, engine):
    check_equal(digests(publish(str(tmp_path / "root"), str(corpus), engine.options)), expected)


@pytest.mark.tools(*JAVA)
def test_a_flink_cluster_reads_from_s3_and_publishes_there(tmp_path, corpus, expected, s3_server, s3_bucket):
    """Three JVMs and their workers, which share no disk with this process as far as they are told."""
    fsspec.filesystem("s3").put(str(corpus), f"{s3_bucket}/corpus", recursive=True)
    environment = {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3_server.url}
    with engine_or_skip(flink_cluster(tmp_path / "flink", environment=environment), JAVA) as cluster:
        published = publish(f"{s3_bucket}/root", f"{s3_bucket}/corpus", cluster.engine.options)
        check_equal(digests(published), expected)
        jobs = cluster.rest("jobs/overview")["jobs"]
        assert {job["state"] for job in jobs} == {"FINISHED"}
    assert not os.listdir(tmp_path / "flink" / "tmp") if (tmp_path / "flink" / "tmp").exists() else True
