from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reports.generation import metrics
from transforms.files import read_json
from transforms.reports import read_report, render_html, terminal_summary
from transforms.reports.summary import Report
from transforms.reports.text import columns, fit


@pytest.fixture
def report(generation: Path) -> Report:
    return read_report(str(generation), read_json(f"{generation}/metrics.json"), title="Pets")


HITS = [(0.7123, "doc1", "Cats\nsleep " * 40), (0.5, "doc2", None)]


def test_everything_that_a_person_wants_to_know(report: Report) -> None:
    text = terminal_summary(report, [("where do cats sleep", HITS), ("nothing", [])], report_path="/out/report.html")
    for part in (
        "recall@10 0.9500 of your queries",
        "Pets", "40 documents", "39 different texts", "2 themes", "2 topics", "% noise)", "recall@10 0.9912", "2 min 28 s",
                 "1.7 GB", "1,234,567 texts embedded", "cats, number", "4 documents, 3 different texts",
                 "0.910", "where do cats sleep",
                 "0.712  doc1", "no answer", "/out/report.html"):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize("width", [10, 40, 61, 80, 100, 300])
@pytest.mark.parametrize("evil", [False, True])
def test_lines_fit(request: pytest.FixtureRequest, width: int, evil: bool) -> None:
    folder = request.getfixturevalue("evil_generation" if evil else "generation")
    values = {**metrics(documents=10**12), "warnings": ["警告" * 90 + " of words " * 40, "wide " + "文字 " * 60]}
    wide = read_report(str(folder), values, title="題名" * 80)
    text = terminal_summary(wide, [("質問" * 90, [(0.1, "識別子" * 50, "テキスト" * 90)])], width=width)
    assert max(map(columns, text.splitlines())) <= min(max(width, 40), 100)


def test_a_corpus_cannot_steer_the_terminal(generation: Path) -> None:
    hits = [(0.5, "id\x1b[31m\u202e", "red\x1b]0;title\x07\r\nnext\x9b2J")]
    text = terminal_summary(read_report(str(generation), {}, title="a\x1b[2Jb"), [("q\x1b", hits)])
    assert not [c for c in text if c != "\n" and (c < " " or "\x7f" <= c <= "\x9f" or c == "\u202e")]


def test_warnings_are_shown_in_full_above_the_stages(generation: Path) -> None:
    values = {**read_json(f"{generation}/metrics.json"), "warnings": ["one two " * 30, "another"]}
    lines = terminal_summary(read_report(str(generation), values)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("Warning  one"))
    end = next(i for i, line in enumerate(lines) if line.startswith("Stage"))
    assert " ".join(" ".join(lines[at:end]).split()) == f"Warning {'one two ' * 30}Warning another"


def test_an_approximate_graph_is_called_so_on_page_and_terminal(generation: Path) -> None:
    measured = {"neighbors": 32, "recall": 0.98765, "recall_low": 0.9811, "recall_high": 0.9922, "recall_rows": 2000}
    values = read_json(f"{generation}/metrics.json")
    for stage, said in ((measured, True), ({"neighbors": 32}, False)):
        report = read_report(
            str(generation), {**values, "stages": {**values["stages"], "neighbors": {"seconds": 1.0, **stage}}}
        )
        text = " ".join(terminal_summary(report).split())
        assert ("recall@32 0.9877 of the approximate neighbour graph" in text) is said
        page = " ".join(render_html(report).split())
        assert (
            "0.9877 of the true 32 nearest others (95 % interval 0.9811 to 0.9922, measured on 2,000 texts)" in page
        ) is said


def test_scores_that_are_no_cosines_are_called_so(generation: Path) -> None:
    for encoder, said in (({"metric": "dot"}, True), ({"metric": "cosine"}, False), ({}, False)):
        text = terminal_summary(read_report(str(generation), {"encoder": encoder}), [("cats " * 40, HITS)])
        assert ("… (inner products)" in text.replace("…  ", "… ")) is said


def test_limits_are_said_in_the_heading(report: Report) -> None:
    assert "Largest topics\n" in terminal_summary(report, topics=1)
    assert "Largest topics\n" not in terminal_summary(report, topics=2)


def test_an_empty_report(tmp_path: Path) -> None:
    text = terminal_summary(read_report(str(tmp_path), {}, title="Nothing"))
    assert "0 documents" in text
    assert "Stage" not in text


@given(st.text(), st.integers(1, 60))
def test_fit_never_exceeds_the_width_and_marks_what_it_cuts(text: str, width: int) -> None:
    shown = fit(text, width)
    assert columns(shown) <= width
    assert shown.endswith("…") or columns(fit(text, 10_000)) <= width
