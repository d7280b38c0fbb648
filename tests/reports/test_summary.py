from pathlib import Path

import numpy as np
import pytest

from tests.reports.generation import metrics, write_documents, write_pairs, write_quarantine, write_topics
from transforms.files import CorruptFileError, read_json
from transforms.reports import ReportOptions, read_report, render_html
from transforms.reports.summary import Report


def read(folder: Path, **options: int) -> Report:
    return read_report(str(folder), read_json(f"{folder}/metrics.json"), ReportOptions(**options), title="Pets")


def test_a_whole_generation(generation: Path) -> None:
    report = read(generation)
    assert report.counts["documents"] == 40
    assert report.exact_copies == 1
    assert report.model == "all-MiniLM-L6-v2"
    assert [stage.name for stage in report.stages] == ["corpus", "embed", "topics"]
    assert report.seconds == pytest.approx(179.325)
    assert report.peak_rss_mb == 1710.4
    assert dict(report.stages[1].counts) == {"texts_embedded": 1234567, "texts_reused": 0}
    assert [(row.own, row.k, row.recall, row.low, row.queries) for row in report.recall] == [
        (True, 1, 0.998, 0.994, 500),
        (True, 10, 0.9912, 0.987, 500),
        (False, 10, 0.95, 0.9, 40),
    ]
    assert len(report.points) == 40
    assert report.groups[0].texts == 3
    assert report.texts_kept


def test_topics_have_terms_by_weight_and_examples_with_text(tmp_path: Path) -> None:
    write_documents(tmp_path, {"a": "text of a"})
    base = {"topic_uid": None, "title": None, "term_weights": [0.1, 0.9], "terms": ["low", "high"]}
    write_topics(
        tmp_path,
        [
            {**base, "topic_id": 0, "documents": 5, "representative_doc_ids": ["a", "gone"], "x": 1.0, "y": 2.0},
            {**base, "topic_id": 1, "documents": 9, "representative_doc_ids": None, "x": None, "y": None},
            {**base, "topic_id": -1, "documents": 99, "representative_doc_ids": [], "x": None, "y": None},
        ],
    )
    large, small = read_report(str(tmp_path), {}).topics
    assert (large.topic_id, large.documents, large.position, large.examples) == (1, 9, None, ())
    assert (small.position, small.title) == ((1.0, 2.0), "high, low")
    assert [term for term, _ in small.terms] == ["high", "low"]
    assert [(document.doc_id, document.text) for document in small.examples] == [("a", "text of a"), ("gone", None)]


def test_a_document_at_the_border_is_shown_once_and_with_the_other_topic(generation: Path) -> None:
    cats, boats = read(generation).topics
    assert [(one.document.label, one.other_id) for one in cats.border] == [("doc10", 1)]  # doc02 is a typical one
    assert [(one.document.label, one.other_id) for one in boats.border] == [("doc11", 0)]
    assert cats.border[0].document.text == "Text number 10 about cats"
    assert "near “boats”" in render_html(read(generation))


def test_histogram_of_cosines_against_numpy(tmp_path: Path) -> None:
    cosines = np.random.default_rng(1).uniform(0.75, 1, 5000).astype(np.float32)
    write_pairs(tmp_path, cosines.tolist(), ["near"] * 5000)
    pairs = read_report(str(tmp_path), {}).pairs
    expected, edges = np.histogram(cosines, bins=25, range=(0.75, 1))
    assert pairs.bins == tuple(expected)
    assert pairs.edges == pytest.approx(tuple(edges))
    assert pairs.total == 5000


def test_histogram_edges_belong_to_the_bin_that_begins_there(tmp_path: Path) -> None:
    write_pairs(tmp_path, [0.76, 0.77, 0.779, 1.0000001], ["near", "near", "paraphrase", "exact"])
    pairs = read_report(str(tmp_path), {}).pairs
    assert (pairs.edges[0], pairs.edges[-1], pairs.bins[:2], pairs.bins[-1]) == (0.76, 1.0, (1, 2), 1)
    assert pairs.relations == (("exact", 1), ("near", 2), ("paraphrase", 1))


def test_quarantine_by_reason_over_files(tmp_path: Path) -> None:
    rows = [("f", i, None, "empty-text", "", None) for i in range(5)]
    write_quarantine(tmp_path, rows)
    write_quarantine(tmp_path, [*rows, ("s3://u:pw@b/g", None, "z", "unreadable-file", "at ftp://u:pw@h/", "y" * 999)], part=1)
    empty, unreadable = read_report(str(tmp_path), {}, ReportOptions(example_characters=50)).quarantine
    assert (empty.reason, empty.rows, [example.row for example in empty.examples]) == ("empty-text", 10, [0, 1, 2])
    (example,) = unreadable.examples
    assert (example.source, example.row, example.doc_id) == ("s3://***@b/g", None, "z")
    assert (example.detail, example.excerpt) == ("at ftp://***@h/", "y" * 50)


def test_an_empty_folder_is_an_empty_report(tmp_path: Path) -> None:
    report = read_report(str(tmp_path), {})
    assert report.counts == {"documents": 0, "topics": 0, "pairs": 0, "quarantined": 0}
    assert (report.topics, report.groups, report.pairs.total, report.recall, report.quarantine, report.stages) == (
        (),
        (),
        0,
        (),
        (),
        (),
    )
    assert (report.exact_copies, report.model, report.peak_rss_mb, report.seconds) == (None, None, None, 0)


def test_counts_are_completed_from_the_tables(tmp_path: Path) -> None:
    write_documents(tmp_path, {f"d{i}": "t" for i in range(11)})
    write_quarantine(tmp_path, [("f", 1, None, "empty-text", "", None)])
    counts = read_report(str(tmp_path), metrics()).counts
    assert (counts["documents"], counts["quarantined"]) == (11, 1)


def test_a_damaged_file_is_named(generation: Path) -> None:
    path = generation / "duplicates/pairs.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CorruptFileError, match=r"pairs\.parquet"):
        read(generation)


def test_secrets_in_the_configuration_and_the_encoder_are_masked(tmp_path: Path) -> None:
    report = read_report(str(tmp_path), {"encoder": {"hf_token": "abc"}}, configuration={"input": "s3://u:pw@b/x"})
    assert (report.encoder, report.configuration) == ({"hf_token": "***"}, {"input": "s3://***@b/x"})
