"""The smallest example: which questions of a help desk say the same, with the default model and the data in `examples/`."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from transforms.generations import open_generation

EXAMPLE = Path(__file__).parents[2] / "examples" / "help_desk.jsonl"

SAME = [
    ("How do I reset my password?", "I forgot my password, how can I change it?"),
    ("The app crashes as soon as I open the settings.", "Opening the settings page makes the application crash."),
    ("My parcel has not arrived although it was sent two weeks ago.", "Where is my package? The delivery is two weeks late."),
    ("How can I cancel my subscription?", "I would like to end my membership, what do I have to do?"),
]


def options(root, *settings):
    pairs = [f"corpus.input=[{EXAMPLE}]", "corpus.metadata_columns=[status,updated_at]", "duplicates.threshold=0.5", *settings]
    return ["--root", root, *(word for setting in pairs for word in ("--set", setting))]


@pytest.fixture(scope="module")
def questions():
    return [json.loads(line) for line in EXAMPLE.read_text().splitlines()]


def check_tables(rows, questions):
    """In each layer of themes every question is counted once by its status and once by its month."""
    for layer in range(3):
        for unit, values in (
            ("value", Counter(row["status"] for row in questions)),
            ("month", Counter(row["updated_at"][:7] for row in questions)),
        ):
            found = Counter()
            for row in rows:
                if row["kind"] == "theme" and row["layer"] == layer and row["unit"] == unit:
                    found[row["value"]] += row["documents"]
                    assert row["corpus_documents"] == values[row["value"]]
            assert found == values


def test_exactly_the_four_pairs_are_found_and_the_newest_of_each_is_kept(tmp_path, corpusbeam, minilm_spec, questions):
    counted = ("topics.tables=[status]", "topics.date_column=updated_at")
    ran = corpusbeam("reindex", *options(tmp_path / "root", "duplicates.keep=[newest:updated_at]", *counted))
    assert ran.code == 0, ran.err
    text_of = {row["id"]: row["text"] for row in questions}
    day_of = {row["id"]: row["updated_at"] for row in questions}
    generation = open_generation(str(tmp_path / "root"))
    pairs = pq.read_table(generation.path("duplicates/pairs.parquet")).to_pylist()
    found = {frozenset((text_of[row["doc_id_a"]], text_of[row["doc_id_b"]])) for row in pairs}
    assert found == set(map(frozenset, SAME))
    assert len(pairs) == 4
    assert {row["relation"] for row in pairs} == {"paraphrase"}
    assert all(row["margin"] > 2 for row in pairs)

    groups = pq.read_table(generation.path("duplicates/groups.parquet")).to_pylist()
    assert {(row["size"], row["kept_doc_id"] in day_of) for row in groups} == {(2, True)}
    for row in groups:
        other = next(
            member["doc_id"] for member in groups if member["doc_id"] != row["doc_id"] and member["group_id"] == row["group_id"]
        )
        assert day_of[row["kept_doc_id"]] == max(day_of[row["doc_id"]], day_of[other])
    assert any(
        row["kept_doc_id"] != min(member["doc_id"] for member in groups if member["group_id"] == row["group_id"])
        for row in groups
    )

    check_tables(pq.read_table(generation.path("topics/tables.parquet")).to_pylist(), questions)

    texts = pq.read_table(generation.path("duplicates/texts.parquet")).to_pylist()
    assert sorted(row["doc_id"] for row in texts) == sorted(row["doc_id"] for row in groups)
    assert all(row["complete"] for row in texts)
    stage = json.loads(Path(generation.path("metrics.json")).read_text())["stages"]["duplicates"]
    assert (stage["pairs"], stage["complete"], stage["incomplete_because"], stage["pairs_dropped"]) == (4, True, [], 0)
    assert generation.manifest.counts["pairs_dropped"] == 0


def test_a_column_without_dates_is_an_error_before_anything_is_embedded(tmp_path, corpusbeam, minilm_spec):
    ran = corpusbeam("reindex", *options(tmp_path / "root", "duplicates.keep=[newest:status]"))
    assert ran.code == 2
    assert "'newest:status'" in ran.err
    assert not (tmp_path / "root" / "vectors").exists()


def test_a_column_that_is_not_read_is_an_error_before_anything_is(tmp_path, corpusbeam):
    ran = corpusbeam("reindex", *options(tmp_path / "root", "duplicates.keep=[column:priority:desc, longest]"))
    assert ran.code == 2
    assert "duplicates.keep names the column 'priority'" in ran.err
    assert "corpus.metadata_columns" in ran.err
    assert "['status', 'updated_at']" in ran.err
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["topics.tables=[status]", "topics.table_values=1"], "topics.tables has the column 'status', which has more than 1"),
        (["topics.date_column=status"], "topics.date_column='status': no value of the column is a date"),
    ],
)
def test_a_column_that_cannot_be_counted_stops_the_run_before_anything_is_embedded(
    settings, message, tmp_path, corpusbeam, minilm_spec
):
    ran = corpusbeam("reindex", *options(tmp_path / "root", *settings))
    assert ran.code == 2
    assert message in ran.err
    assert not (tmp_path / "root" / "vectors").exists()
