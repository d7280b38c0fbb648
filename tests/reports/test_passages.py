"""The report of a generation whose documents have several passages: right excerpts, right nouns."""

from pathlib import Path

import pyarrow as pa
import pytest

from tests.reports.generation import key, metrics, write_topics
from transforms.files import write_table
from transforms.reports import read_report, render_html, terminal_summary

DOCUMENTS = {
    f"d{i}": [f"passage {number} of document {i} about {'cats' if number else 'boats'}" for number in range(3)]
    for i in range(4)
}


@pytest.fixture
def report(tmp_path: Path):
    names = [(doc_id, number) for doc_id in DOCUMENTS for number in range(3)]
    texts = [DOCUMENTS[doc_id][number] for doc_id, number in names]
    doc_ids, numbers = [doc_id for doc_id, _ in names], pa.array([number for _, number in names], pa.int32())
    columns = {"doc_id": doc_ids, "passage_no": numbers, "content_key": pa.array([key(text) for text in texts], pa.binary(32))}
    write_table(f"{tmp_path}/documents/part-00000.parquet", pa.table({**columns, "text": texts}), 4)
    topic = pa.array([min(number, 1) for _, number in names], pa.int32())
    places = pa.array([float(i) for i in range(12)], pa.float32())
    write_table(
        f"{tmp_path}/topics/assignments.parquet",
        pa.table({**columns, "topic_id": topic, "assigned_topic_id": topic, "x": places, "y": places}),
    )
    topics = [
        {
            "topic_id": 0, "topic_uid": "u", "documents": 4, "title": "cats", "terms": ["cats"], "term_weights": [1.0],
            "representative_doc_ids": ["d2", "d1"], "representative_passage_nos": [2, 0], "x": 1.0, "y": 1.0,
        }
    ]  # fmt: skip
    write_topics(tmp_path, topics)
    groups = {
        "group_id": [7, 7, 7], "doc_id": ["d0", "d1", "d1"], "passage_no": [1, 0, 2], "kept_doc_id": ["d0"] * 3,
        "kept_passage_no": [1] * 3, "cosine_to_kept": pa.array([1.0, 0.9, 0.8], pa.float32()), "size": [3] * 3,
    }  # fmt: skip
    write_table(f"{tmp_path}/duplicates/groups.parquet", pa.table(groups))
    counts = metrics(documents=4, passages=12, distinct_texts=12, quarantined=0, pairs=2, groups=1, duplicate_documents=1)
    return read_report(str(tmp_path), counts)


def test_examples_and_members_are_the_passages_that_the_tables_name(report):
    (topic,) = report.topics
    assert [(d.label, d.text) for d in topic.examples] == [
        ("d2 · passage 2", DOCUMENTS["d2"][2]),
        ("d1", DOCUMENTS["d1"][0]),
    ]
    (group,) = report.groups
    assert (group.kept.label, group.kept.text) == ("d0 · passage 1", DOCUMENTS["d0"][1])
    assert [(member.document.label, member.document.text, member.copies) for member in group.members] == [
        ("d1 · passage 2", DOCUMENTS["d1"][2], 1),
        ("d1", DOCUMENTS["d1"][0], 1),
    ]
    points = report.points
    assert len(points) == 12
    for doc_id, number, text in zip(points.doc_ids, points.passage_nos, points.texts, strict=True):
        assert text == DOCUMENTS[doc_id][number]


def test_passages_are_not_called_documents(report):
    page = render_html(report)
    assert "12 passages, one point each" in page
    assert "3 passages, 3 different texts" in page
    assert "1 documents with a replaceable passage" in page
    assert '"d2 · passage 2"' in page
    assert "3 passages, 3 different texts" in terminal_summary(report)
    assert "d0 · passage 1" in terminal_summary(report)


def test_documents_are_counted_where_the_metrics_do_not_say(report, tmp_path):
    assert read_report(str(tmp_path), {}).counts["documents"] == 4
