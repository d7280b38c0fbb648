"""`corpusbeam duplicates --calibrate`: with a small model against scikit-learn, with the default one against known figures."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sentence_transformers import SentenceTransformer
from sklearn.metrics import average_precision_score, f1_score

from tests.embedding.tiny import build_model

WORDS = ["abc", "de", "fgh", "ijkl", "mn", "opq", "rst", "uvw", "xyz"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def pairs(model) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    """Texts a and b, labels that a noisy reader would give them, and the library's cosines."""
    generator = np.random.default_rng(1)
    sides = [[" ".join(generator.choice(WORDS, generator.integers(1, 5))) for _ in range(120)] for _ in "ab"]
    library = SentenceTransformer(model, device="cpu", local_files_only=True)
    a, b = (library.encode_document(side, normalize_embeddings=True) for side in sides)
    cosines = np.einsum("ij,ij->i", a, b)
    labels = cosines + generator.normal(scale=np.std(cosines) / 2, size=120) > np.median(cosines)
    return *sides, labels, cosines


@pytest.fixture
def labels(pairs, tmp_path):
    a, b, judged, _ = pairs
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"text1": a, "text2": b, "label": judged}), path)
    return path


def test_figures_are_those_of_scikit_learn(corpusbeam, labels, pairs, model, tmp_path):
    _, _, judged, cosines = pairs
    options = ("--model", model, "--precision", 0.6, "--output", tmp_path / "out")
    ran = corpusbeam("duplicates", "--calibrate", labels, *options, "--format", "json")
    assert ran.code == 0, ran.err
    found = ran.json
    assert (found["pairs"], found["duplicates"], found["base_rate"]) == (120, int(judged.sum()), judged.mean())
    assert found["average_precision"] == pytest.approx(average_precision_score(judged, cosines), abs=1e-3)
    best = max(f1_score(judged, cosines >= threshold) for threshold in cosines)
    assert found["best_f1"]["f1"] == pytest.approx(best, abs=1e-3)
    threshold = found["best_f1"]["threshold"]
    assert f1_score(judged, cosines >= threshold) == pytest.approx(best, abs=1e-3)
    promised = found["promised"]
    assert promised["precision_low"] >= 0.6
    assert promised["precision_low"] < promised["precision"] < promised["precision_high"]
    assert judged[cosines >= promised["threshold"]].mean() == pytest.approx(promised["precision"])
    curve = pq.read_table(found["curve"]).to_pylist()
    assert {"threshold", "precision", "recall", "f1", "precision_low"} <= curve[0].keys()
    assert curve[-1]["pairs"] == 120

    ran = corpusbeam("duplicates", "--calibrate", labels, *options)
    assert f"duplicates.threshold: {threshold}" in ran.out
    assert f"{found['average_precision']:.4f}" in ran.out


def test_a_printed_threshold_selects_what_its_place_does(corpusbeam, labels, pairs, model, monkeypatch):
    """With many labels cosines are so near to each other that six digits cannot tell them apart."""
    *_, judged, _ = pairs
    cosines = (0.7654321 + 1e-7 * np.where(judged, 1, -1) * np.arange(1, 121)).astype(np.float32)
    monkeypatch.setattr("pipelines.labelled.exact_pair_cosines", lambda *_: cosines)
    chosen = ("duplicates", "--calibrate", labels, "--model", model, "--precision", 0.9)
    found, ran = corpusbeam(*chosen, "--format", "json").json, corpusbeam(*chosen)
    printed = [float(value) for value in re.findall(r"duplicates.threshold: (\S+)", ran.out)]
    selected = [int(np.count_nonzero(cosines.astype(np.float64) >= value)) for value in printed]
    assert selected == [found["best_f1"]["pairs"], found["promised"]["pairs"]]
    assert selected[0] == judged.sum()
    lines = re.findall(r"^(0\.76\d+) +(\d+) ", ran.out, re.MULTILINE)
    assert [(float(threshold), int(count)) for threshold, count in lines] == list(zip(printed, selected, strict=True))


def test_a_promise_that_no_threshold_keeps(corpusbeam, labels, model):
    ran = corpusbeam("duplicates", "--calibrate", labels, "--model", model, "--precision", 0.999)
    assert ran.code == 0
    assert "no threshold promises a precision of 0.999" in ran.out


def test_what_cannot_be_calibrated_is_said(corpusbeam, model, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("text1,text2,label\na,b,1\nc,d,1\n")
    one = corpusbeam("duplicates", "--calibrate", path, "--model", model)
    assert (one.code, one.out) == (2, "")
    assert "2 of 2 pairs are labelled 1" in one.err
    path.write_text("text1,text2,label\na,,1\n")
    nothing = corpusbeam("duplicates", "--calibrate", path, "--model", model)
    assert (nothing.code, nothing.out) == (2, "")
    assert "no pair that can be used (1 without a text)" in nothing.err
    path.write_text("doc_id_a,doc_id_b,label\na,b,1\n")
    named = corpusbeam("duplicates", "--calibrate", path, "--model", model)
    assert named.code == 2
    assert "--root" in named.err
    wrong = corpusbeam("duplicates", "--calibrate", path, "--model", model, "--precision", "90")
    assert wrong.code == 2
    assert "not a share" in wrong.err
    assert "--threshold means nothing" in corpusbeam("duplicates", "--calibrate", path, "--threshold", 0.5).err


@pytest.mark.long
def test_known_figures_of_the_default_model(corpusbeam, minilm_spec, shared_data):
    """MSR paraphrases: measured before this project (../shared/research/mining.md)."""
    labels = shared_data / "msrp_train.parquet"
    ran = corpusbeam("duplicates", "--calibrate", labels, "--model", "all-MiniLM-L6-v2", "--format", "json")
    assert ran.code == 0, ran.err
    assert (ran.json["pairs"], ran.json["duplicates"]) == (3576, 2407)
    assert ran.json["average_precision"] == pytest.approx(0.849, abs=0.001)
    assert ran.json["best_f1"]["f1"] == pytest.approx(0.823, abs=0.001)
    assert 0.59 <= ran.json["best_f1"]["threshold"] <= 0.65
