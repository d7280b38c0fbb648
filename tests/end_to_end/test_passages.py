"""A whole run with documents split into passages, against transformers' tokenizer, sentence-transformers and brute force."""

import inspect
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sentence_transformers import SentenceTransformer

from pipelines.config import load_config
from pipelines.reindex import reindex
from pipelines.search import search
from transforms.embedding import EmbeddingOptions, encoder_spec
from transforms.generations import Generation, open_generation

TOKENS, OVERLAP, THRESHOLD = 100, 20, 0.7
SETTINGS = [
    "embedding.precision=fp32",
    f"corpus.passage_tokens={TOKENS}",
    f"corpus.passage_overlap={OVERLAP}",
    "corpus.metadata_columns=[words]",
    "corpus.rows_per_part=16",
    f"duplicates.threshold={THRESHOLD}",
    "neighbors.k=16",
    "topics.min_cluster_size=5",
]
NEEDLE = "The lighthouse keeper feeds three orange cats before the ferry arrives."


def _documents() -> dict[str, str]:
    """Long real texts: all docstrings of one class or module each; one has a sentence of its own near the end."""
    import argparse
    import logging
    import random
    import statistics

    texts = {}
    for owner in (np.random.Generator, np.linalg, argparse, logging, random, statistics, str):
        docs = [inspect.getdoc(member) for name, member in sorted(vars(owner).items()) if not name.startswith("_")]
        texts[owner.__name__] = "\n\n".join(doc for doc in docs if doc)[:6_000].strip()
    texts["haystack"] = f"{texts['str']}\n\n{NEEDLE}\n\n{texts['random'][:300]}".strip()
    texts["short"] = "A text that fits."
    texts["short copy"] = texts["short"]
    # The same paragraphs at the same places: equal passages of two documents, and of one document.
    paragraph = "Every paragraph of this document says the same words in the same order. " * 6
    texts["repeated"] = "\n\n".join([paragraph.strip()] * 5)
    texts["repeated copy"] = texts["repeated"]
    return texts


@pytest.fixture(scope="session")
def documents() -> dict[str, str]:
    return _documents()


@pytest.fixture(scope="session")
def published(tmp_path_factory, documents) -> Generation:
    folder = tmp_path_factory.mktemp("passages")
    rows = [{"id": doc_id, "text": text, "words": len(text.split())} for doc_id, text in documents.items()]
    pq.write_table(pa.Table.from_pylist(rows), folder / "corpus.parquet")
    outcome = reindex(_config(folder))
    assert outcome.published
    return open_generation(str(folder / "root"))


def _config(folder: Path):
    return load_config(None, SETTINGS, {"root": str(folder / "root"), "corpus.input": [str(folder / "corpus.parquet")]})


@pytest.fixture(scope="session")
def model() -> SentenceTransformer:
    return SentenceTransformer(encoder_spec(EmbeddingOptions()).folder, device="cpu", local_files_only=True)


@pytest.fixture(scope="session")
def passages(published) -> dict[tuple[str, int], str]:
    """The published passages in the order of the tables."""
    tables = [pq.read_table(published.checked(file)) for file in published.manifest.under("documents")]
    rows = pa.concat_tables(tables).to_pylist()
    return {(row["doc_id"], row["passage_no"]): row["text"] for row in rows}


@pytest.fixture(scope="session")
def vectors(passages, model) -> dict[tuple[str, int], np.ndarray]:
    texts = sorted(set(passages.values()))
    encoded = dict(zip(texts, model.encode(texts, normalize_embeddings=True), strict=True))
    return {passage: encoded[text] for passage, text in passages.items()}


def test_windows_fit_the_model_cover_the_documents_and_overlap(passages, documents, model, published):
    def tokens(text: str) -> int:
        return len(model.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])

    of_document = defaultdict(list)
    for (doc_id, number), text in passages.items():
        assert number == len(of_document[doc_id])
        of_document[doc_id].append(text)
    assert set(of_document) == set(documents)
    for doc_id, texts in of_document.items():
        document = documents[doc_id]
        if tokens(document) <= TOKENS:
            assert texts == [document]
            continue
        assert all(tokens(text) <= TOKENS for text in texts)
        # A document may repeat itself: a passage is where it begins and ends later than the one before.
        places, at, reached = [], 0, 0
        for text in texts:
            at = document.index(text, max(at, reached + 1 - len(text)))
            reached = at + len(text)
            places.append((at, reached))
            at += 1
        assert places[0][0] == 0
        assert places[-1][1] == len(document)
        for (_, high), (low, next_high) in pairwise(places):
            assert not document[high:low].strip()
            assert next_high > high
            if doc_id in ("argparse", "logging", "haystack"):
                assert OVERLAP // 2 - 2 <= tokens(document[low:high]) <= OVERLAP + 2
    counts = published.manifest.counts
    assert (counts["documents"], counts["passages"]) == (len(documents), len(passages))
    assert counts["passages"] > 10 * counts["documents"]
    assert counts["distinct_texts"] == len(set(passages.values())) < len(passages)
    assert counts["texts_truncated"] == 0


def test_metadata_is_repeated_and_rows_are_in_order(published, documents):
    import hashlib

    rows = [row for file in published.manifest.under("documents") for row in pq.read_table(published.checked(file)).to_pylist()]
    assert all(row["words"] == len(documents[row["doc_id"]].split()) for row in rows)
    order = [(hashlib.sha256(row["doc_id"].encode()).digest()[:8], row["doc_id"], row["passage_no"]) for row in rows]
    assert order == sorted(order)


