import json
from dataclasses import asdict
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from tests.reports.generation import write_generation
from transforms.files import file_ref, read_json
from transforms.reports import (
    ReportOptions,
    ReportRecord,
    ReportTask,
    read_report,
    render_html,
)
from transforms.reports.beam import WriteReport


def task_of(folder: Path) -> ReportTask:
    return ReportTask(
        str(folder), f"{folder}/metrics.json", f"{folder}/report.html", "Pets", json.dumps({"token": "hunter2", "k": 10})
    )


@pytest.mark.parametrize("repeat", [0, 1])
def test_pages_are_written_and_described(tmp_path: Path, repeat: int) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        write_generation(folder)
    options = ReportOptions(map_points=30)
    seen: list[dict] = []

    def check(records: list[ReportRecord]) -> None:
        seen.extend(asdict(record) for record in records)
        assert len(records) == 2
        for record in records:
            assert (record.documents, record.topics, record.groups, record.points, record.points_total) == (40, 2, 1, 30, 40)
            assert record.file == file_ref(record.file.path)

    with TestPipeline(runner="FnApiRunner", argv=[f"--direct_runner_bundle_repeat={repeat}"]) as pipeline:
        records = pipeline | beam.Create([task_of(folder) for folder in folders]) | WriteReport(options)
        assert_that(records, check)
        paths = records | beam.Map(lambda record: record.file.path)
        assert_that(paths, equal_to([f"{folder}/report.html" for folder in folders]), label="paths")

    for folder in folders:
        report = read_report(
            str(folder), read_json(f"{folder}/metrics.json"), options, title="Pets", configuration={"token": "***", "k": 10}
        )
        html = (folder / "report.html").read_text()
        assert html == render_html(report, options)
        assert "hunter2" not in html
        assert {path.name for path in folder.iterdir() if path.is_file()} == {"report.html", "metrics.json"}
