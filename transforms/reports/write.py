"""Writing a generation's report: the one function that the Beam step calls."""

import json
from dataclasses import dataclass

from transforms.files import FileRef, file_ref, read_json, write_bytes
from transforms.reports.html import render_html
from transforms.reports.options import ReportOptions
from transforms.reports.summary import read_report


@dataclass(frozen=True)
class ReportTask:
    """A staged generation `folder` and its metrics, and where the page goes. `configuration` is JSON text.

    `parent` are the documents parts of the generation before.
    """

    folder: str
    metrics_path: str
    path: str
    title: str = "Corpus"
    configuration: str = "{}"
    parent: tuple[FileRef, ...] = ()


@dataclass(frozen=True)
class ReportRecord:
    """The written page, and how much it shows."""

    file: FileRef
    documents: int
    topics: int
    groups: int
    points: int
    points_total: int


def write_report(task: ReportTask, options: ReportOptions) -> ReportRecord:
    """Read the staged generation and write its page to `task.path`, whole or not at all."""
    report = read_report(
        task.folder,
        read_json(task.metrics_path),
        options,
        title=task.title,
        configuration=json.loads(task.configuration),
        parent=task.parent,
    )
    write_bytes(task.path, render_html(report, options).encode())
    return ReportRecord(
        file=file_ref(task.path),
        documents=report.counts["documents"],
        topics=len(report.topics),
        groups=len(report.groups),
        points=len(report.points),
        points_total=report.points.total,
    )