def test_indexed_vectors_are_the_models(published, passages, vectors):
    index = faiss.read_index(published.path("index/index.faiss"))
    rows = pq.read_table(published.path("index/ids.parquet")).to_pylist()
    assert {(row["doc_id"], row["passage_no"]) for row in rows} == set(passages)
    assert len(rows) == len(passages)
    for row in rows:
        assert index.reconstruct(row["id"]) @ vectors[row["doc_id"], row["passage_no"]] > 0.999999


def test_search_finds_what_truncation_would_have_lost(published, documents, model, passages, vectors):
    (hit, *others) = search(published.root, NEEDLE, 5)["hits"]
    assert hit["doc_id"] == "haystack"
    assert "keeper feeds three orange cats before the ferry arrives." in hit["text"]
    assert any(NEEDLE in text for (doc_id, _), text in passages.items() if doc_id == "haystack")
    assert hit["text"] == passages["haystack", hit["passage_no"]]
    assert hit["passage_no"] > 5
    assert len({other["doc_id"] for other in others} | {"haystack"}) == 5
    query = model.encode_query([NEEDLE], normalize_embeddings=True)[0]
    best = defaultdict(lambda: -1.0)
    for (doc_id, _), vector in vectors.items():
        best[doc_id] = max(best[doc_id], float(vector @ query))
    assert [found["doc_id"] for found in (hit, *others)] == sorted(best, key=lambda doc_id: (-round(best[doc_id], 5), doc_id))[
        :5
    ]
    whole = dict(zip(documents, model.encode(list(documents.values()), normalize_embeddings=True) @ query, strict=True))
    assert max(whole, key=whole.get) != "haystack"
    assert hit["score"] > whole["haystack"] + 0.3


def test_no_pair_joins_a_document_to_itself_and_none_is_missed(published, passages, vectors):
    rows = pq.read_table(published.path("duplicates/pairs.parquet")).to_pylist()
    assert all(row["doc_id_a"] < row["doc_id_b"] for row in rows)
    for row in rows:
        a, b = (row["doc_id_a"], row["passage_no_a"]), (row["doc_id_b"], row["passage_no_b"])
        assert row["cosine"] == pytest.approx(float(vectors[a] @ vectors[b]), abs=1e-5)
        assert (row["relation"] == "exact") == (passages[a] == passages[b])
    owners = defaultdict(set)
    for (doc_id, _), text in passages.items():
        owners[text].add(doc_id)
    found = {
        frozenset((passages[row["doc_id_a"], row["passage_no_a"]], passages[row["doc_id_b"], row["passage_no_b"]]))
        for row in rows
    }
    vector_of = {passages[passage]: vector for passage, vector in vectors.items()}
    texts = list(owners)
    cosines = np.triu(np.stack([vector_of[text] for text in texts]) @ np.stack([vector_of[text] for text in texts]).T, 1)
    own = 0
    for i, j in np.argwhere(cosines >= THRESHOLD + 1e-5).tolist():
        between_documents = len(owners[texts[i]] | owners[texts[j]]) > 1
        assert (frozenset((texts[i], texts[j])) in found) == between_documents
        own += not between_documents
    assert own > 10
    assert {("short", "short copy"), ("repeated", "repeated copy")} <= {
        (row["doc_id_a"], row["doc_id_b"]) for row in rows if row["relation"] == "exact"
    }


def test_groups_name_passages_and_hold_no_other_of_the_kept_document(published, vectors):
    rows = pq.read_table(published.path("duplicates/groups.parquet")).to_pylist()
    assert rows
    passages = [(row["doc_id"], row["passage_no"]) for row in rows]
    assert len(set(passages)) == len(passages)
    for row in rows:
        own, kept = (row["doc_id"], row["passage_no"]), (row["kept_doc_id"], row["kept_passage_no"])
        assert own == kept or own[0] != kept[0]
        assert row["cosine_to_kept"] == pytest.approx(float(vectors[own] @ vectors[kept]), abs=1e-5)
        assert row["cosine_to_kept"] >= np.float32(THRESHOLD)


def test_topics_count_documents(published, passages):
    assignments = pq.read_table(published.path("topics/assignments.parquet")).to_pylist()
    assert [(row["doc_id"], row["passage_no"]) for row in assignments] == list(passages)
    topics = pq.read_table(published.path("topics/topics.parquet")).to_pylist()
    assert topics
    for topic in topics:
        members = {row["doc_id"] for row in assignments if row["topic_id"] == topic["topic_id"]}
        assert topic["documents"] == len(members)
        shown = topic["representative_doc_ids"]
        assert len(set(shown)) == len(shown)
    noise = {row["doc_id"] for row in assignments} - {row["doc_id"] for row in assignments if row["topic_id"] >= 0}
    assert published.manifest.counts["noise_documents"] == len(noise)


def test_an_unchanged_corpus_publishes_nothing(published):
    assert not reindex(_config(Path(published.root).parent)).published


def test_a_window_too_large_for_the_model_is_refused_before_anything_is_written(corpusbeam, tmp_path):
    ran = corpusbeam("reindex", "--root", tmp_path / "root", "--input", tmp_path, "--set", "corpus.passage_tokens=300")
    assert ran.code == 2
    assert "corpus.passage_tokens 300" in ran.err
    assert "at most 254" in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert not (tmp_path / "root").exists()


def test_the_command_line_says_which_passage(published, corpusbeam):
    ran = corpusbeam("search", "--root", published.root, NEEDLE, "-k", 1, "--format", "json")
    (hit,) = ran.json["hits"]
    assert list(hit) == ["rank", "doc_id", "passage_no", "score", "metric", "text", "metadata", "theme", "topic", "duplicates"]
    lines = corpusbeam("search", "--root", published.root, NEEDLE, "-k", 1).out
    assert f"haystack · passage {hit['passage_no']}" in lines
