"""Dataflow, offline: every job of a reindex as the service would get it, by configs/dataflow.yaml and what a user fills in."""

import base64
import bz2
import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as runner_api
from apache_beam.transforms.resources import parse_resource_hints

from pipelines.resources import MODEL, ONE_WORKER
from tests.deploy.jobs import ACCELERATOR, IMAGE
from tests.runners.engines.engine import in_ci

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
SECRET = "this-is-a-secret-of-the-environment"
# Beside the environment, where run_local.sh makes it: with it installed every import of Beam takes half as long again.
BESIDE = Path(sys.prefix, "dataflow", "bin", "python")


@dataclass(frozen=True)
class Job:
    """One job: its portable pipeline, and the options that differ from Beam's defaults."""

    name: str
    pipeline: runner_api.Pipeline
    options: dict[str, Any]

    @property
    def steps(self) -> dict[str, runner_api.PTransform]:
        """The steps of the job's own transform, by name; not those that hand out tasks and collect records."""
        transforms = self.pipeline.components.transforms.values()
        par_do = {step.unique_name: step for step in transforms if step.spec.urn == common_urns.primitives.PAR_DO.urn}
        return {name: step for name, step in par_do.items() if name.startswith(self.name.partition("-")[0] + "/")}

    def hints(self, step: runner_api.PTransform) -> dict[str, bytes]:
        """What the step's environment asks for."""
        return dict(self.pipeline.components.environments[step.environment_id].resource_hints)


def _interpreter() -> str:
    if importlib.util.find_spec("apitools") is not None:
        return sys.executable
    if not BESIDE.exists():
        missing = "needs corpusbeam[gcp], which ./run_local.sh test installs beside its environment"
        pytest.fail(missing) if in_ci() else pytest.skip(missing)
    return str(BESIDE)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory) -> list[Job]:
    folder = tmp_path_factory.mktemp("jobs")
    secrets = dict.fromkeys(("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "HF_TOKEN"), SECRET)
    environment = {**os.environ, **secrets, "PYTHONPATH": str(REPOSITORY)}
    command = [_interpreter(), "-m", "tests.deploy.jobs", str(folder)]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return [
        Job(
            path.stem.partition("-")[2],
            runner_api.Pipeline.FromString(path.read_bytes()),
            json.loads(path.with_suffix(".json").read_text()),
        )
        for path in sorted(folder.glob("*.pb"))
    ]


def test_every_kind_of_job_is_there(jobs):
    from_nothing = {
        "MeasurePrecision",
        "ReadCorpus",
        "EmbedPassages",
        "EmbedQueries",
        "TrainIndex",
        "NeighborGraph",
        "WriteReport",
    }
    later = {"CompareDocuments", "FindChanges", "UpdatedGraph"}
    assert {job.name for job in jobs} >= from_nothing | later
    assert any(job.name.startswith("ApproximateStep-") for job in jobs)
    steps = {name for job in jobs for name in job.steps}
    assert steps >= {*ONE_WORKER, *MODEL}, "pipelines/resources.py names a step that is no more"


def test_workers_are_the_image_and_nothing_is_staged(jobs):
    for job in jobs:
        for environment in job.pipeline.components.environments.values():
            assert environment.urn == common_urns.environments.DOCKER.urn
            assert runner_api.DockerPayload.FromString(environment.payload).container_image == IMAGE
            assert not environment.dependencies, job.name
        assert job.options["sdk_container_image"] == IMAGE
        # Beam's default on this runner is to pickle the main module.
        assert job.options["save_main_session"] is False


def test_one_process_with_one_thread_on_each_machine(jobs):
    for job in jobs:
        assert job.options["number_of_worker_harness_threads"] == 1
        assert "no_use_multiple_sdk_containers" in job.options["experiments"]


def test_options_of_the_service_are_passed_on(jobs):
    for job in jobs:
        assert "enable_prime" in job.options["dataflow_service_options"]
        assert (job.options["region"], job.options["project"]) == ("europe-west4", "example-project")


def test_steps_on_one_worker_ask_for_memory_and_the_model_for_its_accelerator(jobs):
    memory, accelerator = parse_resource_hints({"min_ram": "32GiB"}), parse_resource_hints({"accelerator": ACCELERATOR})
    for job in jobs:
        for name, step in job.steps.items():
            expected = memory if name in ONE_WORKER else accelerator if name in MODEL else {}
            assert job.hints(step) == expected, name


def test_jobs_hold_no_secrets_and_nothing_of_the_machine_that_submits(jobs):
    here = {str(Path.home()), str(REPOSITORY), sys.prefix, tempfile.gettempdir()}
    for job in jobs:
        texts = list(_unpacked(job.pipeline.SerializeToString()))
        # The job's own pickles were opened: they name its files.
        assert any(b"memory://" in text for text in texts[1:]), job.name
        for text in texts:
            assert SECRET.encode() not in text
            for path in here:
                for found in re.findall(re.escape(path.encode()) + rb"/[ -~]*", text):
                    # Beam's own functions say where they were read from.
                    assert re.search(rb"/apache_beam/[a-z_/]+\.py", found), (job.name, found)
        assert SECRET not in json.dumps(job.options)


def _unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes, and what Beam's pickler has packed in them: compressed pickles in base64."""
    yield data
    for packed in re.findall(rb"[A-Za-z0-9+/]{40,}={0,2}", data):
        # A length byte before it may look like base64.
        for start in range(4):
            for decompress in (bz2.decompress, zlib.decompress):
                with contextlib.suppress(ValueError, OSError, zlib.error):
                    yield from _unpacked(decompress(base64.b64decode(packed[start:][: (len(packed) - start) // 4 * 4])))
