"""`corpusbeam evaluate`: with a small model against brute force, with the default one against known figures."""

import json
import shutil

import bm25s
import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import spearmanr
from sentence_transformers import CrossEncoder, SentenceTransformer
from sklearn.metrics import v_measure_score

from pipelines.cli import main
from tests.embedding.tiny import build_model
from tests.rerank.tiny import build_cross_encoder
from transforms.index import RecallMeter

WORDS = ["abc", "de", "fgh", "ijkl", "mn", "opq", "rst", "uvw", "xyz", "qrs"]
QUICK = ("--resamples", 200)


def texts(seed: int, count: int, words: int) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, words)) for _ in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A published root of a small model with labelled documents, another model, and judgements of 30 queries."""
    folder = tmp_path_factory.mktemp("evaluate")
    models = [build_model(folder / name, name=name, seed=seed) for seed, name in enumerate(("one", "two"))]
    documents = texts(0, 150, 5)
    rows = [{"id": f"d{i:03d}", "text": text, "kind": "ab"["abc" in text]} for i, text in enumerate(documents)]
    rows[0]["kind"] = None
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = [
        f"embedding.model={models[0]}",
        "corpus.metadata_columns=[kind]",
        "embedding.precision=fp32",
        "search.lexical=true",
    ]
    options = [part for setting in settings for part in ("--set", setting)]
    source, root = str(folder / "corpus.jsonl"), str(folder / "root")
    assert main(["reindex", "--root", root, "--input", source, *options]) == 0
    asked = texts(1, 30, 2)
    generator = np.random.default_rng(2)
    qrels = [(f"q{i}", f"d{j:03d}", int(generator.integers(0, 3))) for i in range(30) for j in generator.choice(150, 9, False)]
    qrels.append(("q0", "gone", 1))
    columns = zip(*qrels, strict=True)
    pq.write_table(
        pa.table(dict(zip(("query_id", "doc_id", "relevance"), map(list, columns), strict=True))), folder / "qrels.parquet"
    )
    pq.write_table(pa.table({"query_id": [f"q{i}" for i in range(30)], "text": asked}), folder / "queries.parquet")
    return folder


@pytest.fixture
def judged(folder):
    return "--qrels", folder / "qrels.parquet", "--queries", folder / "queries.parquet", *QUICK


def brute_force(folder, model: str) -> dict[str, float]:
    """nDCG@10 and recall@100 of each query, by the library's vectors and all products."""
    library = SentenceTransformer(str(folder / model / model), device="cpu", local_files_only=True)
    documents = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    queries = pq.read_table(folder / "queries.parquet").to_pylist()
    sides = ([row["text"] for row in rows] for rows in (documents, queries))
    vectors, asked = (library.encode(side, normalize_embeddings=True) for side in sides)
    grades: dict[str, dict[str, int]] = {}
    for row in pq.read_table(folder / "qrels.parquet").to_pylist():
        grades.setdefault(row["query_id"], {})[row["doc_id"]] = row["relevance"]
    found = {"nDCG@10": [], "recall@100": []}
    for query, vector in zip(queries, asked, strict=True):
        judged = grades[query["query_id"]]
        order = [documents[i]["id"] for i in np.argsort(-(vectors @ vector), kind="stable")]
        discounts = 1 / np.log2(np.arange(2, 12))
        gains = [judged.get(doc_id, 0) for doc_id in order[:10]]
        ideal = sorted(judged.values(), reverse=True)[:10]
        found["nDCG@10"].append(np.dot(gains, discounts) / np.dot(ideal, discounts[: len(ideal)]))
        relevant = {doc_id for doc_id, grade in judged.items() if grade > 0}
        found["recall@100"].append(len(relevant & set(order[:100])) / len(relevant))
    return {name: float(np.mean(values)) for name, values in found.items()}


def values(section: dict) -> dict[tuple[str, str], float]:
    return {(row["system"], row["measure"]): row["value"] for row in section["measures"]}


