"""Bad input through the command line: a bad row costs only itself; what stops a run is one line and the right exit code."""

import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.generations import open_generation

FORGIVING = ("--set", "corpus.max_quarantine_fraction=0.9")


def _documents(root) -> dict[str, str]:
    generation = open_generation(str(root))
    tables = [pq.read_table(generation.checked(file)) for file in generation.manifest.under("documents")]
    table = pa.concat_tables(tables)
    return dict(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True))


def _quarantine(root) -> list[tuple[str, int | None]]:
    generation = open_generation(str(root))
    rows = []
    for file in generation.manifest.under("quarantine"):
        table = pq.read_table(generation.checked(file))
        rows += zip(table["reason"].to_pylist(), table["row"].to_pylist(), strict=True)
    return sorted(rows, key=str)


def _refused(ran, code: int, *words: str) -> None:
    """One clear line on stderr with the offending value, the right code, nothing on stdout."""
    assert ran.code == code, ran.err
    assert ran.out == ""
    lines = ran.err.strip().splitlines()
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("corpusbeam: ")
    for word in words:
        assert word in lines[0]


BAD_LINES = {
    "null": (b'{"id": "bad", "text": null}', "null_text"),
    "empty": (b'{"id": "bad", "text": ""}', "empty_text"),
    "blank": (b'{"id": "bad", "text": " \\t \\n "}', "blank_text"),
    "number": (b'{"id": "bad", "text": 12}', "not_a_string"),
    "list": (b'{"id": "bad", "text": ["a"]}', "not_a_string"),
    "undecodable": (b'{"id": "bad", "text": "caf\xe9"}', "undecodable"),
    "lone surrogate": (b'{"id": "bad", "text": "half \\ud83d of a pair"}', "lone_surrogate"),
    "not JSON": (b'{"id": "bad", "text": ', "invalid_json"),
    "duplicate id": (b'{"id": "0", "text": "another text under an id that is taken"}', "duplicate_id"),
}


@pytest.mark.slow
def test_every_kind_of_bad_row_costs_only_itself(corpusbeam, write_jsonl, sentences, tmp_path):
    rows = [(str(i), text) for i, text in enumerate(sentences)]
    path = write_jsonl([*rows, *(line for line, _ in BAD_LINES.values())])
    ran = corpusbeam("reindex", "--root", tmp_path / "root", "--input", path, *FORGIVING)
    assert ran.code == 0, ran.err
    assert _documents(tmp_path / "root") == dict(rows)
    assert sorted(reason for reason, _ in _quarantine(tmp_path / "root")) == sorted(reason for _, reason in BAD_LINES.values())


def test_null_and_wrong_types_in_parquet_cost_only_themselves(corpusbeam, sentences, tmp_path):
    texts = [*sentences, None, "", "  "]
    ids = [str(i) for i in range(len(texts))]
    pq.write_table(pa.table({"id": ids, "text": texts}), tmp_path / "corpus.parquet")
    ran = corpusbeam("reindex", "--root", tmp_path / "root", "--input", tmp_path / "corpus.parquet", *FORGIVING)
    assert ran.code == 0, ran.err
    assert _documents(tmp_path / "root") == dict(zip(ids, sentences, strict=False))
    assert [reason for reason, _ in _quarantine(tmp_path / "root")] == ["blank_text", "empty_text", "null_text"]


def test_a_text_of_one_megabyte_is_a_document_like_any_other(corpusbeam, write_jsonl, sentences, tmp_path):
    big = "All work and no play makes a long text. " * 26_000
    path = write_jsonl([("big", big), *((str(i), text) for i, text in enumerate(sentences))])
    ran = corpusbeam("reindex", "--root", tmp_path / "root", "--input", path, "--format", "json")
    assert ran.code == 0, ran.err
    assert _documents(tmp_path / "root")["big"] == big
    assert open_generation(str(tmp_path / "root")).manifest.counts["texts_truncated"] == 1


def test_zero_rows_in_a_file_and_in_a_row_group_are_nothing_special(corpusbeam, sentences, tmp_path):
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    pq.write_table(schema.empty_table(), tmp_path / "empty.parquet")
    with pq.ParquetWriter(tmp_path / "groups.parquet", schema) as writer:
        writer.write_table(pa.table({"id": ["a", "b"], "text": sentences[:2]}))
        writer.write_table(schema.empty_table())
        writer.write_table(pa.table({"id": ["c"], "text": sentences[2:3]}))
    ran = corpusbeam("reindex", "--root", tmp_path / "root", "--input", tmp_path / "*.parquet")
    assert ran.code == 0, ran.err
    assert set(_documents(tmp_path / "root")) == {"a", "b", "c"}


@pytest.mark.parametrize("texts", [["only one"], ["the same"] * 40, ["one", "two"]], ids=["one", "all equal", "two"])
def test_tiny_and_degenerate_corpora_are_published(corpusbeam, write_jsonl, tmp_path, texts):
    path = write_jsonl([(f"d{i}", text) for i, text in enumerate(texts)])
    ran = corpusbeam("reindex", "--root", tmp_path / "root", "--input", path)
    assert ran.code == 0, ran.err
    assert len(_documents(tmp_path / "root")) == len(texts)
    found = corpusbeam("search", "--root", tmp_path / "root", texts[0], "-k", 100, "--format", "json")
    assert found.code == 0, found.err
    assert len(found.json["hits"]) == len(texts)
    assert corpusbeam("verify", "--root", tmp_path / "root").code == 0


