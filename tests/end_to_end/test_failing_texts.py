"""Texts that the model fails on, documents that it cuts short, int8, other architectures: what a whole run makes of them."""

import html
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.embedding.tiny import MAX_TOKENS, build_model
from transforms.embedding import packed
from transforms.generations import Generation, open_generation

# The tiny model has a token for each letter: q, at the start of a text, is this one.
Q = 21
TEXTS = {f"d{i}": f"{'abcdefg'[i % 7]} text {'xyz' * (i % 5)} number {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60)}
POISON = {"bad": "q is poison", "bad too": "q is poison", "worse": "quite bad"}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("tiny"))


def failing_on_q(real):
    """A forward pass that fails on every batch with a text that begins with q."""

    def forward(self, token_ids, *more, **options):
        if any(ids[1] == Q for ids in token_ids):
            raise RuntimeError("cannot compute a q")
        return real(self, token_ids, *more, **options)

    return forward


@pytest.fixture
def poisoned(monkeypatch):
    monkeypatch.setattr(packed.PackedEncoder, "__call__", failing_on_q(packed.PackedEncoder.__call__))


def reindex(corpusbeam, root: Path, texts: dict[str, str], model: str, *settings: str):
    path = root.parent / f"{root.name}.jsonl"
    path.write_text("".join(json.dumps({"id": doc_id, "text": text}) + "\n" for doc_id, text in texts.items()))
    chosen = (
        f"embedding.model={model}",
        "embedding.device=cpu",
        "embedding.precision=fp32",
        "corpus.rows_per_part=16",
        "topics.n_epochs=20",
        *settings,
    )
    options = [part for setting in chosen for part in ("--set", setting)]
    return corpusbeam("reindex", "--root", root, "--input", path, *options, "--format", "json")


def published(root: Path) -> Generation:
    return open_generation(str(root))


def test_a_failing_text_costs_only_its_documents(corpusbeam, poisoned, tmp_path, model):
    ran = reindex(corpusbeam, tmp_path / "root", {**TEXTS, **POISON}, model)
    assert ran.code == 0, ran.err
    assert "the model fails on 2 of the texts, such as that of document 'bad" in ran.err or "document 'worse'" in ran.err
    assert "(cannot compute a q): their documents go to quarantine" in ran.err
    generation = published(tmp_path / "root")
    files = generation.manifest.under("quarantine")
    rows = [row for file in files for row in pq.read_table(generation.checked(file)).to_pylist()]
    found = {(row["doc_id"], row["reason"], row["detail"], row["excerpt"]) for row in rows}
    assert found == {(doc_id, "model_failed", "cannot compute a q", text) for doc_id, text in POISON.items()}
    assert generation.manifest.counts["documents"] == len(TEXTS)
    assert generation.manifest.counts["quarantined"] == 3
    assert all(gate.passed for gate in generation.manifest.gates)
    assert ran.json["stages"]["embed"]["texts_embedded"] == 60
    assert ran.json["stages"]["embed_again"]["texts_embedded"] == 0

    # Everything else is what a corpus without these documents gives.
    assert reindex(corpusbeam, tmp_path / "clean", TEXTS, model).code == 0
    assert tables(generation) == tables(published(tmp_path / "clean"))


def test_a_published_document_that_the_model_fails_on_now_is_quarantined_not_changed_or_deleted(
    corpusbeam, poisoned, tmp_path, model
):
    root = tmp_path / "root"
    assert reindex(corpusbeam, root, {**TEXTS, "bad": "fine until now"}, model).code == 0
    ran = reindex(corpusbeam, root, {**TEXTS, "bad": "q is poison"}, model)
    assert ran.code == 0, ran.err
    counts = {"added": 0, "changed": 0, "metadata_only": 0, "unchanged": 60, "deleted": 0, "quarantined": 1}
    assert published(root).manifest.changes == counts
    assert ran.json["stages"]["changes"]["changed"] == ran.json["stages"]["changes_again"]["quarantined"] == 1


def tables(generation: Generation) -> dict[str, str]:
    """Digests of all tables and index files of a generation but the quarantine."""
    start = f"generations/{generation.id}/"
    files = {file.path.removeprefix(start): file.sha256 for file in generation.manifest.files if file.path.startswith(start)}
    found = {path: sha256 for path, sha256 in files.items() if path.endswith((".parquet", ".faiss"))}
    assert {"index/index.faiss", "duplicates/pairs.parquet", "topics/topics.parquet"} < set(found)
    return {path: sha256 for path, sha256 in found.items() if not path.startswith("quarantine/")}


def test_the_next_run_tries_again_and_publishes_nothing_new(corpusbeam, poisoned, tmp_path, model):
    texts = {**TEXTS, **POISON}
    first = reindex(corpusbeam, tmp_path / "root", texts, model)
    again = reindex(corpusbeam, tmp_path / "root", texts, model)
    assert (first.code, again.code) == (0, 0)
    assert again.json["published"] is False
    assert again.json["generation"] == first.json["generation"]