def test_retrieval_is_what_brute_force_gives_for_the_index_and_another_model(corpusbeam, folder, judged, tmp_path):
    other = str(folder / "two" / "two")
    options = ("--root", folder / "root", *judged, "--model", other, "--output", tmp_path / "out")
    ran = corpusbeam("evaluate", *options, "--format", "json")
    assert ran.code == 0, ran.err
    section = ran.json["sections"]["retrieval"]
    found = values(section)
    published = ran.json["systems"][0]["name"]
    for system, model in ((published, "one"), (other, "two")):
        for measure, expected in brute_force(folder, model).items():
            assert found[system, measure] == pytest.approx(expected, abs=0.01), (model, measure)
    compared = {row["measure"]: row for row in section["comparisons"]}
    difference = compared["nDCG@10"]
    assert difference["difference"] == pytest.approx(found[other, "nDCG@10"] - found[published, "nDCG@10"])
    assert difference["low"] <= difference["difference"] <= difference["high"]
    assert 0 < difference["p"] <= 1
    (generation,) = section["unknown_documents"]
    assert section["unknown_documents"][generation] == 1
    assert "1 judged documents are not in generation" in ran.err
    assert "gone" in ran.err
    costs = {cost["system"]: cost for cost in ran.json["costs"]}
    assert costs[other]["vector_bytes"] == 150 * 16 * 4
    assert costs[other]["index_bytes"] is None
    assert costs[published]["index_bytes"] > 150 * 16 * 4
    assert all(cost["seconds_for_all_texts"] > 0 for cost in costs.values())
    queries = pq.read_table(tmp_path / "out" / "queries.parquet").to_pylist()
    means = {s: np.mean([row["ndcg_at_10"] for row in queries if row["system"] == s]) for s in (published, other)}
    assert means == pytest.approx({system: found[system, "nDCG@10"] for system in means})
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert written["sections"]["retrieval"] == section
    assert pq.read_table(tmp_path / "out" / "measures.parquet").num_rows == len(found)


def test_words_are_searched_and_measured_as_by_bm25s(corpusbeam, folder, judged):
    documents = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    tokens = [row["text"].split() for row in documents]
    library = bm25s.BM25()
    library.index(tokens, show_progress=False)

    def ranked(query: str) -> list[str]:
        scores = library.get_scores(query.split())
        order = sorted(range(len(documents)), key=lambda i: (-round(float(scores[i]), 5), documents[i]["id"]))
        return [documents[i]["id"] for i in order if scores[i] > 0]

    ran = corpusbeam("search", "--root", folder / "root", "abc xyz", "--mode", "lexical", "-k", 150, "--format", "json")
    assert ran.code == 0, ran.err
    assert [hit["doc_id"] for hit in ran.json["hits"]] == ranked("abc xyz")
    assert {hit["metric"] for hit in ran.json["hits"]} == {"bm25"}
    assert "BM25" in corpusbeam("search", "--root", folder / "root", "abc xyz", "--mode", "lexical").out
    queries = {row["query_id"]: row["text"] for row in pq.read_table(folder / "queries.parquet").to_pylist()}
    grades: dict[str, dict[str, int]] = {}
    for row in pq.read_table(folder / "qrels.parquet").to_pylist():
        grades.setdefault(row["query_id"], {})[row["doc_id"]] = row["relevance"]
    ran = corpusbeam("evaluate", "--root", folder / "root", *judged, "--format", "json")
    section = ran.json["sections"]["retrieval"]
    published = ran.json["systems"][0]["name"]
    recall = [
        len({doc_id for doc_id, grade in grades[query].items() if grade > 0} & set(ranked(text)[:100]))
        / sum(grade > 0 for grade in grades[query].values())
        for query, text in queries.items()
    ]
    found = values(section)
    assert found[f"{published}, lexical", "recall@100"] == pytest.approx(np.mean(recall))
    assert {system for system, _ in found} == {
        published, f"{published}, lexical", f"{published}, hybrid", f"{published}, hybrid by weight"
    }  # fmt: skip
    assert section["hybrid_weight"] == {}
    assert f"over {len(queries)} queries no weight that was tried for hybrid search finds better than" in ran.err
    ran = corpusbeam("search", "--root", folder / "root", "abc", "--mode", "hybrid", "--weight", 0.3, "--format", "json")
    assert {hit["metric"] for hit in ran.json["hits"]} == {"weighted"}


@pytest.mark.parametrize("mode", [("lexical",), ("hybrid",), ("hybrid", "--weight", 0.4)], ids=str)
def test_many_queries_by_words_are_answered_as_one_is(corpusbeam, folder, tmp_path, mode):
    queries = [{"id": row["query_id"], "text": row["text"]} for row in pq.read_table(folder / "queries.parquet").to_pylist()]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries[:5]))
    how = ("--root", folder / "root", "--mode", *mode, "-k", 4)
    ran = corpusbeam("search", *how, "--queries", tmp_path / "queries.jsonl", "--output", tmp_path / "hits")
    assert ran.code == 0, ran.err
    hits = pq.read_table(tmp_path / "hits" / "part-00000.parquet").to_pylist()
    for query in queries[:5]:
        own = [(row["doc_id"], pytest.approx(row["score"], abs=1e-5)) for row in hits if row["query_id"] == query["id"]]
        single = corpusbeam("search", *how, query["text"], "--format", "json").json["hits"]
        assert [(hit["doc_id"], hit["score"]) for hit in single] == own


