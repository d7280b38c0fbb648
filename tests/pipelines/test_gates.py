"""Each gate with numbers on both sides of its limit."""

import math
from types import SimpleNamespace

import pytest

from pipelines.changes import ChangesResult
from pipelines.config import load_config
from pipelines.gates import (
    Allowed,
    VectorsResult,
    deletions_refused,
    disagreements,
    gate_lines,
    measure_gates,
    refusal,
)
from transforms.changes import Changes
from transforms.files import FileRef
from transforms.index import SetRecall

CONFIG = load_config(None, ["corpus.max_deleted_fraction=0.1", "corpus.max_quarantine_fraction=0.05", "index.recall_gate=0.9"])


def found(unreadable: int = 0, **changes: int) -> ChangesResult:
    return ChangesResult("20260101T000000Z-0a1b2c3d", Changes(**changes), unreadable)


@pytest.mark.parametrize(
    ("result", "allowed", "words"),
    [
        (found(unchanged=90, deleted=10), Allowed(), None),
        (found(unchanged=89, deleted=11), Allowed(), "11 of the 100 published documents (11.0%) are missing from the input"),
        (found(unchanged=89, deleted=11), Allowed(deletes=True), None),
        # Whoever allows an empty corpus does not allow the loss of half of it.
        (found(unchanged=50, deleted=50), Allowed(empty=True), "--allow-deletes"),
        (found(deleted=100), Allowed(empty=True), None),
        (found(deleted=90, quarantined=10), Allowed(empty=True), None),
        # New documents make up for none that is gone.
        (found(added=1000, unchanged=8, deleted=2), Allowed(), "20.0%"),
        # What is in quarantine is not gone; it has a gate of its own.
        (found(unchanged=80, quarantined=20), Allowed(), None),
        (found(unreadable=1, unchanged=99, deleted=1), Allowed(), "while 1 input file could not be read"),
        (found(unreadable=2, unchanged=99, deleted=1), Allowed(), "while 2 input files could not be read"),
        (found(unreadable=2, unchanged=99, deleted=1), Allowed(deletes=True), None),
        (found(unreadable=1, unchanged=100), Allowed(), None),
        (found(added=5), Allowed(), None),
    ],
)
def test_deletions(result, allowed, words):
    refused = deletions_refused(CONFIG, result, allowed)
    assert (refused is None) if words is None else (words in refused and "--allow-deletes" in refused)


def test_a_limit_of_0_and_of_1():
    one = found(unchanged=99, deleted=1)
    assert deletions_refused(load_config(None, ["corpus.max_deleted_fraction=0"]), one, Allowed())
    assert not deletions_refused(load_config(None, ["corpus.max_deleted_fraction=1"]), found(deleted=9), Allowed())


def results(
    documents: int = 10,
    passages: int = 12,
    texts: int = 11,
    recall: float = 0.95,
    asked: float | None = None,
    certificate=None,
):
    """What the stages say of a corpus in which all numbers agree."""
    file = lambda rows: FileRef("/none", 1, rows, "x")  # noqa: E731
    corpus = SimpleNamespace(
        rows=documents,
        passages=passages,
        counts={"rows_read": documents, "quarantined": 0, "not_sampled": 0},
        parts=[SimpleNamespace(documents=file(passages))],
    )
    parts = SimpleNamespace(rows=texts, files=[file(texts - 4), file(4)])
    later = SimpleNamespace(
        topics=SimpleNamespace(assigned=[file(passages)]),
        index=SimpleNamespace(counts={"texts_indexed": texts}),
        neighbors=SimpleNamespace(published=[file(texts)], certificate=certificate),
        recall=SimpleNamespace(
            measured=SimpleNamespace(
                sets=[
                    SetRecall(name, 200, (0.5, value, 0.5), (0.4, value - 0.01, 0.4), (0.6, value + 0.01, 0.6))
                    for name, value in (("corpus", recall), *([] if asked is None else [("file", asked)]))
                ]
            )
        ),
    )
    return corpus, parts, VectorsResult(texts, 0, 1e-7), later