def test_a_repaired_model_embeds_what_had_failed(corpusbeam, monkeypatch, tmp_path, model):
    texts = {**TEXTS, **{f"bad{i}": f"q {'abcdefgh'[i]}" for i in range(8)}}
    with monkeypatch.context() as broken:
        broken.setattr(packed.PackedEncoder, "__call__", failing_on_q(packed.PackedEncoder.__call__))
        assert reindex(corpusbeam, tmp_path / "root", texts, model).code == 3
    ran = reindex(corpusbeam, tmp_path / "root", texts, model)
    assert ran.code == 0, ran.err
    assert ran.json["counts"]["documents"] == len(texts)
    # What the first run had stored was not embedded again.
    assert ran.json["stages"]["embed"]["texts_embedded"] == 8


def test_the_rows_of_the_first_reading_are_published(corpusbeam, monkeypatch, tmp_path, model):
    """An input that grows while the run embeds must not tear the stages apart."""
    real = failing_on_q(packed.PackedEncoder.__call__)
    source = tmp_path / "root.jsonl"

    def forward(self, token_ids, *more, **options):
        with source.open("a") as file:
            file.write(json.dumps({"id": f"late{file.tell()}", "text": "q came late"}) + "\n")
        return real(self, token_ids, *more, **options)

    monkeypatch.setattr(packed.PackedEncoder, "__call__", forward)
    ran = reindex(corpusbeam, tmp_path / "root", {**TEXTS, **POISON}, model)
    assert ran.code == 0, ran.err
    assert ran.json["counts"]["documents"] == len(TEXTS)
    assert ran.json["counts"]["quarantined"] == 3


def test_stages_that_run_again_are_told_in_their_order(corpusbeam, poisoned, tmp_path, model):
    assert reindex(corpusbeam, tmp_path / "root", {**TEXTS, **POISON}, model).code == 0
    shown = corpusbeam("report", "--root", tmp_path / "root").out
    places = [shown.index(f"\n{name} ") for name in ("corpus", "embed", "corpus again", "embed again", "index")]
    assert places == sorted(places)


def test_too_many_failing_texts_stop_the_run(corpusbeam, poisoned, tmp_path, model):
    texts = {**TEXTS, **{f"bad{i}": f"q {'abcdefgh'[i]}" for i in range(8)}}
    ran = reindex(corpusbeam, tmp_path / "root", texts, model)
    assert ran.code == 3
    assert "8 of 68 rows (11.8%) went to quarantine (model_failed 8)" in ran.err
    assert not (tmp_path / "root" / "CURRENT").exists()


def test_documents_that_the_model_cuts_short_are_counted_and_a_remedy_is_named(corpusbeam, tmp_path, model):
    long = "a b c d e f g h " * 8
    texts = {**TEXTS, "long": long, "copy": long}
    ran = reindex(corpusbeam, tmp_path / "root", texts, model, "corpus.keep_text=false")
    assert ran.code == 0, ran.err
    truncated = sum(sum(map(len, text.split())) + 2 > MAX_TOKENS for text in texts.values())
    counts = ran.json["counts"]
    assert (counts["texts_truncated"], counts["documents_truncated"]) == (truncated - 1, truncated)
    warning = f"{truncated} of 62 documents ({truncated / 62:.1%}) are longer than the {MAX_TOKENS} tokens that the model takes"
    assert any(warning in line and "corpus.passage_tokens=" in line for line in ran.json["warnings"])
    assert warning in html.unescape(Path(published(tmp_path / "root").path("report.html")).read_text())
    assert f"Warning  {truncated} of 62 documents" in corpusbeam("report", "--root", tmp_path / "root").out
    # Vectors that are stored already: the count is the same.
    again = reindex(corpusbeam, tmp_path / "root", texts, model, "corpus.keep_text=false", "duplicates.threshold=0.9")
    assert again.json["stages"]["embed"]["texts_embedded"] == 0
    assert again.json["counts"]["documents_truncated"] == truncated
    assert any(warning in line for line in again.json["warnings"])


@pytest.mark.long
def test_int8_says_what_it_costs(corpusbeam, tmp_path, model):
    """And fp32 of the same model, in the same root, has vectors of its own."""
    root = tmp_path / "root"
    exact = reindex(corpusbeam, root, TEXTS, model)
    assert exact.json["encoder"]["fidelity"]["min_cosine"] > 0.999999
    assert exact.json["warnings"] == []
    rough = reindex(corpusbeam, root, TEXTS, model, "embedding.precision=int8")
    assert rough.code == 0, rough.err
    assert rough.json["stages"]["embed"]["texts_embedded"] == 60
    fidelity = rough.json["encoder"]["fidelity"]
    assert 0.9 < fidelity["min_cosine"] < 0.9999
    assert rough.json["encoder"]["fingerprint"] != exact.json["encoder"]["fingerprint"]
    (warning,) = rough.json["warnings"]
    assert f"precision=int8 changes the vectors: on {fidelity['texts']} texts" in warning
    assert warning in html.unescape(Path(published(root).path("report.html")).read_text())
    assert published(root).manifest.encoder["fidelity"] == fidelity


def test_a_model_that_only_the_library_knows_is_said_to_be_one(corpusbeam, tmp_path):
    folder = build_model(tmp_path, dense=True)
    ran = reindex(corpusbeam, tmp_path / "root", TEXTS, folder)
    assert ran.code == 0, ran.err
    (warning,) = ran.json["warnings"]
    assert "model is embedded by the library's encode, with padding" in warning
    assert warning in ran.err