def test_a_damaged_lexical_index_is_refused(corpusbeam, folder, tmp_path):
    root = shutil.copytree(folder / "root", tmp_path / "root")
    files = sorted(root.glob("generations/*/lexical/*"))
    assert len(files) == 6
    for file in files:
        before = file.read_bytes()
        file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        ran = corpusbeam("search", "--root", root, "abc", "--mode", "lexical")
        assert (ran.code, ran.out) == (1, "")
        assert file.name in ran.err
        assert corpusbeam("verify", "--root", root).code == 1
        file.write_bytes(before)


def test_words_of_a_generation_without_a_lexical_index(corpusbeam, two_generations):
    for mode in ("lexical", "hybrid"):
        ran = corpusbeam("search", "--root", two_generations, "password", "--mode", mode)
        assert ran.code != 0
        assert ran.out == ""
        assert "search.lexical: true" in ran.err


def test_search_and_its_measures_in_the_order_of_a_cross_encoder(corpusbeam, folder, judged, tmp_path):
    model = build_cross_encoder(tmp_path / "cross", str(folder / "one" / "bert"), small=True)
    documents = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    ran = corpusbeam("search", "--root", folder / "root", "abc de", "-k", 100, "--format", "json")
    candidates = [hit["doc_id"] for hit in ran.json["hits"]]
    known = {row["id"]: row["text"] for row in documents}
    library = CrossEncoder(model, device="cpu", local_files_only=True)
    ranked = library.rank("abc de", [known[doc_id] for doc_id in candidates], activation_fn=torch.nn.Identity())
    ran = corpusbeam("search", "--root", folder / "root", "abc de", "-k", 100, "--rerank", model, "--format", "json")
    assert ran.code == 0, ran.err
    logits = {hit["doc_id"]: hit["rerank_logit"] for hit in ran.json["hits"]}
    expected = {candidates[row["corpus_id"]]: row["score"] for row in ranked}
    spread = np.ptp(list(expected.values()))
    assert logits == pytest.approx(expected, abs=0.1 * spread)  # in the precision that this machine takes
    assert list(logits.values()) == sorted(logits.values(), reverse=True)
    assert [candidates[hit["search_rank"] - 1] for hit in ran.json["hits"]] == list(logits)

    ran = corpusbeam("search", "--root", folder / "root", "abc de", "-k", 3, "--rerank", model)
    assert "logits of the cross-encoder" in ran.out
    ran = corpusbeam("evaluate", "--root", folder / "root", *judged, "--rerank", model, "--format", "json")
    assert ran.code == 0, ran.err
    section = ran.json["sections"]["retrieval"]
    dense, *others, reranked = {row["system"]: None for row in section["measures"]}
    assert reranked == f"{dense} + {model}"
    assert not any(model in other for other in others)  # by words, and by both
    found = values(section)
    # The same hundred documents in another order.
    assert found[dense, "recall@100"] == found[reranked, "recall@100"]
    assert found[dense, "nDCG@10"] != found[reranked, "nDCG@10"]
    assert len(section["comparisons"]) == 3 * (len(others) + 1)


def test_a_cross_encoder_that_cannot_be_loaded(corpusbeam, folder, tmp_path):
    (tmp_path / "cross").mkdir()
    options = ("search", "--root", folder / "root", "abc de", "-k", 2, "--rerank", tmp_path / "cross", "--format", "json")
    ran = corpusbeam(*options)
    assert (ran.code, ran.out) == (1, "")
    assert "has no .safetensors weights" in ran.err
    ran = corpusbeam(*options, "--rerank-optional")
    assert ran.code == 0
    assert [hit["reranked"] for hit in ran.json["hits"]] == [False, False]
    assert "not reranked" in ran.err


def test_a_table_is_printed_with_what_it_means(corpusbeam, folder, judged):
    ran = corpusbeam("evaluate", "--root", folder / "root", *judged, "--model", str(folder / "two" / "two"))
    assert ran.code == 0, ran.err
    assert "nDCG@10" in ran.out
    assert ", p = " in ran.out
    assert "seed 0" in ran.out
    assert any(words in ran.out for words in ("no difference can be told from chance", ": better", ": worse"))


def test_the_same_seed_gives_the_same_figures(corpusbeam, folder, judged):
    options = ("evaluate", "--root", folder / "root", *judged, "--format", "json")
    one, two, three = (corpusbeam(*options, *seed).json["sections"]["retrieval"] for seed in ((), (), ("--seed", 1)))
    assert one["measures"] == two["measures"]
    assert one["measures"] != three["measures"]


