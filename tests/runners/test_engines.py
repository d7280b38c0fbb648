"""The whole reindex of 2,000 real texts with the real model on every engine: what is published is the same, byte by byte."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest

from pipelines.config import load_config
from pipelines.reindex import reindex
from tests.runners.engines.engine import engine_or_skip
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
    "search.lexical=true",
    "index.recall_gate=0.9",
    "index.recall_target=0.9",
    "topics.n_epochs=50",
)


@dataclass(frozen=True)
class Night:
    """A corpus (a folder of texts, and queries beside it), the root as it is before the run, and what must be published."""

    corpus: Path
    before: Path | None
    expected: dict[str, str]


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Night:
    """The first run of a root, in this process, without any engine but Beam's own in it."""
    corpus = tmp_path_factory.mktemp("corpus")
    (corpus / "texts").mkdir()
    write_texts(corpus / "texts", DOCUMENTS, PARTS)
    (corpus / "queries.txt").write_text("solve a linear system\nread a file\nsample from a distribution\n")
    generation = publish(str(tmp_path_factory.mktemp("first") / "root"), str(corpus))
    counts = generation.manifest.counts
    assert counts["documents"] == DOCUMENTS > counts["distinct_texts"], counts
    for count in ("pairs", "groups", "topics"):
        assert counts[count] > 0, f"the corpus is too simple: no {count}"
    return Night(corpus, None, digests(generation))


@pytest.fixture(scope="module")
def second(first, tmp_path_factory) -> Night:
    """The run after it, in which a hundredth of the texts is new."""
    folder = tmp_path_factory.mktemp("second")
    before = publish(str(folder / "before"), str(first.corpus))
    shutil.copytree(first.corpus, folder / "corpus")
    for path in (folder / "corpus" / "texts").iterdir():
        lines = path.read_text().splitlines(keepends=True)
        lines[::100] = [line.replace('"text": "', '"text": "Changed: ') for line in lines[::100]]
        path.write_text("".join(lines))
    shutil.copytree(before.root, folder / "root")
    generation = publish(str(folder / "root"), str(folder / "corpus"))
    assert generation.manifest.changes["changed"] == DOCUMENTS // 100, generation.manifest.changes
    return Night(folder / "corpus", folder / "before", digests(generation))


@pytest.fixture(params=["first", pytest.param("second", marks=pytest.mark.long)])
def night(request) -> Night:
    return request.getfixturevalue(request.param)


def publish(root: str, corpus: str, beam_options: tuple[str, ...] = (), **runner: int) -> Generation:
    """Reindex the corpus and open what is published."""
    overrides = {
        "root": root,
        "corpus.input": [f"{corpus}/texts"],
        "index.recall_queries_file": f"{corpus}/queries.txt",
        "runner.beam_options": beam_options,
        # How fast is not what is tested here.
        "runner.answer_seconds": 600,
        "runner.probe_seconds": 600,
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


def local_root(folder: Path, night: Night) -> str:
    """A root of its own as it is before the night."""
    if night.before is not None:
        shutil.copytree(night.before, folder / "root")
    return str(folder / "root")


def test_two_worker_processes(tmp_path, night):
    check_equal(digests(publish(local_root(tmp_path, night), str(night.corpus), workers=2)), night.expected)


@pytest.mark.parametrize(
    ("make", "tools"),
    [
        pytest.param(job_service, (), id="job service"),
        pytest.param(prism, GO, id="Prism", marks=pytest.mark.tools(*GO)),
        pytest.param(flink_embedded, JAVA, id="embedded Flink", marks=pytest.mark.tools(*JAVA)),
    ],
)
def test_engines_that_let_this_process_work(tmp_path, night, make, tools):
    with engine_or_skip(make(tmp_path / "engine"), tools) as engine:
        found = publish(local_root(tmp_path, night), str(night.corpus), engine.options)
        check_equal(digests(found), night.expected)


@pytest.mark.tools(*JAVA)
def test_a_flink_cluster_reads_from_s3_and_publishes_there(tmp_path, night, s3_server, s3_bucket):
    """Three JVMs and their workers, which share no disk with this process as far as they are told."""
    fs = fsspec.filesystem("s3")
    fs.put(str(night.corpus), f"{s3_bucket}/corpus", recursive=True)
    if night.before is not None:
        fs.put(str(night.before), f"{s3_bucket}/root", recursive=True)
    environment = {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3_server.url}
    with engine_or_skip(flink_cluster(tmp_path / "flink", environment=environment), JAVA) as cluster:
        published = publish(f"{s3_bucket}/root", f"{s3_bucket}/corpus", cluster.engine.options)
        check_equal(digests(published), night.expected)
        assert {job["state"] for job in cluster.rest("jobs/overview")["jobs"]} == {"FINISHED"}
        # Each TaskManager has a worker process of its own, and a part of the texts.
        workers = json.loads(fs.cat(published.path("metrics.json")))["stages"]["embed"]["workers"]
        embedded = [worker["counts"]["texts_embedded"] for worker in workers]
        assert len([texts for texts in embedded if texts]) >= 2, workers
