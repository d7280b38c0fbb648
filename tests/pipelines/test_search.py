"""The searcher of a root: one generation for each call, whatever is published and reloaded meanwhile."""

import importlib.metadata
import json
import threading
from datetime import datetime
from types import SimpleNamespace

import pytest

from pipelines.search import Searcher, hit_facts, hit_lines, word_warnings
from tests.generations.test_readers_during_publishes import OneQuery, publish
from transforms.embedding import EmbeddingOptions
from transforms.files import CorruptFileError
from transforms.generations import GenerationError
from transforms.search import Hit


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.search.published_embedding", lambda *_: EmbeddingOptions())
    monkeypatch.setattr("transforms.search.searcher.matching_spec", lambda *_: SimpleNamespace(metric="cosine"))
    monkeypatch.setattr("transforms.search.searcher.load_query_encoder", lambda *_: OneQuery())
    return str(tmp_path / "root")


def number_of(hits) -> int:
    """The generation that all of all hits is of: its number is in every text, column and topic."""
    (number,) = {
        number
        for hit in hits
        for number in (
            int(hit.text.rsplit(" ", 1)[1]),
            hit.metadata["number"],
            int(hit.topic.topic_uid[1:]),
            int(hit.topic.title.rsplit(" ", 1)[1]),
        )
    }
    return number


def test_a_newer_generation_answers_after_a_reload_and_not_before(root):
    first = publish(root, 0, None)
    searcher = Searcher(root)
    pinned = searcher.pinned()
    second = publish(root, 1, first)
    assert (searcher.generation, number_of(searcher.search(["x"], 5)[0])) == (first, 0)
    assert searcher.reload()
    assert (searcher.generation, number_of(searcher.search(["x"], 5)[0])) == (second, 1)
    assert searcher.manifest.generation == second
    assert not searcher.reload()
    assert number_of(pinned.search(["x"], 5)[0]) == 0


def test_where_the_newer_one_cannot_be_opened_the_old_one_stays(root, tmp_path):
    first = publish(root, 0, None)
    searcher = Searcher(root)
    second = publish(root, 1, first)
    (tmp_path / "root" / "generations" / second / "index" / "index.faiss").write_bytes(b"damaged")
    for _ in range(2):
        with pytest.raises(CorruptFileError, match=r"index\.faiss"):
            searcher.reload()
    assert (searcher.generation, number_of(searcher.search(["x"], 5)[0])) == (first, 0)
    (tmp_path / "root" / "CURRENT").write_text("nonsense\n")
    with pytest.raises(GenerationError, match="not a generation id"):
        searcher.reload()
    assert number_of(searcher.search(["x"], 5)[0]) == 0


def test_no_answer_is_a_mixture_while_threads_search_and_one_reloads(root):
    current = publish(root, 0, None)
    searcher = Searcher(root)
    seen, stop, errors = set(), threading.Event(), []

    def ask():
        try:
            while not stop.is_set():
                # One call is one generation's, whatever is published between its queries.
                seen.add(number_of([hit for hits in searcher.search(["x", "y"], 7) for hit in hits]))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, 15):
            current = publish(root, number, current)
            assert searcher.reload()
            # Somebody has asked the new one before the next is published.
            while number not in seen and not errors:
                stop.wait(0.001)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors
    assert seen >= set(range(1, 15))


def test_nothing_published_is_said(root):
    with pytest.raises(GenerationError, match="nothing is published"):
        Searcher(root)


def test_hits_as_lines_and_json(root):
    publish(root, 0, None)
    hits = [hit_facts(hit) for hit in Searcher(root).search(["x"], 2)[0]]
    hits[0] |= {"metadata": {"section": "net", "empty": None}, "duplicates": ["a", "b"]}
    hits[0]["topic"] = {"topic_id": -1, "assigned_topic_id": 3, "topic_uid": "u", "title": "dates"}
    hits[1] |= {"metadata": {}, "topic": None, "theme": {"theme_id": 1, "theme_uid": "u", "title": "time"}}
    lines = hit_lines(hits)
    assert [line.strip() for line in lines] == [
        "1  1.000  d00",
        "text 0 of generation 0",
        "section net · near topic dates",
        "and 2 that say the same: a, b",
        f"2  {hits[1]['score']:.3f}  {hits[1]['doc_id']}",
        hits[1]["text"],
        "theme time",
    ]
    assert hit_lines([]) == ["no answer"]


def test_metadata_is_json_whatever_the_corpus_had():
    metadata = {"price": float("nan"), "most": float("inf"), "half": 0.5, "none": None, "when": datetime(2024, 5, 31)}
    facts = hit_facts(Hit(1, "d", 0, 0.5, "cosine", None, metadata, None, None))
    assert facts["metadata"] == {"price": None, "most": None, "half": 0.5, "none": None, "when": "2024-05-31T00:00:00"}
    json.dumps(facts, allow_nan=False)


def test_words_that_another_stemmer_has_cut_are_warned_of():
    here = importlib.metadata.version("PyStemmer")
    for built, mode, warned in ((here, "lexical", 0), ("0.9", "dense", 0), ("0.9", "lexical", 1), ("0.9", "hybrid", 1)):
        generation = SimpleNamespace(id="g", manifest=SimpleNamespace(versions={"PyStemmer": built}))
        found = word_warnings(generation, mode)
        assert len(found) == warned
        assert all(f"by PyStemmer 0.9, those of a query are by {here}" in one for one in found)
