"""deploy/kubernetes: manifests against Kubernetes' own schemas, each other, the image, the configuration and the command."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli import build_parser, split_beam_options
from pipelines.config import load_config
from pipelines.runner import Runner
from tests.deploy.test_image import _pinned

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="it has Kubernetes' schemas: install corpusbeam[test]")

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "deploy" / "kubernetes"


@cache
def kustomization() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "kustomization.yaml").read_text())


@cache
def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """All resources by kind and name."""
    documents = [one for name in kustomization()["resources"] for one in yaml.safe_load_all((FOLDER / name).read_text())]
    return {(one["kind"], one["metadata"]["name"]): one for one in documents}


def pods() -> dict[str, dict[str, Any]]:
    """The pod templates by the name of what makes the pods."""
    found = {}
    for (kind, name), manifest in manifests().items():
        if kind == "Deployment":
            found[name] = manifest["spec"]["template"]
        elif kind == "CronJob":
            found[name] = manifest["spec"]["jobTemplate"]["spec"]["template"]
    return found


def container(pod: str, name: str) -> dict[str, Any]:
    spec = pods()[pod]["spec"]
    return next(one for one in [*spec.get("initContainers", []), *spec["containers"]] if one["name"] == name)


def flink() -> dict[str, str]:
    lines = manifests()["ConfigMap", "flink-conf"]["data"]["FLINK_PROPERTIES"].splitlines()
    return dict(line.split(": ", 1) for line in lines)


def literals() -> dict[str, str]:
    (generated,) = kustomization()["configMapGenerator"]
    return dict(pair.split("=", 1) for pair in generated["literals"])


def submitted() -> Any:
    """The configuration that the CronJob's command gives, through the command's own parser."""
    one = container("corpusbeam-reindex", "reindex")
    assert one["command"] == ["corpusbeam"]
    arguments = [re.sub(r"\$\((\w+)\)", lambda found: literals()[found[1]], argument) for argument in one["args"]]
    ours, beam_options = split_beam_options(arguments)
    options = build_parser().parse_args(ours)
    assert options.verb == "reindex"
    path = REPOSITORY / Path(options.config).relative_to("/opt/corpusbeam")
    overrides = {"root": options.root, "corpus.input": options.input}
    return load_config(str(path), options.set, overrides, beam_options=beam_options)


@pytest.mark.parametrize("version", ["1.29", "1.35"])
def test_every_manifest_is_what_kubernetes_takes(version):
    for manifest in manifests().values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_every_file_is_listed():
    assert {path.name for path in FOLDER.glob("*.yaml")} == {*kustomization()["resources"], "kustomization.yaml"}


def test_the_command_is_one_and_its_configuration_whole():
    config = submitted()
    assert config.root == literals()["ROOT"]
    assert config.corpus.input == [literals()["INPUT"]]
    # Refuses options that Beam does not know.
    runner = Runner(config.runner)
    assert runner.workers is None
    assert not runner.engine.is_here
    host, port = runner.engine.address.split(":")
    service = manifests()["Service", host]
    assert int(port) in [one["port"] for one in service["spec"]["ports"]]


def test_services_select_pods_that_listen_on_their_ports():
    for (kind, _), manifest in manifests().items():
        if kind == "Service":
            selector = manifest["spec"]["selector"].items()
            (pod,) = [pod for pod in pods().values() if selector <= pod["metadata"]["labels"].items()]
            ports = {(one["name"], one["containerPort"]) for found in pod["spec"]["containers"] for one in found["ports"]}
            assert {(one["name"], one["port"]) for one in manifest["spec"]["ports"]} <= ports


def test_deployments_select_their_own_pods_and_all_are_inside_the_network_policy():
    policy = manifests()["NetworkPolicy", "corpusbeam"]["spec"]
    inside = policy["podSelector"]["matchLabels"].items()
    assert policy["ingress"] == [{"from": [{"podSelector": policy["podSelector"]}]}]
    for name, pod in pods().items():
        assert inside <= pod["metadata"]["labels"].items(), name
        if ("Deployment", name) in manifests():
            assert (
                manifests()["Deployment", name]["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
            )


def test_what_is_named_elsewhere_exists():
    text = "".join(yaml.safe_dump(manifest) for manifest in manifests().values())
    config_maps = {name for kind, name in manifests() if kind == "ConfigMap"} | {
        one["name"] for one in kustomization()["configMapGenerator"]
    }
    assert set(re.findall(r"configMapRef:\n\s+name: (\S+)", text)) <= config_maps
    assert set(re.findall(r"serviceAccountName: (\S+)", text)) == {"corpusbeam"}
    assert ("ServiceAccount", "corpusbeam") in manifests()
    assert ("Namespace", kustomization()["namespace"]) in manifests()
    addresses = set(re.findall(r"(?:value: |--flink-master=)(flink-[a-z]+)(?::(\d+))?", text))
    assert addresses == {("flink-jobmanager", ""), ("flink-jobmanager", flink()["rest.port"])}


def test_images_agree_in_their_versions():
    images = {
        one["image"]
        for pod in pods().values()
        for part in ("initContainers", "containers")
        for one in pod["spec"].get(part, [])
    }
    (of_flink,) = {image for image in images if image.startswith("flink:")}
    (server,) = {image for image in images if image.startswith("apache/")}
    minor = re.match(r"flink:(\d+\.\d+)", of_flink)[1]
    assert server == f"apache/beam_flink{minor}_job_server:{_pinned()['apache-beam']}"
    # Ours is filled in at one place; submitter and workers are the same.
    assert images - {of_flink, server} == {"corpusbeam"}
    assert [one["name"] for one in kustomization()["images"]] == ["corpusbeam"]


def test_beam_has_a_job_server_for_this_flink():
    from apache_beam.options.pipeline_options import FlinkRunnerOptions

    image = container("flink-taskmanager", "taskmanager")["image"]
    assert re.match(r"flink:(\d+\.\d+)", image)[1] in FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS


def test_each_task_manager_has_its_own_worker_pool_at_the_configured_address():
    pool = container("flink-taskmanager", "worker-pool")
    assert pool["args"] == ["--worker_pool"]
    # Before Flink, and for as long: a sidecar.
    assert pool in pods()["flink-taskmanager"]["spec"]["initContainers"]
    assert pool["restartPolicy"] == "Always"
    options = Runner(submitted().runner)._beam_arguments().get_all_options()
    assert options["environment_type"] == "EXTERNAL"
    assert options["environment_config"] == f"localhost:{pool['ports'][0]['containerPort']}"
    assert pool["startupProbe"]["tcpSocket"]["port"] == pool["ports"][0]["name"]


def test_tasks_fit_the_slots_and_threads_the_processors():
    config = submitted()
    options = Runner(config.runner)._beam_arguments().get_all_options()
    replicas = manifests()["Deployment", "flink-taskmanager"]["spec"]["replicas"]
    slots = int(flink()["taskmanager.numberOfTaskSlots"])
    variables = {one["name"]: one.get("value") for one in container("flink-taskmanager", "taskmanager")["env"]}
    assert variables["TASK_MANAGER_NUMBER_OF_TASK_SLOTS"] == str(slots)
    assert options["parallelism"] == replicas * slots == int(flink()["parallelism.default"])
    processors = container("flink-taskmanager", "worker-pool")["resources"]["limits"]["cpu"]
    assert config.runner.worker_threads == int(processors)


def test_limits_are_what_flink_plans_with():
    def megabytes(size: str) -> int:
        number, unit = re.fullmatch(r"(\d+)(m|Mi|Gi)", size).groups()
        return int(number) * (1024 if unit == "Gi" else 1)

    for role in ("jobmanager", "taskmanager"):
        limit = container(f"flink-{role}", role)["resources"]["limits"]["memory"]
        assert megabytes(limit) == megabytes(flink()[f"{role}.memory.process.size"])
    # Model, torch and Python took 1.6 GB for 8,000 documents; the rest is for what grows.
    assert megabytes(container("flink-taskmanager", "worker-pool")["resources"]["limits"]["memory"]) >= 4096


def test_flink_recovers_from_a_dead_task_manager():
    """The settings with which it did, where it was tried; attempts must outlast the time until it is noticed."""
    assert flink()["restart-strategy.type"] == "fixed-delay"
    attempts, delay = int(flink()["restart-strategy.fixed-delay.attempts"]), flink()["restart-strategy.fixed-delay.delay"]
    assert attempts * int(delay.removesuffix("s")) * 1000 > 2 * int(flink()["heartbeat.timeout"])
    assert int(flink()["heartbeat.interval"]) < int(flink()["heartbeat.timeout"])
    assert flink()["taskmanager.memory.network.min"] == flink()["taskmanager.memory.network.max"] == "256m"


def test_the_start_script_of_the_image_can_read_the_properties():
    """It splits lines at the first colon, deletes blanks, and knows neither comments nor quotes."""
    for key, value in flink().items():
        assert re.fullmatch(r"[a-z][A-Za-z.-]+", key), key
        assert not re.search(r"[\s#'\"]", value), key
    keys = sorted(flink())
    assert not [(one, other) for one in keys for other in keys if other.startswith(f"{one}.")]
    for role in ("jobmanager", "taskmanager"):
        assert {"configMapRef": {"name": "flink-conf"}} in container(f"flink-{role}", role)["envFrom"]


def test_clients_are_told_the_pods_address_for_what_they_upload():
    server = container("corpusbeam-jobserver", "jobserver")
    assert "--job-host=$(POD_IP)" in server["args"]
    assert server["env"] == [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    ports = {one["name"]: one["containerPort"] for one in server["ports"]}
    assert {f"--{name}-port={port}" for name, port in ports.items()} <= set(server["args"])


def test_a_run_is_tried_again_only_where_that_can_help():
    from pipelines.errors import EXIT_IN_USE, EXIT_REFUSED, EXIT_USAGE

    job = manifests()["CronJob", "corpusbeam-reindex"]["spec"]
    (rule,) = job["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["values"] == [EXIT_USAGE, EXIT_REFUSED, EXIT_IN_USE]
    assert job["concurrencyPolicy"] == "Forbid"


def test_credentials_come_from_a_secret_for_workers_and_command_alike():
    secret = {"secretRef": {"name": "corpusbeam-storage", "optional": True}}
    for pod, name in (("flink-taskmanager", "worker-pool"), ("corpusbeam-reindex", "reindex")):
        assert secret in container(pod, name)["envFrom"]
    assert not [name for kind, name in manifests() if kind == "Secret"]


def test_our_containers_run_as_the_user_of_the_image():
    for pod, name in (("flink-taskmanager", "worker-pool"), ("corpusbeam-reindex", "reindex")):
        context = container(pod, name)["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 1000)