def test_an_index_is_compared_with_exact_answers(corpusbeam, folder):
    """A flat index misses nothing; without any other wish it is what is measured."""
    ran = corpusbeam("evaluate", "--root", folder / "root", "--format", "json")
    assert ran.code == 0, ran.err
    section = ran.json["sections"]["index"]
    assert {measure: value for (_, measure), value in values(section).items()} == dict.fromkeys(
        ("recall@1", "recall@10", "recall@100"), 1.0
    )
    assert all(row["low"] < 1 for row in section["measures"])


def test_an_index_that_misses_some_is_found_out(corpusbeam, folder, judged, monkeypatch):
    search = RecallMeter.search
    monkeypatch.setattr(RecallMeter, "search", lambda meter, index: search(meter, half_of(index)))
    ran = corpusbeam("evaluate", "--root", folder / "root", *judged, "--index", "--format", "json")
    found = {measure: value for (_, measure), value in values(ran.json["sections"]["index"]).items()}
    assert found["recall@100"] == pytest.approx(0.5, abs=0.1)


def half_of(index):
    """An index with every other text."""
    ids = faiss.vector_to_array(index.id_map)[::2]
    half = faiss.IndexIDMap2(faiss.IndexFlatIP(index.d))
    half.add_with_ids(np.stack([index.reconstruct(int(text)) for text in ids]), ids)
    return half


def test_themes_and_topics_are_compared_with_a_column(corpusbeam, folder):
    ran = corpusbeam("evaluate", "--root", folder / "root", "--labels", "kind", "--resamples", 100, "--format", "json")
    assert ran.code == 0, ran.err
    section = ran.json["sections"]["topics"]
    system = ran.json["systems"][0]["name"]
    assert section["passages"] == {system: 149}
    assert section["without_a_label"] == {system: 1}
    (assignments,) = (folder / "root" / "generations").glob("*/topics/assignments.parquet")
    assigned = {row["doc_id"]: row for row in pq.read_table(assignments).to_pylist()}
    kinds = {row["id"]: row["kind"] for row in map(json.loads, (folder / "corpus.jsonl").read_text().splitlines())}
    known = [doc_id for doc_id, kind in kinds.items() if kind is not None]
    labels = [kinds[doc_id] for doc_id in known]
    found = values(section)
    topics = np.array([assigned[doc_id]["topic_id"] for doc_id in known])
    assert found[f"{system}: topics", "V-measure"] == pytest.approx(v_measure_score(labels, topics))
    assert found[f"{system}: topics", "noise"] == pytest.approx(np.mean(topics == -1))
    layers = [name for name, measure in found if "themes at resolution" in name and measure == "ARI"]
    assert len(layers) == len(assigned["d001"]["layer_theme_ids"])
    first = [assigned[doc_id]["layer_theme_ids"][0] for doc_id in known]
    assert found[layers[0], "V-measure"] == pytest.approx(v_measure_score(labels, first))


def test_pairs_with_scores_need_no_root(corpusbeam, folder, tmp_path):
    sides = texts(5, 60, 3), texts(6, 60, 3)
    scores = np.random.default_rng(7).integers(0, 6, 60).astype(float).tolist()
    pq.write_table(pa.table({"text1": sides[0], "text2": sides[1], "score": scores}), tmp_path / "pairs.parquet")
    models = [str(folder / name / name) for name in ("one", "two")]
    options = [part for model in models for part in ("--model", model)]
    ran = corpusbeam("evaluate", "--pairs", tmp_path / "pairs.parquet", *options, *QUICK, "--format", "json")
    assert ran.code == 0, ran.err
    found = values(ran.json["sections"]["pairs"])
    for model in models:
        library = SentenceTransformer(model, device="cpu", local_files_only=True)
        a, b = (library.encode(side, normalize_embeddings=True) for side in sides)
        assert found[model, "Spearman"] == pytest.approx(spearmanr((a * b).sum(1), scores).statistic, abs=0.01)
    assert {row["measure"] for row in ran.json["sections"]["pairs"]["comparisons"]} == {"Spearman", "Pearson"}