def test_a_truncated_parquet_file_stops_the_run_and_quarantine_is_an_option(corpusbeam, sentences, tmp_path):
    pq.write_table(pa.table({"id": ["a", "b"], "text": sentences[:2]}), tmp_path / "good.parquet")
    pq.write_table(pa.table({"id": ["c", "d"], "text": sentences[2:4]}), tmp_path / "short.parquet")
    data = (tmp_path / "short.parquet").read_bytes()
    (tmp_path / "short.parquet").write_bytes(data[: len(data) // 2])
    arguments = ("reindex", "--root", tmp_path / "root", "--input", tmp_path / "*.parquet")
    _refused(corpusbeam(*arguments), 2, "short.parquet", "unreadable_files")
    assert not (tmp_path / "root" / "CURRENT").exists()
    ran = corpusbeam(*arguments, "--set", "corpus.unreadable_files=quarantine", *FORGIVING)
    assert ran.code == 0, ran.err
    assert set(_documents(tmp_path / "root")) == {"a", "b"}
    assert [reason for reason, _ in _quarantine(tmp_path / "root")] == ["unreadable_file"]


@pytest.mark.parametrize("name", ["prose.parquet", "picture.jsonl"])
def test_a_file_that_is_not_what_its_name_says(corpusbeam, write_jsonl, sentences, tmp_path, name):
    write_jsonl([(str(i), text) for i, text in enumerate(sentences)], "good.jsonl")
    (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    ran = corpusbeam("reindex", "--root", tmp_path / "root", "--input", tmp_path / "good.jsonl", tmp_path / name)
    assert ran.code in (2, 3)
    assert name in ran.err or "quarantine" in ran.err
    assert not (tmp_path / "root" / "CURRENT").exists()


def test_a_missing_column_is_named_with_the_columns_that_are_there(corpusbeam, sentences, tmp_path):
    pq.write_table(pa.table({"id": ["a"], "body": sentences[:1]}), tmp_path / "corpus.parquet")
    _refused(corpusbeam("reindex", "--root", tmp_path / "root", "--input", tmp_path / "corpus.parquet"), 2, "'text'", "body")


def test_a_pattern_that_matches_nothing(corpusbeam, tmp_path):
    _refused(corpusbeam("reindex", "--root", tmp_path / "root", "--input", tmp_path / "none-*.parquet"), 2, "none-*.parquet")


def test_an_empty_corpus_is_refused(corpusbeam, tmp_path):
    pq.write_table(pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())}), tmp_path / "corpus.parquet")
    _refused(
        corpusbeam("reindex", "--root", tmp_path / "root", "--input", tmp_path / "corpus.parquet"), 3, "no usable document"
    )
    assert not (tmp_path / "root" / "CURRENT").exists()


def test_too_much_quarantine_is_refused(corpusbeam, write_jsonl, tmp_path):
    path = write_jsonl([("a", "a good text"), b'{"id": "b", "text": null}'])
    _refused(corpusbeam("reindex", "--root", tmp_path / "root", "--input", path), 3, "null_text", "max_quarantine_fraction")
    assert not (tmp_path / "root" / "CURRENT").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("corpus.txt_column=body", ["corpus.txt_column"]),
        ("duplicates.treshold=0.8", ["duplicates.treshold"]),
        ("neighbors.k=many", ["neighbors.k", "'many'"]),
        ("corpus.sample=-5", ["corpus.sample", "-5"]),
        ("duplicates.threshold=1.5", ["duplicates.threshold", "1.5"]),
        ("duplicates.threshold=-1.01", ["duplicates.threshold", "-1.01"]),
        ("embedding.precision=fp8", ["embedding.precision", "'fp8'"]),
        ("nonsense", ["nonsense"]),
        ("runner.runner=DaskRunner", ["DaskRunner"]),
    ],
)
def test_a_wrong_configuration_names_key_and_value(corpusbeam, tmp_path, setting, words):
    _refused(corpusbeam("reindex", "--root", tmp_path / "root", "--set", setting), 2, *words)
    assert not (tmp_path / "root").exists()


def test_a_configuration_file_with_an_unknown_key_or_no_yaml(corpusbeam, tmp_path):
    (tmp_path / "a.yaml").write_text("corpus:\n  inputs: [x]\n")
    _refused(corpusbeam("config", "--config", tmp_path / "a.yaml"), 2, "corpus.inputs")
    (tmp_path / "b.yaml").write_text("corpus: [unclosed\n")
    _refused(corpusbeam("config", "--config", tmp_path / "b.yaml"), 2, "b.yaml")
    _refused(corpusbeam("config", "--config", tmp_path / "absent.yaml"), 2, "absent.yaml")


def test_a_root_that_cannot_be_written(corpusbeam, write_jsonl, sentences, tmp_path):
    path = write_jsonl([(str(i), text) for i, text in enumerate(sentences)])
    (tmp_path / "file").write_text("a file is in the way")
    _refused(corpusbeam("reindex", "--root", tmp_path / "file" / "root", "--input", path), 1, str(tmp_path / "file"))


def test_a_model_that_is_not_there(corpusbeam, write_jsonl, sentences, tmp_path):
    path = write_jsonl([(str(i), text) for i, text in enumerate(sentences)])
    (tmp_path / "model").mkdir()
    ran = corpusbeam("reindex", "--root", tmp_path / "root", "--input", path, "--set", f"embedding.model={tmp_path / 'model'}")
    _refused(ran, 1, "safetensors")


def test_errors_have_no_traceback_in_a_real_process(tmp_path):
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "pipelines.cli",
            "reindex",
            "--root",
            str(tmp_path / "root"),
            "--input",
            str(tmp_path / "no.txt"),
        ],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert process.returncode == 2
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    assert process.stderr.count("\n") == 1
