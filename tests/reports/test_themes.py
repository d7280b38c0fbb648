from pathlib import Path

from tests.reports.generation import write_generation
from transforms.reports import read_report
from transforms.reports.html import render_html
from transforms.reports.text import terminal_summary


def test_themes_are_those_of_the_layer_of_the_topics_largest_first(tmp_path: Path) -> None:
    report = read_report(str(tmp_path), write_generation(tmp_path))
    pets, rest = report.themes
    assert (pets.theme_id, pets.documents, pets.title, pets.terms) == (1, 28, "pets and ships", ("pets and ships", "number"))
    assert pets.topic_ids == (0, 1)
    assert (rest.theme_id, rest.topic_ids) == (0, ())
    assert "2 themes, 2 topics" in " ".join(terminal_summary(report).split())
    page = render_html(report)
    section = page[page.index('<section id="themes"') : page.index('<section id="topics"')]
    assert section.index("28 documents, 70 %; 2 topics") < section.index("12 documents, 30 %; 0 topics")
    assert section.index(">pets and ships<") < section.index(">cats<") < section.index(">boats<") < section.index(">rest<")


def test_a_generation_of_before_has_no_themes(tmp_path: Path) -> None:
    metrics = write_generation(tmp_path)
    (tmp_path / "topics/themes.parquet").unlink()
    report = read_report(str(tmp_path), metrics)
    assert report.themes == ()
    assert "This generation has no themes." in render_html(report)
    assert "theme" not in terminal_summary(report)