def test_pairs_with_labels_have_a_threshold(corpusbeam, folder, tmp_path):
    sides = texts(5, 60, 3), texts(6, 60, 3)
    pq.write_table(pa.table({"text1": sides[0], "text2": sides[1], "label": [0, 1] * 30}), tmp_path / "pairs.parquet")
    ran = corpusbeam("evaluate", "--root", folder / "root", "--pairs", tmp_path / "pairs.parquet", *QUICK, "--format", "json")
    calibrated = corpusbeam(
        "duplicates", "--root", folder / "root", "--calibrate", tmp_path / "pairs.parquet", "--format", "json"
    )
    section, expected = ran.json["sections"]["pairs"], calibrated.json
    assert list(section["best_f1_threshold"].values()) == [expected["best_f1"]["threshold"]]
    measured = {measure: value for (_, measure), value in values(section).items()}
    assert measured == {"average precision": expected["average_precision"], "best F1": expected["best_f1"]["f1"]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--queries", "q.jsonl"), "--queries needs --qrels"),
        (("--resamples", 0), "give at least 100"),
        (("--rerank", "x"), "--rerank needs --qrels"),
        (("--qrels", "nothing.parquet"), "have no queries"),
        (("--labels", "colour"), "publishes no column 'colour'"),
        (("--model", "x", "--compare-root", "y"), "not both"),
    ],
)
def test_what_cannot_be_evaluated_is_said(corpusbeam, folder, options, said):
    ran = corpusbeam("evaluate", "--root", folder / "root", *options)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_two_generations_are_compared(corpusbeam, two_generations, tmp_path):
    """q00 is in the first one only: its query finds it there and not in the second."""
    (tmp_path / "queries.jsonl").write_text('{"_id": "a", "text": "reset password"}\n{"_id": "b", "text": "pay by transfer"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\na\tq00\t1\nb\tq09\t1\n")
    newer = (two_generations / "CURRENT").read_text().strip()
    (older,) = (path.name for path in (two_generations / "generations").iterdir() if path.name != newer)
    options = ("--root", two_generations, "--qrels", tmp_path, "--compare-generation", older, *QUICK, "--format", "json")
    ran = corpusbeam("evaluate", *options)
    assert ran.code == 0, ran.err
    section = ran.json["sections"]["retrieval"]
    found = values(section)
    assert section["unknown_documents"] == {newer: 1, older: 0}
    assert (found[newer, "recall@100"], found[older, "recall@100"]) == (0.5, 1.0)
    assert [(row["a"], row["b"]) for row in section["comparisons"]] == [(newer, older)] * 3


def test_nothing_is_compared_with_itself(corpusbeam, folder, judged):
    ran = corpusbeam("evaluate", "--root", folder / "root", *judged, "--model", str(folder / "one" / "one"))
    assert (ran.code, ran.out) == (2, "")
    assert "compared with itself" in ran.err
    (generation,) = (path.name for path in (folder / "root" / "generations").iterdir())
    ran = corpusbeam("evaluate", "--root", folder / "root", *judged, "--compare-generation", generation)
    assert (ran.code, ran.out) == (2, "")


@pytest.mark.long
def test_known_figures_of_the_default_model(corpusbeam, minilm_spec, shared_data, tmp_path):
    """Cranfield and the STS benchmark with all-MiniLM-L6-v2."""
    documents = pq.read_table(shared_data / "cranfield_docs.parquet").to_pylist()
    # As BEIR has it: title and text are one text.
    rows = [{"id": row["id"], "text": f"{row['title']} {row['text']}"} for row in documents]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "cranfield.parquet")
    root = tmp_path / "root"
    lexical = ("--set", "search.lexical=true")
    assert corpusbeam("reindex", "--root", root, "--input", tmp_path / "cranfield.parquet", *lexical).code == 0
    asked = ("--qrels", shared_data / "cranfield_qrels.parquet", "--queries", shared_data / "cranfield_queries.parquet")
    pairs = ("--pairs", shared_data / "stsb_test.parquet")
    ran = corpusbeam("evaluate", "--root", root, *asked, *pairs, *QUICK, "--format", "json")
    assert ran.code == 0, ran.err
    sections = ran.json["sections"]
    published = ran.json["systems"][0]["name"]
    of_all = values(sections["retrieval"]) | values(sections["pairs"])
    found = {measure: value for (system, measure), value in of_all.items() if system == published}
    for measure in ("nDCG@10", "MRR@10", "recall@100"):
        parts = [of_all[published, measure], of_all[f"{published}, lexical", measure]]
        for hybrid in ("hybrid", "hybrid by weight"):
            assert of_all[f"{published}, {hybrid}", measure] > max(parts), (hybrid, measure)
    assert found["Spearman"] == pytest.approx(0.8203, abs=0.001)
    assert found["nDCG@10"] == pytest.approx(0.3998, abs=0.002)
    assert found["MRR@10"] == pytest.approx(0.538, abs=0.002)
    assert found["recall@100"] == pytest.approx(0.772, abs=0.002)