def test_counts_that_agree_and_each_that_does_not():
    assert disagreements(*results()) == []
    corpus, passages, _, later = results()
    corpus.parts[0].documents = FileRef("/none", 1, 11, "x")
    later.topics.assigned = [FileRef("/none", 1, 13, "x")]
    passages.files.pop()
    later.index.counts["texts_indexed"] = 10
    later.neighbors.published = []
    assert disagreements(corpus, passages, VectorsResult(12, 0, 0.0), later) == [
        "12 passages of the documents but 11 rows of the documents",
        "12 passages of the documents but 13 topic assignments",
        "11 distinct texts but 7 rows of the passages",
        "11 distinct texts but 12 vectors",
        "11 distinct texts but 10 index entries",
        "11 distinct texts but 0 neighbour lists",
    ]


def gates_of(*, changes=None, vectors=None, unit=True, allowed=Allowed(), read=10, differing=0, **values):
    corpus, passages, measured, later = results(**values)
    corpus.counts["rows_read"] = read
    found_changes = changes or found(unchanged=10)
    gates = measure_gates(
        CONFIG, corpus, found_changes, passages, vectors or measured, later, differing, unit=unit, allowed=allowed
    )
    return {gate.name: gate for gate in gates}


def test_all_gates_of_a_good_run_pass_and_have_their_numbers():
    gates = gates_of(changes=found(unchanged=99, deleted=1))
    assert all(gate.passed for gate in gates.values())
    assert {name: (gate.value, gate.limit) for name, gate in gates.items()} == {
        "rows_lost": (0, 0),
        "counts_add_up": (0, 0),
        "quarantine_share": (0, 0.05),
        "deleted_share": (0.01, 0.1),
        "vectors_not_finite": (0, 0),
        "unit_length": (1e-7, 1e-3),
        "checksums": (0, 0),
        "recall_at_10": (0.95, 0.9),
    }
    assert refusal(gates.values(), "/r.html") is None
    assert [line.split()[-1] for line in gate_lines(gates.values())] == ["passed"] * 8


@pytest.mark.parametrize(
    ("bad", "name"),
    [
        ({"read": 11}, "rows_lost"),
        ({"changes": found(unchanged=8, deleted=2)}, "deleted_share"),
        ({"vectors": VectorsResult(11, 1, 0.0)}, "vectors_not_finite"),
        ({"vectors": VectorsResult(11, 0, 2e-3)}, "unit_length"),
        ({"vectors": VectorsResult(11, 0, math.nan)}, "unit_length"),
        ({"vectors": VectorsResult(10, 0, 0.0)}, "counts_add_up"),
        ({"recall": 0.89}, "recall_at_10"),
        ({"recall": 0.95, "asked": 0.89}, "recall_at_10_file"),
        ({"differing": 1}, "checksums"),
    ],
)
def test_exactly_the_gate_that_should_refuse_does(bad, name):
    gates = gates_of(**bad)
    assert [gate.name for gate in gates.values() if not gate.passed] == [name]
    said = refusal(gates.values(), "/r.html")
    assert said.startswith(f"gate {name} refused: ")
    assert said.endswith("Nothing was published; the report of this run is /r.html")


def test_vectors_for_inner_products_may_have_any_length():
    gates = gates_of(vectors=VectorsResult(11, 0, 17.5), unit=False)
    assert "unit_length" not in gates
    assert gates["vectors_not_finite"].passed


@pytest.mark.parametrize(("recall", "passed"), [(0.98, True), (0.9799, False), (math.nan, False)])
def test_an_approximate_graph_has_a_gate_of_its_own(recall, passed):
    certificate = SimpleNamespace(recall=recall, k=32, texts=2000)
    gate = gates_of(certificate=certificate)["neighbors_recall"]
    assert (gate.limit, gate.passed) == (0.98, passed)
    assert gate.meaning == "recall@32 of the approximate neighbour graph on 2,000 texts; see neighbors.recall_gate"
    assert "neighbors_recall" not in gates_of()


def test_deletions_that_are_allowed_pass_with_their_number():
    gate = gates_of(changes=found(unchanged=8, deleted=2), allowed=Allowed(deletes=True))["deleted_share"]
    assert (gate.value, gate.limit, gate.passed) == (0.2, 1, True)


def test_the_gates_of_recall_say_their_interval():
    gates = gates_of(recall=0.95, asked=0.97)
    assert gates["recall_at_10"].meaning == (
        "recall@10 of the index against exact search, 95 % interval 0.9400 to 0.9600 by 200 texts of the corpus; "
        "see index.recall_gate"
    )
    assert "0.9600 to 0.9800 by 200 queries of index.recall_queries_file" in gates["recall_at_10_file"].meaning
