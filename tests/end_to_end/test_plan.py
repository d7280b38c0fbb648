"""What `corpusbeam plan` says before anything runs: what changed, what each setting costs, and how long it takes."""

import json
from pathlib import Path

import pytest

from tests.embedding.tiny import build_model
from transforms.files import read_json
from transforms.generations import list_generations, open_generation

TEXTS = {f"d{i}": f"{'abcdefg'[i % 7]} text {'xyz' * (i % 5)} number {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(110)}
ALL_AGAIN = "every text is embedded again"


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tiny")
    return build_model(folder), build_model(folder, name="other", seed=1)


@pytest.fixture
def call(corpusbeam, tmp_path, models):
    """Reindex or plan a corpus with settings that replace the usual ones."""

    def run(verb: str, texts: dict[str, str], *options: str, **settings: object):
        path = tmp_path / "corpus.jsonl"
        path.write_text("".join(json.dumps({"id": doc_id, "text": text}) + "\n" for doc_id, text in texts.items()))
        usual = {"embedding.model": models[0], "embedding.device": "cpu", "embedding.precision": "fp32", "topics.n_epochs": 20}
        chosen = {**usual, **{name.replace("__", "."): value for name, value in settings.items()}}
        arguments = [part for key, value in chosen.items() for part in ("--set", f"{key}={value}")]
        ran = corpusbeam(verb, "--root", tmp_path / "root", "--input", path, *arguments, *options)
        assert ran.code == 0, ran.err
        return ran

    return run


def test_plan_says_what_a_night_will_cost(call, models, tmp_path):
    root = str(tmp_path / "root")
    first = call("plan", TEXTS, "--format", "json").json
    assert (first["published"], first["embedding_seconds"], first["differences"], first["would_refuse"]) == (
        None,
        None,
        [],
        None,
    )
    assert first["changes"] == {
        "since": None, "added": 110, "changed": 0, "metadata_only": 0, "unchanged": 0, "deleted": 0, "quarantined": 0,
    }  # fmt: skip

    call("reindex", TEXTS)
    full = open_generation(root)
    metrics = read_json(full.path("metrics.json"))["stages"]
    characters = sum(map(len, set(TEXTS.values())))
    assert metrics["passages"]["characters"] == characters
    nightly = {**TEXTS, "new": "one more text"}
    call("reindex", nightly)

    # The published run embedded one text, which says nothing: its parent's rate counts.
    longer = {**nightly, "long": "a b c " * 30}
    plan = call("plan", longer, "--format", "json").json
    rate = metrics["embed"]["seconds"] / characters
    assert (plan["texts_to_embed"], plan["rate_of"], plan["rate_of_same_model"]) == (1, full.id, True)
    assert plan["embedding_seconds"] == round(len("a b c " * 30) * rate, 1)
    assert (plan["changes"]["added"], plan["changes"]["unchanged"], plan["differences"]) == (1, 111, [])
    assert first["index"] is None  # nobody knows the dimension of this model yet
    assert (plan["index"]["type"], plan["index"]["file_bytes"]) == ("IDMap2,Flat", plan["distinct_texts"] * (16 * 4 + 8))

    shown = call("plan", nightly, embedding__model=models[1]).out
    assert f"embedding.model: {models[0]} → {models[1]}: {ALL_AGAIN}" in shown
    assert f"s at the rate of {full.id} (of another model)" in shown
    assert "to embed         111 texts" in shown
    shown = call("plan", nightly, embedding__document_prompt="'passage: '", embedding__truncate_dim=16).out
    assert f"embedding.document_prompt: none → 'passage: ': {ALL_AGAIN}" in shown
    assert f"embedding.truncate_dim: none → 16: {ALL_AGAIN}" in shown
    # No run with this precision: nothing is known about its speed.
    plan = call("plan", nightly, "--format", "json", embedding__precision="int8").json
    assert [difference["key"] for difference in plan["differences"]] == ["embedding.precision"]
    assert (plan["texts_to_embed"], plan["embedding_seconds"]) == (111, None)
    shown = call("plan", nightly, duplicates__threshold=0.9, topics__n_terms=5).out
    stay = "vectors, index and neighbour graph stay as they are"
    assert f"duplicates.threshold: 0.75 → 0.9: pairs and groups are found again; {stay}" in shown
    assert f"topics.n_terms: 10 → 5: topics are found again; {stay}" in shown
    assert "to embed         0 texts" in shown
    shown = call("plan", nightly, corpus__passage_tokens=16, corpus__passage_overlap=4).out
    assert "corpus.passage_tokens: none → 16: documents are split anew" in shown

    shown = call("plan", nightly, index__type="IVF300,SQ8").out
    assert "A reindex would refuse: index type 'IVF300,SQ8' needs at least 300 distinct texts" in shown

    few = dict(list(nightly.items())[:50])
    assert "A reindex would refuse: 61 of the 111 published documents (55.0%) are missing" in call("plan", few).out
    assert "A reindex would refuse: the corpus" in call("plan", {}).out
    assert len(list_generations(root)) == 2
    assert not any("embedded again" in line for line in call("plan", nightly).out.splitlines())


@pytest.mark.long
def test_a_model_with_other_weights_under_the_same_name_is_another_model(call, models, tmp_path):
    texts = dict(list(TEXTS.items())[:5])
    call("reindex", texts)
    config = Path(models[0]) / "config.json"
    content = config.read_text()
    try:
        config.write_text(content.replace("{", '{"note": "changed",', 1))
        shown = call("plan", texts).out
    finally:
        config.write_text(content)
    assert f"embedding.model: {models[0]} → {models[0]} with another config.json: {ALL_AGAIN}" in shown
