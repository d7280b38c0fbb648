"""Topics by metadata in the report, and duplicates inside a topic."""

import re
from pathlib import Path

from tests.reports.generation import metrics, write_assignments, write_groups, write_tables, write_topics
from transforms.files import read_json
from transforms.reports import read_report, render_html
from transforms.reports.metadata import Value, read_metadata
from transforms.reports.topic_pairs import TopicPair, pairs_in_topics


def test_the_commonest_values_and_months(generation: Path) -> None:
    found = read_metadata(str(generation))
    assert (found.columns, found.date_column) == (("section",), "day")
    assert (found.first, found.last, found.months_per_bar) == ("2024-01", "2024-04", 1)
    cats, boats = found.topics
    assert cats.values == {"section": (Value("pets", 0.75, 1.5), Value(None, 0.25, 0.5))}
    assert (cats.bars, boats.bars) == ((4, 0, 0, 12), ())


def test_the_page_shows_them(generation: Path) -> None:
    page = render_html(read_report(str(generation), read_json(f"{generation}/metrics.json")))
    section = page[page.index('<section id="metadata"') : page.index('<section id="duplicates"')]
    for text in ("pets", "75 % ×1.5", "none", "100 % ×2.0", "2024-01 to 2024-04: at most 12", "no dates"):
        assert text in section, text
    bars = [re.findall(r" (x|height)='([\d.]+)'", rect) for rect in re.findall("<rect [^>]*>", section)]
    assert bars == [[("x", "0"), ("height", "33.3")], [("x", "3"), ("height", "100.0")]]


def test_many_months_share_bars_and_lose_none(tmp_path: Path) -> None:
    months = [f"{year}-{month:02d}" for year in range(1990, 2015) for month in range(1, 13)]
    write_tables(tmp_path, [("topic", 0, "day", "month", month, i, 0.1, 1.0) for i, month in enumerate(months)])
    found = read_metadata(str(tmp_path))
    assert (found.first, found.last, found.months_per_bar) == ("1990-01", "2014-12", 3)
    assert found.topics[0].bars == tuple(3 * i + 3 for i in range(0, 300, 3))


def test_no_tables(tmp_path: Path) -> None:
    assert read_metadata(str(tmp_path)).topics == ()
    assert "No metadata is counted" in render_html(read_report(str(tmp_path), metrics()))


def test_more_topics_than_are_shown_are_behind_a_click(tmp_path: Path) -> None:
    base = {"topic_uid": "u", "terms": [], "term_weights": [], "representative_doc_ids": [], "x": 0.0, "y": 0.0, "documents": 1}
    write_topics(tmp_path, [{**base, "topic_id": i, "title": f"title {i}"} for i in range(23)])
    write_tables(tmp_path, [("topic", i, "section", "value", f"value {i}", 1, 1.0, 1.0) for i in range(23)])
    page = render_html(read_report(str(tmp_path), metrics()))
    shown, rest = page[page.index('<section id="metadata"') :].split("<details>", 1)
    assert "value 19" in shown
    assert "3 more topics" in rest
    assert all(f"value {i}" in rest and f"value {i}" not in shown for i in (20, 21, 22))


def test_pairs_of_a_topic_are_different_texts_first(tmp_path: Path) -> None:
    topics = {"a": 0, "b": 0, "c": 0, "d": 0, "e": 0, "f": 1, "g": 0, "h": -1, "i": -1}
    write_assignments(tmp_path, [(doc_id, topic, topic, 0.0, 0.0) for doc_id, topic in topics.items()])
    groups = [
        (1, "a", [("b", 1.0), ("c", 0.8), ("f", 0.95)]),  # f is in another topic
        (2, "d", [("e", 0.9)]),
        (3, "h", [("i", 0.99)]),  # noise
    ]
    write_groups(tmp_path, groups)
    found = pairs_in_topics(str(tmp_path), 5)
    assert set(found) == {0}
    assert [(pair.kept[0], pair.other[0], round(pair.cosine, 2)) for pair in found[0]] == [("d", "e", 0.9), ("a", "c", 0.8)]
    assert pairs_in_topics(str(tmp_path), 1) == {0: (TopicPair(("d", 0), ("e", 0), found[0][0].cosine),)}
    assert pairs_in_topics(str(tmp_path / "nothing"), 5) == {}
