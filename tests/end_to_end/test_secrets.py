"""Credentials go in by environment and storage options and come out nowhere: everything that a run leaves is searched."""

import io
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.cli import main
from tests.embedding.tiny import build_model
from tests.s3 import SECRET

# What the environment holds beside the key: tokens of other services, in the shapes in which they come.
SIGNED = f"https://host.invalid/corpus.jsonl?X-Amz-Credential=me&X-Amz-Signature={SECRET}"
WITH_PASSWORD = f"s3://user:{SECRET}@bucket/corpus"


@pytest.fixture
def storage_options(s3_bucket, monkeypatch) -> str:
    """A bucket for which fsspec's configuration has credentials too, so that file systems carry them as storage options."""
    import s3fs

    monkeypatch.setitem(fsspec.config.conf, "s3", {"key": "testing", "secret": SECRET})
    s3fs.S3FileSystem.clear_instance_cache()
    return s3_bucket


@pytest.fixture
def pickles(monkeypatch) -> list[bytes]:
    """Everything that Beam pickles: transforms, tasks, coders; as it is before it is compressed."""
    from apache_beam.internal import cloudpickle_pickler

    seen, dumps = [], cloudpickle_pickler._dumps

    def keep(*arguments, **options):
        data = dumps(*arguments, **options)
        seen.append(data)
        return data

    monkeypatch.setattr(cloudpickle_pickler, "_dumps", keep)
    return seen


def found_in(fs, folder: str) -> Iterator[str]:
    """Files that hold the secret, as bytes or in the values or metadata of a table."""
    for path in fs.find(folder):
        data = fs.cat_file(path)
        if path.endswith(".parquet"):
            table = pq.read_table(io.BytesIO(data))
            data += f"{table.to_pylist()} {table.schema.to_string(show_field_metadata=True)}".encode()
        if SECRET.encode() in data:
            yield path


def options(root: str, corpus: str, model: str) -> list[str]:
    return ["reindex", "--root", root, "--input", corpus, "--set", f"embedding.model={model}", "--debug"]


def test_the_search_finds_what_it_looks_for(storage_options, tmp_path):
    """A file system does carry its secret, and the search sees one in each kind of file."""
    assert SECRET.encode() in pickle.dumps(fsspec.filesystem("s3"))
    (tmp_path / "a.json").write_text(json.dumps({"key": SECRET}))
    pq.write_table(pa.table({"source": [f"s3://me:{SECRET}@x"]}), tmp_path / "b.parquet", compression="zstd")
    pq.write_table(pa.table({"source": ["clean"]}), tmp_path / "c.parquet", compression="zstd")
    found = found_in(fsspec.filesystem("file"), str(tmp_path))
    assert [path.rsplit("/")[-1] for path in found] == ["a.json", "b.parquet"]


def test_no_secret_is_in_what_a_run_prints_logs_pickles_or_leaves(storage_options, pickles, tmp_path, sentences, capfd, caplog):
    caplog.set_level(logging.INFO)
    root, corpus = f"{storage_options}/root", f"{storage_options}/input/corpus.jsonl"
    model, fs = build_model(tmp_path), fsspec.filesystem("s3")
    lines = "".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate([*sentences, ""]))
    fs.pipe_file(corpus, lines.encode())

    # A run that is killed before it has tidied up, so that its records and work files are there.
    signal_file = tmp_path / "reached"
    died = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", *options(root, corpus, model), "--set", "corpus.max_quarantine_fraction=0.2"],
        env={
            **os.environ,
            "FSSPEC_S3_SECRET": SECRET,
            "FSSPEC_S3_KEY": "testing",
            "CORPUSBEAM_STOP_AT": f"after_manifest={signal_file}",
        },
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "stderr").open("w"),
        text=True,
    )
    try:
        while not signal_file.exists():
            assert died.poll() is None, (tmp_path / "stderr").read_text()
            time.sleep(0.05)
        died.send_signal(signal.SIGKILL)
        out, _ = died.communicate()
    finally:
        died.kill()
        died.wait()
    assert SECRET not in out
    logged = (tmp_path / "stderr").read_text()
    assert "pipelines.stage: stage embed" in logged
    assert SECRET not in logged
    left = {name.split("/root/")[1] for name in fs.find(root)}
    assert "LEASE" in left
    assert any(name.startswith("work/") and name.endswith("stages/topics.json") for name in left)
    assert list(found_in(fs, root)) == []

    # One that goes through, in this process, where what it pickles can be seen.
    assert main([*options(root, corpus, model), "--set", "corpus.max_quarantine_fraction=0.2"]) == 0
    for verb in ("status", "verify", "report"):
        assert main([verb, "--root", root, "--format", "json"]) == 0
    assert list(found_in(fs, root)) == []
    assert len(pickles) > 20
    assert not any(SECRET.encode() in data for data in pickles)
    printed = capfd.readouterr()
    assert SECRET not in printed.out + printed.err + caplog.text


@pytest.mark.parametrize(
    "arguments",
    [
        ["reindex", "--input", SIGNED],
        ["reindex", "--input", f"{WITH_PASSWORD}/*.jsonl"],
        ["reindex", "--input", "x.jsonl", "--root", WITH_PASSWORD],
        ["plan", "--input", "x.jsonl", "--root", SIGNED],
        ["status", "--root", WITH_PASSWORD],
        ["verify", "--root", WITH_PASSWORD],
        ["search", "x", "--root", SIGNED],
        ["report", "--root", WITH_PASSWORD],
        ["duplicates", "--root", SIGNED],
        ["duplicates", "--output", WITH_PASSWORD],
        ["duplicates", "--calibrate", WITH_PASSWORD],
        ["duplicates", "--input", WITH_PASSWORD, "--against", "x.jsonl"],
        ["reindex", "--set", f"root={WITH_PASSWORD}"],
        ["reindex", "--set", f"corpus.format={WITH_PASSWORD}"],
        ["reindex", "--input", "x.jsonl", "--set", f"index.recall_queries_file={WITH_PASSWORD}"],
        ["reindex", "--set", f"corpus.nonsense={SIGNED}"],
        ["reindex", "--set", f"=s3://me:{SECRET}@bucket"],
        ["reindex", "--set", f"root='{WITH_PASSWORD}"],
    ],
    ids=lambda arguments: " ".join(arguments).replace(SECRET, "SECRET"),
)
@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
def test_a_url_with_credentials_is_refused_without_being_shown(tmp_path, monkeypatch, capfd, caplog, arguments, debug):
    monkeypatch.chdir(tmp_path)
    try:
        code, trace = main([*arguments, *debug]), ""
    except SystemExit as stop:
        code, trace = stop.code, ""
    except Exception:
        code, trace = 2, traceback.format_exc()
        assert debug
    shown = "".join(capfd.readouterr()) + caplog.text + trace
    assert code == 2
    assert shown.strip()
    assert SECRET not in shown
    assert list(found_in(fsspec.filesystem("file"), str(tmp_path))) == []
