"""A run as Prometheus metrics, in the text exposition format that node_exporter's textfile collector reads."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

OUTCOMES = ("published", "no_change", "refused", "failed", "dry_run")

_Samples = Iterable[tuple[Mapping[str, str], float]]


class MonitoringOptions(BaseModel):
    """What a run leaves for monitoring besides `last_run.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prometheus_file: str | None = Field(
        None,
        min_length=1,
        description="File that every run that holds its root, also one that fails, replaces with its metrics for Prometheus. "
        "node_exporter's textfile collector reads files ending in .prom; each root needs a file of its own.",
    )


def prometheus_text(run: Mapping[str, Any]) -> str:
    """The metrics of a finished run, as `last_run.json` has it; every sample has the label `root`."""
    root = {"root": str(run["root"])}
    stages, changes = run.get("stages", {}), run.get("changes", {})
    gates = run.get("gates", [])
    embed = [stages[name] for name in ("embed", "embed_again") if name in stages]
    # A second embedding stage, without the texts that the model fails on, finds what the first one stored.
    texts = (
        [
            ({"state": "embedded"}, sum(stage["texts_embedded"] for stage in embed)),
            ({"state": "reused"}, embed[0]["texts_reused"]),
        ]
        if embed
        else []
    )
    families: list[tuple[str, str, _Samples]] = [
        ("last_run_timestamp_seconds", "When the last run ended, in seconds since 1970.", _values(run["finished_timestamp"])),
        (
            "last_success_timestamp_seconds",
            "When the last run ended that published or found no change, in seconds since 1970; 0 before the first.",
            _values(run["last_success_timestamp"] or 0),
        ),
        ("last_run_duration_seconds", "How long the last run took.", _values(run["seconds"])),
        ("last_run_exit_code", "Exit code of the last run: 0 done, 1 failed, 2 usage, 3 refused.", _values(run["exit_code"])),
        (
            "last_run_outcome",
            "How the last run ended: 1 for its outcome, 0 for the others.",
            [({"outcome": outcome}, float(run["outcome"] == outcome)) for outcome in OUTCOMES],
        ),
        (
            "documents",
            "Documents by what became of them since the published generation.",
            [({"state": state}, count) for state, count in changes.items() if state != "since"],
        ),
        (
            "count",
            "Counts of the generation that the last run built: documents, distinct texts, pairs and others.",
            [({"name": name}, value) for name, value in run.get("counts", {}).items()],
        ),
        ("texts", "Distinct texts embedded, and with a stored vector that was reused.", texts),
        (
            "stage_duration_seconds",
            "How long each stage of the last run took.",
            [({"stage": name}, stage["seconds"]) for name, stage in stages.items()],
        ),
        (
            "stage_peak_memory_bytes",
            "Highest resident memory of this machine's processes of the run in each stage.",
            [({"stage": name}, stage["peak_rss_mb"] * 2**20) for name, stage in stages.items()],
        ),
        ("gate_value", "What each gate measured.", [({"gate": gate["name"]}, gate["value"]) for gate in gates]),
        ("gate_limit", "The limit of each gate.", [({"gate": gate["name"]}, gate["limit"]) for gate in gates]),
        ("gate_passed", "1 for a gate that passed.", [({"gate": gate["name"]}, float(gate["passed"])) for gate in gates]),
    ]
    lines = []
    for name, meaning, samples in families:
        found = [f"corpusbeam_{name}{_labels(root | dict(labels))} {_number(value)}" for labels, value in samples]
        if found:
            lines += [f"# HELP corpusbeam_{name} {meaning}", f"# TYPE corpusbeam_{name} gauge", *found]
    return "\n".join(lines) + "\n"


def _values(value: float) -> _Samples:
    return [({}, value)]


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
