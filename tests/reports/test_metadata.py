"""Topics by metadata in the report, and duplicates inside a topic."""

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.reports.generation import metrics, write_assignments, write_groups, write_tables, write_topics
from transforms.files import read_json, write_table
from transforms.reports import read_report, render_html, topic_pairs
from transforms.reports.metadata import Months, Value, read_metadata
from transforms.reports.topic_pairs import TopicPair, pairs_in_topics


def test_the_commonest_values_and_months(generation: Path) -> None:
    found = read_metadata(str(generation))
    assert (found.columns, found.date_column) == (("section",), "day")
    assert found.months == Months("2024-01", "2024-04", 1, "2024-01", "2024-04")
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
    assert found.months == Months("1990-01", "2014-12", 3, "1990-01", "2014-12")
    assert found.topics[0].bars == tuple(3 * i + 3 for i in range(0, 300, 3))


def test_dates_that_are_none_do_not_make_all_others_one_bar(tmp_path: Path) -> None:
    counts = {"1970-01": 2, "2023-01": 100, "2023-02": 50, "2023-04": 150, "9999-12": 3}
    write_tables(tmp_path, [("topic", 0, "day", "month", month, count, 0.1, 1.0) for month, count in counts.items()])
    found = read_metadata(str(tmp_path))
    assert found.months == Months("2023-01", "2023-04", 1, "1970-01", "9999-12")
    assert found.topics[0].bars == (102, 50, 0, 153)
    base = {"topic_uid": "u", "terms": [], "term_weights": [], "representative_doc_ids": [], "x": 0.0, "y": 0.0}
    write_topics(tmp_path, [{**base, "topic_id": 0, "title": "t", "documents": 305}])
    page = render_html(read_report(str(tmp_path), metrics()))
    span = "2023-01 to 2023-04, earlier ones (since 1970-01) in the first bar, later ones (up to 9999-12) in the last bar"
    assert f"{span}: at most 153" in page


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


def test_pairs_of_a_topic_are_those_of_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    passages = [(f"d{i:02d}", number) for i in range(40) for number in range(1 + i % 4)]
    topic = dict(zip(passages, rng.integers(-1, 3, len(passages)).tolist(), strict=True))
    rows = []
    for group, members in enumerate(np.array_split(rng.permutation(len(passages)), 25)):
        kept, *others = (passages[i] for i in members.tolist())
        cosines = np.round(rng.uniform(0.8, 1, len(others)), 1).tolist()
        rows += [(group, *other, *kept, cosine) for other, cosine in zip([kept, *others], [1.0, *cosines], strict=True)]
    names = ["group_id", "doc_id", "passage_no", "kept_doc_id", "kept_passage_no", "cosine_to_kept"]
    kinds = [pa.int64(), pa.string(), pa.int32(), pa.string(), pa.int32(), pa.float32()]
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    write_table(f"{tmp_path}/duplicates/groups.parquet", pa.table(columns, names))
    columns = [pa.array(column) for column in zip(*((*passage, own) for passage, own in topic.items()), strict=True)]
    table = pa.table(columns, ["doc_id", "passage_no", "topic_id"])
    table = table.cast(pa.schema([("doc_id", pa.string()), ("passage_no", pa.int32()), ("topic_id", pa.int32())]))
    write_table(f"{tmp_path}/topics/assignments.parquet", table)

    expected: dict[int, list[TopicPair]] = {}
    by_rank = sorted(rows, key=lambda row: (row[5] >= 1 - 1e-6, -row[5], row[3], row[4], row[1], row[2]))
    for _, doc_id, number, kept_id, kept_number, cosine in by_rank:
        other, kept = (doc_id, number), (kept_id, kept_number)
        pairs = expected.setdefault(topic[kept], [])
        if other != kept and topic[other] == topic[kept] >= 0 and len(pairs) < 3 and all(pair.kept != kept for pair in pairs):
            pairs.append(TopicPair(kept, other, float(np.float32(cosine))))
    expected = {topic: pairs for topic, pairs in expected.items() if pairs}
    assert len(expected) == 3
    for batch in (7, 1000):
        monkeypatch.setattr(topic_pairs, "_ROWS", batch)
        assert pairs_in_topics(str(tmp_path), 3) == {topic: tuple(pairs) for topic, pairs in expected.items()}


def test_pairs_of_many_groups_are_no_python_objects(tmp_path: Path) -> None:
    count = 20_000
    ids = [f"document-{i:07d}" for i in range(count)]
    numbers, zeros = pa.array(np.arange(count) // 2), pa.array(np.zeros(count, np.int32))
    kept = pa.array([ids[i - i % 2] for i in range(count)])
    columns = [numbers, pa.array(ids), zeros, kept, zeros, pa.array(np.full(count, 0.9, np.float32))]
    names = ["group_id", "doc_id", "passage_no", "kept_doc_id", "kept_passage_no", "cosine_to_kept"]
    write_table(f"{tmp_path}/duplicates/groups.parquet", pa.table(columns, names))
    write_assignments(tmp_path, [(doc_id, 0, 0, 0.0, 0.0) for doc_id in ids])
    tracemalloc.start()
    found = pairs_in_topics(str(tmp_path), 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [pair.other[0] for pair in found[0]] == ids[1:4:2]
    # Of numpy and Python; Arrow holds the columns that were read.
    assert peak < 100 * count
