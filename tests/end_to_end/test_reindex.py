"""The whole run on real text against plain libraries, on every engine, and read by tools that know nothing of it."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import bm25s
import duckdb
import faiss
import hdbscan
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import Stemmer
from sentence_transformers import SentenceTransformer

from pipelines.config import load_config
from pipelines.reindex import reindex
from transforms.embedding import EmbeddingOptions, encoder_spec
from transforms.generations import Generation, open_generation
from transforms.lexical import open_lexical

THRESHOLD = 0.7
SETTINGS = [
    # The oracles below compute in fp32; what "auto" chooses depends on the machine.
    "embedding.precision=fp32",
    "corpus.metadata_columns=[module]",
    "corpus.rows_per_part=64",
    f"duplicates.threshold={THRESHOLD}",
    "neighbors.k=24",
    "neighbors.rows_per_tile=64",
    "index.rows_per_shard=64",
    "topics.min_cluster_size=8",
    "search.lexical=true",
]
EVERY_BUNDLE_TWICE = ("--direct_runner_bundle_repeat=1",)
PORTABLE = ("--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK")


def _real_texts() -> list[dict[str, str]]:
    """Docstrings of numpy's and the standard library's functions: some hundred real texts that are always there."""
    import argparse
    import logging
    import pathlib
    import random
    import statistics

    rows = []
    for module in (np.linalg, np.random, statistics, random, pathlib, argparse, logging):
        for name, member in sorted(vars(module).items()):
            text = inspect.getdoc(member)
            if callable(member) and not name.startswith("_") and text and text.strip():
                rows.append({"id": f"{module.__name__}.{name}", "text": text, "module": module.__name__})
    # Texts that several documents share, as every real corpus has them.
    rows += [{**row, "id": f"{row['id']}-copy"} for row in rows[:5]]
    return rows


@pytest.fixture(scope="session")
def rows() -> list[dict[str, str]]:
    return _real_texts()


def _publish(folder: Path, rows: list[dict[str, str]], *beam_options: str) -> Generation:
    """Write the corpus in several files and reindex it."""
    source = folder / "corpus"
    source.mkdir(parents=True)
    for number in range(3):
        pq.write_table(pa.Table.from_pylist(rows[number::3]), source / f"{number}.parquet")
    overrides = {"root": str(folder / "root"), "corpus.input": [str(source)], "runner.beam_options": beam_options}
    assert reindex(load_config(None, SETTINGS, overrides)).published
    return open_generation(str(folder / "root"))


@pytest.fixture(scope="session")
def published(tmp_path_factory, rows) -> Generation:
    return _publish(tmp_path_factory.mktemp("published"), rows)


def _table(generation: Generation, folder: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(generation.checked(file)) for file in generation.manifest.under(folder)])


@pytest.fixture(scope="session")
def oracle(rows) -> dict[str, np.ndarray]:
    """Vectors of all distinct texts as sentence-transformers gives them."""
    texts = sorted({row["text"] for row in rows})
    model = SentenceTransformer(encoder_spec(EmbeddingOptions()).folder, device="cpu", local_files_only=True)
    return dict(zip(texts, model.encode(texts, normalize_embeddings=True), strict=True))


def test_documents_are_the_rows(published, rows):
    table = _table(published, "documents").select(["doc_id", "text", "module"]).to_pylist()
    assert sorted((row["doc_id"], row["text"], row["module"]) for row in table) == sorted(
        (row["id"], row["text"], row["module"]) for row in rows
    )


def test_indexed_vectors_are_the_models(published, rows, oracle):
    index = faiss.read_index(published.path("index/index.faiss"))
    assert index.ntotal == len(oracle)
    text_of = {row["id"]: row["text"] for row in rows}
    for row in pq.read_table(published.path("index/ids.parquet")).to_pylist():
        assert index.reconstruct(row["id"]) @ oracle[text_of[row["doc_id"]]] > 0.999999


def test_neighbours_are_brute_force(published, rows, oracle):
    ids = pq.read_table(published.path("index/ids.parquet"))
    text_of = {row["id"]: row["text"] for row in rows}
    text_of_id = {row["id"]: text_of[row["doc_id"]] for row in ids.to_pylist()}
    order = sorted(text_of_id)
    vectors = np.stack([oracle[text_of_id[i]] for i in order]).astype(np.float64)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    table = _table(published, "neighbors")
    assert table["id"].to_pylist() == order
    for row, listed in enumerate(table.to_pylist()):
        expected = np.sort(cosines[row])[::-1][:24]
        np.testing.assert_allclose(listed["cosines"], expected, atol=2e-6)
        found = cosines[row][np.searchsorted(order, listed["neighbor_ids"])]
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_pairs_are_brute_force_and_groups_hold_their_promise(published, rows, oracle):
    first: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        first.setdefault(row["text"], row["id"])
    texts = list(oracle)
    cosines = np.stack([oracle[text] for text in texts]).astype(np.float64)
    cosines = cosines @ cosines.T
    pairs = pq.read_table(published.path("duplicates/pairs.parquet")).to_pylist()
    found = {frozenset((row["doc_id_a"], row["doc_id_b"])) for row in pairs if row["relation"] != "exact"}
    sure, possible = (
        {
            frozenset((first[texts[i]], first[texts[j]]))
            for i, j in np.argwhere(np.triu(cosines >= THRESHOLD + margin, 1)).tolist()
        }
        for margin in (1e-5, -1e-5)
    )
    assert sure <= found <= possible
    exact = {frozenset((row["doc_id_a"], row["doc_id_b"])) for row in pairs if row["relation"] == "exact"}
    assert exact == {frozenset((row["id"], first[row["text"]])) for row in rows if row["id"] != first[row["text"]]}
    text_of = {row["id"]: row["text"] for row in rows}
    groups = pq.read_table(published.path("duplicates/groups.parquet")).to_pylist()
    assert groups
    for row in groups:
        cosine = float(oracle[text_of[row["doc_id"]]] @ oracle[text_of[row["kept_doc_id"]]])
        assert cosine >= THRESHOLD - 1e-5
        assert row["cosine_to_kept"] == pytest.approx(cosine, abs=1e-5)
    assert len({row["doc_id"] for row in groups}) == len(groups)


def test_topics_are_what_hdbscan_finds_in_each_theme_of_the_published_graph(published, rows):
    from transforms.neighbors import read_neighbors
    from transforms.topics import TopicsOptions, community_graph, equal_texts, find_themes, reduced

    parts = [read_neighbors(published.checked(file)) for file in published.manifest.under("neighbors")]
    ids, neighbor_ids, cosines = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    neighbors = np.searchsorted(ids, neighbor_ids)
    document_ids = pq.read_table(published.path("index/ids.parquet"), columns=["id", "doc_id"]).to_pydict()
    position = dict(zip(document_ids["doc_id"], np.searchsorted(ids, document_ids["id"]), strict=True))
    table = pq.read_table(published.path("topics/assignments.parquet")).to_pylist()
    assert len(table) == len(rows)
    topic, theme = np.empty(len(ids), int), np.empty(len(ids), int)
    for row in table:
        topic[position[row["doc_id"]]], theme[position[row["doc_id"]]] = row["topic_id"], row["theme_id"]
    options = TopicsOptions(min_cluster_size=8)
    graph, documents = community_graph(neighbors, cosines), np.bincount([position[row["doc_id"]] for row in table])
    equal = equal_texts(neighbors, cosines)
    assert theme.tolist() == find_themes(graph, 1.0, options.seed, documents, equal).tolist()
    divided = 0
    for number in range(theme.max() + 1):
        members = np.flatnonzero(theme == number)
        place = np.full(len(ids), -1)
        place[members] = np.arange(len(members))
        if len(members) < 16:
            assert len(set(topic[members])) == 1
            continue
        layout = reduced(place[neighbors[members]], cosines[members], options)
        settings = {"min_cluster_size": 8, "min_samples": 5, "approx_min_span_tree": False}
        labels = hdbscan.HDBSCAN(**settings).fit(layout).labels_
        sizes = np.bincount(labels + 1)[1:]
        if not sizes.any() or sizes.max() > 0.8 * len(members):
            continue  # all noise or one giant: see tests/topics/test_theme_stages.py
        divided += 1
        pairs = set(zip(topic[members].tolist(), labels.tolist(), strict=True))
        assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs), "the partitions differ"
        assert all((a == -1) == (b == -1) for a, b in pairs)
    assert divided >= 2


def test_texts_are_found_by_their_words_as_by_bm25s(published, oracle):
    texts = list(oracle)
    stemmer = Stemmer.Stemmer("english")
    whole = bm25s.BM25()
    whole.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    index = open_lexical(published)
    for query in ("random sample without replacement", "solve a linear equation"):
        words = bm25s.tokenize([query], stopwords="en", stemmer=stemmer, show_progress=False, return_ids=False)[0]
        expected = np.sort(whole.get_scores(words))[::-1][:10]
        np.testing.assert_allclose(index.search(query, 10)[1], expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("options", [EVERY_BUNDLE_TWICE, pytest.param(PORTABLE, marks=pytest.mark.long)], ids=" ".join)
def test_every_engine_publishes_the_same_files(published, tmp_path, rows, options):
    other = _publish(tmp_path, rows, *options)
    assert _content(other) == _content(published)


def test_other_files_and_another_order_of_rows_publish_the_same(published, tmp_path, rows):
    other = _publish(tmp_path, list(reversed(rows)))
    assert _content(other) == _content(published)


def _content(generation: Generation) -> dict[str, str]:
    """sha256 of every file that holds results: not the report and metrics, which tell times."""
    prefix = f"generations/{generation.id}/"
    return {
        file.path.removeprefix(prefix): file.sha256
        for file in generation.manifest.files
        if not file.path.endswith(("report.html", "metrics.json"))
    }


def test_an_unchanged_corpus_publishes_nothing_and_loads_no_model(published, monkeypatch):
    def no_model(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("transforms.vectors.fill.load_encoder", no_model)
    source = Path(published.root).parent / "corpus"
    overrides = {"root": published.root, "corpus.input": [str(source)]}
    outcome = reindex(load_config(None, SETTINGS, overrides))
    assert (outcome.published, outcome.generation) == (False, published.id)


def test_a_changed_threshold_embeds_nothing(published, tmp_path, rows, monkeypatch):
    import shutil

    shutil.copytree(published.root, tmp_path / "root")
    source = Path(published.root).parent / "corpus"
    overrides = {"root": str(tmp_path / "root"), "corpus.input": [str(source)]}
    outcome = reindex(load_config(None, [*SETTINGS, "duplicates.threshold=0.9"], overrides))
    assert outcome.published
    embed = outcome.metrics["stages"]["embed"]
    assert (embed["texts_embedded"], embed["texts_reused"]) == (0, len({row["text"] for row in rows}))


def test_faiss_opens_the_index_in_a_script_without_this_project(published, tmp_path):
    script = (
        "import faiss, sys, numpy as np\n"
        "index = faiss.read_index(sys.argv[1])\n"
        "scores, ids = index.search(np.eye(1, index.d, dtype='float32'), 3)\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('pipelines', 'transforms')]\n"
        "print(index.ntotal, ids.min() >= 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, published.path("index/index.faiss")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert done.stdout.split() == [str(published.manifest.counts["distinct_texts"]), "True"]


def test_duckdb_and_polars_read_every_published_table(published):
    tables = [file for file in published.manifest.files if file.path.endswith(".parquet")]
    assert {Path(file.path).parent.name for file in tables} >= {"documents", "index", "neighbors", "duplicates", "topics"}
    for file in tables:
        path = f"{published.root}/{file.path}"
        assert duckdb.sql(f"select count(*) from '{path}'").fetchall() == [(file.rows,)]
        assert len(duckdb.sql(f"select * from '{path}'").fetchall()) == file.rows
        assert pl.read_parquet(path).height == file.rows
        schema = pq.read_schema(path)
        for field in schema:
            assert (field.metadata or {}).get(b"description"), f"{file.path}: no description of {field.name}"


def test_no_pickle_and_no_path_of_this_machine_is_published(published):
    for file in published.manifest.files:
        assert file.path.endswith((".parquet", ".faiss", ".json", ".html", ".npy"))
        if file.path.endswith(".npy"):
            np.load(published.checked(file), allow_pickle=False)
    text = Path(published.root, "generations", published.id, "manifest.json").read_text()
    manifest = json.loads(text)
    assert "folder" not in manifest["encoder"]
    assert published.root not in json.dumps({key: value for key, value in manifest.items() if key != "configuration"})


def test_the_report_and_metrics_tell_the_run(published, rows):
    metrics = json.loads(Path(published.path("metrics.json")).read_text())
    assert metrics["counts"]["documents"] == len(rows)
    stages = metrics["stages"]
    assert set(stages) >= {"corpus", "passages", "embed", "index", "recall", "neighbors", "duplicates", "topics"}
    assert all(stage["seconds"] >= 0 and stage["peak_rss_mb"] > 0 for stage in stages.values())
    assert stages["embed"]["texts_embedded"] == published.manifest.counts["distinct_texts"]
    assert "<canvas" in Path(published.path("report.html")).read_text()
