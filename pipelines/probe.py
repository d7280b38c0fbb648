"""Before the first job: do the workers of an engine have this project, the same version of it, and the root?

A worker pool whose interpreter lacks what a job needs shows it late: a child process that dies at once is an engine that waits
for ever. So a job that needs nothing goes first, in limited time. Its functions are built into Python, its program is text, so
that it also runs under another Python and without this project; what the workers say comes back as names of counters,
because engines hand back nothing else without a file system that both sides see.
"""

import inspect
import json
import uuid
from collections.abc import Sequence
from typing import Any

import apache_beam as beam

from pipelines import worker_report
from pipelines.remote import JobTooSlowError, RemoteJob, RemoteJobError
from pipelines.versions import installed_versions
from transforms.files import redact

# Metrics of this name are for the probe alone.
NAMESPACE = "corpusbeam.probe"

# Engines deal them out in turn: so many workers are asked.
_TASKS = 64


def probe_workers(job: RemoteJob, pipeline: beam.Pipeline, seconds: float, existing: Sequence[str]) -> list[str]:
    """Ask the workers what they have, as `job` of the empty `pipeline`, and return warnings: what differs but may be right.

    `existing` are files that workers must be able to find. Raises RemoteJobError, which says what is wrong on which worker and
    what to do, also when no worker answers within `seconds`.
    """
    _build(pipeline, _program(list(installed_versions()), existing))
    look = f"look at {job.engine.where_to_look}"
    try:
        job.run(pipeline, seconds)
    except JobTooSlowError as error:
        raise RemoteJobError(
            f"no worker has answered within {seconds:g} s (runner.probe_seconds): {_advice(job.engine.environment)}; {look}"
        ) from error
    except RemoteJobError as error:
        raise RemoteJobError(f"the workers cannot run a job: {error}; {_advice(job.engine.environment)}") from error
    reports = _reports(job)
    if problems := [problem for report in reports for problem in _problems(report)]:
        raise RemoteJobError("; ".join(dict.fromkeys(problems)))
    return list(dict.fromkeys(warning for report in reports for warning in _differences(report)))


def _program(libraries: Sequence[str], existing: Sequence[str]) -> str:
    """An expression that counts the worker's report, made once in each of its processes, and gives no element."""
    key = uuid.uuid4().hex
    count = f"""
import json, types
from apache_beam.metrics import Metrics
kept = vars(sys.modules.setdefault("corpusbeam_probe", types.ModuleType("corpusbeam_probe")))
if {key!r} not in kept:
    kept[{key!r}] = json.dumps(report({list(libraries)!r}, {list(existing)!r}))
Metrics.counter({NAMESPACE!r}, kept[{key!r}]).inc()
"""
    return f"exec({inspect.getsource(worker_report) + count!r}, {{'__name__': 'worker_report'}}) or ()"


def _build(pipeline: beam.Pipeline, program: str) -> None:
    # Functions of Python itself are pickled by name. A lambda, or one of this module, would be code of this Python, or of a
    # package that is not there.
    programs = beam.FlatMap({b"": [program] * _TASKS}.get).with_output_types(str)
    _ = (
        pipeline
        | "Start" >> beam.Impulse()
        | "Programs" >> programs
        | "Spread" >> beam.Reshuffle()
        | "Report" >> beam.FlatMap(eval)
    )


def _reports(job: RemoteJob) -> list[dict[str, Any]]:
    found = [name.partition("/")[2] for name in job.counters() if name.startswith(f"{NAMESPACE}/")]
    if not found:
        raise RemoteJobError(f"job {job.id} has ended, but what its workers say did not come back; set runner.probe_seconds: 0")
    return [json.loads(name) for name in sorted(found)]


def _advice(environment: str) -> str:
    start = {
        "EXTERNAL": "start the worker pool with the interpreter that has corpusbeam and apache-beam first on its PATH, at the "
        "address in --environment_config",
        "PROCESS": "check the command in --environment_config: it must start a worker under the interpreter with corpusbeam",
        "DOCKER": "check that the image in --environment_config can be pulled where workers run, and that corpusbeam is in it",
    }
    return start.get(environment, "check that workers can start and have corpusbeam")


def _problems(report: dict[str, Any]) -> list[str]:
    worker = f"the worker on {report['host']} ({report['interpreter']})"
    here = worker_report.report([])
    if report["python"] != here["python"]:
        return [f"{worker} runs Python {report['python']}, this command Python {here['python']}: use one image for both"]
    if None in report["code"].values():
        return [f"{worker} does not have corpusbeam: install it there, or start workers with the interpreter that has it"]
    if report["code"] != here["code"]:
        return [f"{worker} has another version of corpusbeam than this command: install the same one on both sides"]
    versions = report["versions"]
    if absent := [name for name, version in versions.items() if version is None]:
        return [f"{worker} lacks {', '.join(absent)}: install corpusbeam there with all that it needs"]
    if versions["apache-beam"] != (own := installed_versions()["apache-beam"]):
        return [f"{worker} has apache-beam {versions['apache-beam']}, this command {own}: install the same on both sides"]
    return [
        f"{worker} cannot find {redact(path)} ({why}): workers need the credentials of the root's file system, the model at "
        "the same path as here, and, with runner.shared_root, the same mounts"
        for path, why in report["unreadable"].items()
    ]


def _differences(report: dict[str, Any]) -> list[str]:
    here = installed_versions()
    # What follows a plus is how a release was built: for a CPU, for a GPU.
    differing = [
        f"{name} {found} (here {here[name]})"
        for name, found in report["versions"].items()
        if found.partition("+")[0] != here[name].partition("+")[0]
    ]
    if not differing:
        return []
    return [f"the worker on {report['host']} has {', '.join(differing)}: results may differ from those of one installation"]
