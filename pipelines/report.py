"""The report stage, and what a person is told at the end of a run."""

import json
import shutil
from typing import TYPE_CHECKING, Any

from pipelines.gates import gate_lines
from pipelines.search import open_searcher
from pipelines.stage import Run
from transforms.files import FileRef, join, read_json
from transforms.generations import Gate, Generation, Manifest, open_generation
from transforms.reports import (
    ReportOptions,
    ReportRecord,
    ReportTask,
    changes_line,
    passage_label,
    read_report,
    terminal_summary,
)
from transforms.reports.beam import WriteReport

if TYPE_CHECKING:
    from pipelines.reindex import Outcome

_EXAMPLE_ANSWERS = 3


def write_report(run: Run, metrics_path: str, configuration: dict[str, Any], parent: Manifest | None) -> FileRef:
    """Write `report.html` of the staged generation, with what has changed since `parent` on its map."""
    before = () if parent is None else parent.under("documents")
    task = ReportTask(
        folder=run.staged,
        metrics_path=metrics_path,
        path=join(run.staged, "report.html"),
        title=corpus_title(configuration),
        configuration=json.dumps(configuration),
        parent=tuple(FileRef(join(run.root, file.path), file.size, file.rows, file.sha256) for file in before),
    )
    (record,) = run.job("report", WriteReport(run.config.report), [task], ReportRecord)
    return record.file


def corpus_title(configuration: dict[str, Any]) -> str:
    """What the report calls the corpus: its inputs, shortened."""
    inputs = configuration["corpus"]["input"]
    return ", ".join(inputs[:3]) + (f" and {len(inputs) - 3} more" if len(inputs) > 3 else "")


def print_outcome(outcome: "Outcome", output: str, example_query: str | None) -> None:
    """Print how a run ended: one line when nothing changed, else the summary, or all metrics as JSON."""
    if output == "json":
        found = {"generation": outcome.generation, "published": outcome.published, "dry_run": outcome.dry_run}
        if outcome.dry_run:
            found |= {"refused": outcome.refused, "report": outcome.report}
        print(json.dumps({**found, **outcome.metrics}, indent=2))
    elif outcome.report is not None:
        print("\n".join(_dry_run_lines(outcome)))
    elif not outcome.published:
        print(f"No change: generation {outcome.generation} under {outcome.root} already is what this corpus and settings give.")
    else:
        print(_summary(open_generation(outcome.root, outcome.generation), example_query))


def _dry_run_lines(outcome: "Outcome") -> list[str]:
    metrics = outcome.metrics
    gates = gate_lines(Gate(**gate) for gate in metrics["gates"])
    end = outcome.refused or f"All gates passed. Nothing was published (--dry-run); the report of this run is {outcome.report}"
    return [changes_line(metrics["changes"]), *gates, end]


def print_report(root: str, output: str) -> None:
    """Print the summary of the published generation, or its metrics as JSON."""
    generation = open_generation(root)
    if output == "json":
        print(json.dumps({"report": generation.path("report.html"), **read_json(generation.path("metrics.json"))}, indent=2))
    else:
        print(_summary(generation, None))


def _summary(generation: Generation, example_query: str | None) -> str:
    configuration = generation.manifest.configuration
    metrics = read_json(generation.path("metrics.json"))
    options = ReportOptions(**configuration["report"])
    folder = generation.checked_folder("documents", "duplicates", "index", "quarantine", "topics")
    report = read_report(folder, metrics, options, title=corpus_title(configuration), configuration=configuration)
    query = example_query or (report.topics[0].title if report.topics else None)
    answers = []
    if query is not None:
        hits = open_searcher(generation).search([query], _EXAMPLE_ANSWERS)[0]
        answers.append((query, [(hit.score, passage_label(hit.doc_id, hit.passage_no), hit.text) for hit in hits]))
    width = shutil.get_terminal_size((100, 24)).columns
    return terminal_summary(report, answers, report_path=generation.path("report.html"), width=width)
