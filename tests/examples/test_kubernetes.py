"""The CronJob against what the API requires (batch/v1) and what this project needs of it."""

from pathlib import Path

import pytest
import yaml

from pipelines.cli import build_parser
from pipelines.config import load_config
from tests.examples.test_crontab import FIELDS, valid_field

FILE = Path(__file__).parents[2] / "examples" / "kubernetes-cronjob.yaml"


@pytest.fixture(scope="module")
def objects() -> dict[str, dict]:
    found = [value for value in yaml.safe_load_all(FILE.read_text()) if value is not None]
    for value in found:
        assert {"apiVersion", "kind", "metadata"} <= set(value)
        assert value["metadata"]["name"] == "corpusbeam"
    kinds = {value["kind"]: value for value in found}
    assert len(kinds) == len(found) == 3
    return kinds


@pytest.fixture(scope="module")
def pod(objects) -> dict:
    return objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def test_the_schedule_starts_one_run_at_a_time_and_ends_it(objects):
    job = objects["CronJob"]
    assert (job["apiVersion"], job["spec"]["concurrencyPolicy"]) == ("batch/v1", "Forbid")
    fields = job["spec"]["schedule"].split()
    assert len(fields) == 5
    assert all(valid_field(field, *limits) for field, limits in zip(fields, FIELDS, strict=True))
    inner = job["spec"]["jobTemplate"]["spec"]
    assert job["spec"]["startingDeadlineSeconds"] > 0
    assert 0 < inner["activeDeadlineSeconds"] < 24 * 3600
    assert inner["backoffLimit"] >= 1


def test_what_is_wrong_for_good_is_not_tried_again(objects, pod):
    # podFailurePolicy is only allowed beside restartPolicy Never.
    assert pod["restartPolicy"] == "Never"
    (rule,) = objects["CronJob"]["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"] == {"containerName": "corpusbeam", "operator": "In", "values": [2, 3]}


def test_nothing_runs_as_root_or_can_become_it(pod):
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_every_path_of_the_command_and_the_settings_is_mounted(objects, pod, tmp_path):
    (container,) = pod["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert set(mounts.values()) == set(volumes)
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == objects["PersistentVolumeClaim"]["metadata"]["name"]
    assert volumes["settings"]["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]
    assert container["command"] == ["corpusbeam"]
    options = build_parser().parse_args(container["args"])
    assert options.verb == "reindex"
    folder, name = options.config.rsplit("/", 1)
    assert mounts[folder] == "settings"
    (tmp_path / name).write_text(objects["ConfigMap"]["data"][name])
    config = load_config(str(tmp_path / name))
    for path in (config.root, *config.corpus.input, config.monitoring.prometheus_file):
        assert mounts["/" + path.split("/")[1]] == "data"
    assert all(env["value"].startswith(tuple(mounts)) for env in container["env"])
