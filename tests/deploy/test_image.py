"""deploy/Dockerfile: no engine builds it here, so what it says is compared with setup.py, constraints.txt and the command."""

import ast
import fnmatch
import re
import shlex
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pipelines.config import load_config
from tests.pipelines.test_config import FILLED_IN

dockerfile_parse = pytest.importorskip("dockerfile_parse", reason="the Dockerfile is read with it: install corpusbeam[test]")

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKERFILE = REPOSITORY / "deploy" / "Dockerfile"


@pytest.fixture(scope="module")
def dockerfile():
    return dockerfile_parse.DockerfileParser(str(DOCKERFILE))


@pytest.fixture(scope="module")
def steps(dockerfile) -> list[tuple[str, str]]:
    """The instructions in order: name and value."""
    return [(step["instruction"], step["value"]) for step in dockerfile.structure if step["instruction"] != "COMMENT"]


def _setup() -> dict[str, object]:
    """The keywords of setup.py, read and not run."""
    tree = ast.parse((REPOSITORY / "setup.py").read_text())
    names = {node.targets[0].id: ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)}
    call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setup")
    return {
        word.arg: names[word.value.id] if isinstance(word.value, ast.Name) else ast.literal_eval(word.value)
        for word in call.keywords
    }


def _pinned() -> dict[str, str]:
    lines = [line.partition("#")[0].strip() for line in (REPOSITORY / "constraints.txt").read_text().splitlines()]
    return dict(line.split("==") for line in lines if line)


def _commands(steps) -> list[list[str]]:
    return [shlex.split(command) for name, value in steps if name == "RUN" for command in value.split("&&")]


def test_the_base_is_beams_image_of_the_tested_beam_and_python(steps):
    base = next(value for name, value in steps if name == "FROM")
    found = re.fullmatch(r"apache/beam_python(?P<python>[\d.]+)_sdk:(?P<beam>[\d.]+)", base)
    assert found, base
    assert found["beam"] == _pinned()["apache-beam"]
    tested = re.search(r"tested together on Python ([\d.]+)", (REPOSITORY / "constraints.txt").read_text())
    assert found["python"] == tested[1]
    (lowest,) = re.findall(r">=([\d.]+)", _setup()["python_requires"])
    assert tuple(map(int, found["python"].split("."))) >= tuple(map(int, lowest.split(".")))


def test_the_project_is_installed_with_the_tested_versions_and_what_workers_need(steps):
    (install,) = [command for command in _commands(steps) if command[:4] == ["python", "-m", "pip", "install"]]
    assert install[install.index("--constraint") + 1] == "constraints.txt"
    extras = Requirement(f"corpusbeam{install[-1].removeprefix('.')}").extras
    # gcp: without it pip leaves half of the base image's packages for Google Cloud behind, which then do not fit the others.
    assert extras == {"minilm", "s3", "gcs", "gcp"}
    assert extras <= set(_setup()["extras_require"])
    assert ["python", "-m", "pip", "check"] in _commands(steps)


def test_everything_that_is_copied_is_there_and_is_sent_to_the_builder(steps):
    ignored = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]
    copied = [source for name, value in steps if name == "COPY" for source in value.split()[:-1]]
    assert {"setup.py", "constraints.txt", "configs"} <= set(copied)
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        verdicts = [not rule.startswith("!") for rule in rules if fnmatch.fnmatch(source, rule.removeprefix("!"))]
        assert verdicts[-1] is False, f"{source} is ignored"
    # All packages come with the folders that are copied before the installation.
    installed = [value.split()[-1] for name, value in steps if name == "COPY" and value.split()[0] != "configs"]
    assert {package.split(".")[0] for package in _setup()["packages"]} <= {target.strip("./") or "." for target in installed}


def test_boot_is_left_to_start_the_interpreter_that_has_the_project(dockerfile, steps):
    # The base's entrypoint understands both --worker_pool and what Dataflow gives it.
    assert not {name for name, _ in steps} & {"ENTRYPOINT", "CMD", "USER"}
    environment = dockerfile.envs
    # Boot and the worker pool start `python` from PATH.
    assert "PATH" not in environment
    assert environment["RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT"] == "1"


def test_nothing_is_fetched_at_run_time_and_the_model_is_inside(dockerfile, steps):
    assert dockerfile.envs["HF_HUB_OFFLINE"] == dockerfile.envs["TRANSFORMERS_OFFLINE"] == "1"
    (program,) = [command[2] for command in _commands(steps) if command[:2] == ["python", "-c"]]
    # What the build checks can be checked here, with the installed model.
    exec(compile(program, "Dockerfile", "exec"), {})


def test_the_user_of_kubernetes_can_write_where_numba_keeps_what_it_compiles(dockerfile, steps):
    commands = _commands(steps)
    folder = dockerfile.envs["NUMBA_CACHE_DIR"]
    assert ["chmod", "-R", "a+rwX", folder] in commands
    assert ["useradd", "--uid", "1000", "--create-home", "corpusbeam"] in commands


def test_configurations_name_the_image_s_places(steps):
    assert ("WORKDIR", "/opt/corpusbeam") in steps
    assert ("COPY", "configs configs") in steps
    config = load_config(str(REPOSITORY / "configs" / "flink.yaml"), **FILLED_IN["flink.yaml"])
    # Boot's worker pool has this port and no option for another.
    assert "--environment_config=localhost:50000" in config.runner.beam_options
