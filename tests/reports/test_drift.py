"""What the report says of topics since the generation before."""

from pathlib import Path

import pyarrow as pa
import pytest

from tests.reports.generation import write_generation
from transforms.files import write_table
from transforms.reports import read_report, render_html, terminal_summary
from transforms.reports.drift import read_drift, sizes
from transforms.topics import DRIFT_SCHEMA, EVENTS_SCHEMA

HOSTILE = "</ul><script>alert(1)</script>"


def write_drift(folder: Path, extra: int = 0) -> None:
    def event(name, uid, title, before, now, **more):
        base = {"kind": "topic", "event": name, "uid": uid, "title": title, "documents_before": before, "documents": now}
        return base | {"from_uids": [], "to_uids": []} | more

    rows = [
        *(event("new", f"n{i}", f"fresh {i}", 0, 9) for i in range(extra)),
        event("new", "a", HOSTILE, 0, 40),
        event("split", "b", "lamps", 0, 30, from_uids=["c"]),
        event("grown", "c", "light", 50, 1060, from_uids=["c"]),
        event("merged", "d", "torches", 12, 0, to_uids=["c"]),
        event("continued", "e", "chairs", 7, 7),
        {
            "kind": "theme",
            "layer": 1,
            "event": "vanished",
            "uid": "t",
            "title": "a theme",
            "documents_before": 3,
            "documents": 0,
        },
    ]
    write_table(f"{folder}/topics/events.parquet", pa.Table.from_pylist(rows, EVENTS_SCHEMA))
    counts = dict.fromkeys(("new", "split", "grown", "shrunk", "merged", "vanished", "continued"), 0)
    for row in rows:
        counts[row["event"]] += row["kind"] == "topic"
    drift = {
        "kind": "topic", "stayed": 975, "moved": 25, "noise": 0.25, "noise_before": 0.2, "jensen_shannon": 0.1234,
        **{f"{name}_count": count for name, count in counts.items()},
    }  # fmt: skip
    theme = {"kind": "theme", "layer": 1, "jensen_shannon": 0.9}
    write_table(f"{folder}/topics/drift.parquet", pa.Table.from_pylist([drift, theme], DRIFT_SCHEMA))


def test_new_topics_come_first_and_none_is_markup(tmp_path):
    metrics = write_generation(tmp_path)
    write_drift(tmp_path)
    report = read_report(str(tmp_path), metrics)
    assert [(event.event, sizes(event, report.unit), event.others) for event in report.drift.events] == [
        ("new", "40 documents", ()),
        ("split", "30 documents", ("light",)),
        ("grown", "50 to 1,060 documents", ()),
        ("merged", "12 documents before", ("light",)),
    ]
    page = render_html(report)
    section = page[page.index('id="changes"') : page.index('id="duplicates"')]
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in section
    assert section.index("<h3>New") < section.index("<h3>Split") < section.index("<h3>Grown") < section.index("<h3>Merged")
    assert "lamps</span> <span class='note' dir='auto'>30 documents, from light" in section
    assert "chairs" not in section
    assert "a theme" not in section
    text = terminal_summary(report)
    assert "topics: 1 new, 1 split, 1 grown, 1 merged, 1 continued; 98 % of the documents" in " ".join(text.split())
    assert "noise 20 % before, 25 % now; Jensen-Shannon distance 0.123" in " ".join(text.split())


def test_where_documents_have_several_passages_these_are_counted(tmp_path):
    metrics = write_generation(tmp_path)
    metrics["counts"]["passages"] = 2 * metrics["counts"]["documents"]
    write_drift(tmp_path)
    report = read_report(str(tmp_path), metrics)
    page = render_html(report)
    section = page[page.index('id="changes"') : page.index('id="metadata"')]
    for facts in ("40 passages", "50 to 1,060 passages", "12 passages before", "98 % of the passages in both"):
        assert facts in section
    assert "document" not in section
    assert "98 % of the passages in both" in " ".join(terminal_summary(report).split())


def test_what_is_left_out_is_counted(tmp_path):
    metrics = write_generation(tmp_path)
    write_drift(tmp_path, extra=30)
    assert "and 11 more" in render_html(read_report(str(tmp_path), metrics))


@pytest.mark.parametrize("missing", ["events", "drift", None])
def test_without_a_generation_before_nothing_is_compared(tmp_path, missing):
    metrics = write_generation(tmp_path)
    if missing:
        write_drift(tmp_path)
        (tmp_path / f"topics/{missing}.parquet").unlink()
    assert read_drift(str(tmp_path)) is None
    report = read_report(str(tmp_path), metrics)
    assert "no generation before this one" in render_html(report)
    assert "Jensen-Shannon" not in terminal_summary(report)
