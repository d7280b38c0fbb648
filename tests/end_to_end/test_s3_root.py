"""A root on S3 (moto's server over HTTP): a whole run, and the same bytes as on a local disk."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest

from tests.embedding.tiny import build_model
from transforms.files import read_table, read_versioned, write_if
from transforms.generations import list_generations, read_current, read_manifest


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def corpus(write_jsonl, sentences) -> Path:
    return write_jsonl([(str(number), text) for number, text in enumerate(sentences)])


def settings(corpus: Path, model: str) -> list[str]:
    # A precision of its own: "auto" would measure, and two runs could measure differently.
    values = [f"embedding.model={model}", "embedding.precision=fp32", "topics.min_cluster_size=2"]
    return ["--input", str(corpus), *(part for value in values for part in ("--set", value))]


# They name the generation in which something was seen first.
SINCE = ("topics/topics.parquet", "topics/themes.parquet")


def published(root: str, *without: str) -> dict[str, tuple[int, int | None, str]]:
    """Size, rows and sha256 of every published file by its path without the generation, but those that tell the time."""
    generation = read_current(root)
    return {
        file.path.replace(generation, "ID"): (file.size, file.rows, file.sha256)
        for file in read_manifest(root, generation).files
        if not file.path.endswith(("metrics.json", "report.html", *without))
    }


def test_a_root_on_s3_is_as_good_as_a_folder(corpusbeam, s3_bucket, tmp_path, corpus, model, sentences):
    remote, local = f"{s3_bucket}/deep/root", str(tmp_path / "root")
    # With lists, so that the second index starts from the first.
    options = [*settings(corpus, model), "--set", "index.type=IVF2,SQ8", "--set", "index.recall_gate=0"]
    for root in (remote, local):
        ran = corpusbeam("reindex", "--root", root, "--format", "json", *options)
        assert ran.code == 0, ran.err
        assert ran.json["published"] is True
    assert published(remote) == published(local)
    first = read_current(remote)

    status = corpusbeam("status", "--root", remote, "--format", "json").json
    assert (status["generation"], status["counts"]["documents"]) == (first, len(sentences))
    verified = corpusbeam("verify", "--root", remote, "--format", "json")
    assert (verified.code, verified.json["problems"]) == (0, [])
    assert verified.json["files"] == len(published(remote)) + 2
    asked = [
        corpusbeam("search", sentences[4], "--root", root, "--model", model, "--format", "json").json
        for root in (remote, local)
    ]
    assert [answer.pop("generation") for answer in asked] == [read_current(root) for root in (remote, local)]
    assert asked[0] == asked[1]
    assert asked[0]["hits"][0]["text"] == sentences[4]
    assert first in corpusbeam("report", "--root", remote).out
    for use in (["--threshold", 0.9], ["--against", corpus]):
        tables = []
        for number, root in enumerate((remote, local)):
            output = f"{s3_bucket}/tables" if number == 0 else tmp_path / "tables"
            found = corpusbeam("duplicates", "--root", root, *use, "--output", output, "--format", "json")
            assert found.code == 0, found.err
            tables.append({name: found.json[name] for name in ("shown", "pairs", "complete")})
        assert tables[0] == tables[1]

    # Nothing new: nothing is published, and no file of the run stays.
    again = corpusbeam("reindex", "--root", remote, "--format", "json", *options)
    assert (again.code, again.json["published"]) == (0, False)
    assert read_current(remote) == first
    fs = fsspec.filesystem("s3")
    names = {name.split("/deep/root/")[1].split("/")[0] for name in fs.find(f"{s3_bucket}/deep")}
    assert names == {"CURRENT", "generations", "last_run.json", "vectors"}

    # A second generation embeds only what is new, here as there.
    with corpus.open("a") as file:
        file.write(json.dumps({"id": "new", "text": "A text that nobody has seen before."}) + "\n")
    for root in (remote, local):
        more = corpusbeam("reindex", "--root", root, "--format", "json", *options)
        assert more.code == 0, more.err
        embedded = json.loads(fsspec.open(f"{root}/generations/{read_current(root)}/metrics.json").open().read())
        assert embedded["stages"]["embed"]["texts_embedded"] == embedded["stages"]["index"]["texts_encoded"] == 1
    assert published(remote, *SINCE) == published(local, *SINCE)
    for name in SINCE:
        # But for the id of the first generation, which tells the time.
        tables = [read_table(f"{root}/generations/{read_current(root)}/{name}") for root in (remote, local)]
        one, other = (table.drop_columns("first_seen") for table in tables)
        assert one.equals(other)
    assert read_manifest(remote, read_current(remote)).parent == first
    assert corpusbeam("verify", "--root", remote).code == 0
    assert corpusbeam("verify", "--root", remote, "--generation", first).code == 0


def test_a_run_stays_below_its_root_and_a_changed_object_is_found(corpusbeam, s3_server, s3_bucket, corpus, model):
    root, path = f"{s3_bucket}/root", f"/{s3_bucket.removeprefix('s3://')}"
    s3_server.requests.clear()
    assert corpusbeam("reindex", "--root", root, *settings(corpus, model)).code == 0
    paths = {asked.rstrip("/") for _, asked in s3_server.requests}
    assert f"{path}/root/LEASE" in paths
    assert all(asked == path or asked.startswith(f"{path}/root/") for asked in paths)
    fs, index = fsspec.filesystem("s3"), f"{root}/generations/{read_current(root)}/index/index.faiss"
    data = bytearray(fs.cat_file(index))
    data[len(data) // 2] ^= 1
    fs.pipe_file(index, bytes(data))
    verified = corpusbeam("verify", "--root", root)
    assert verified.code == 1
    assert "index.faiss has sha256" in verified.out
    asked = corpusbeam("search", "password", "--root", root, "--model", model)
    assert asked.code == 1
    assert "index.faiss has sha256" in asked.err


def command(root: str, corpus: Path, model: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli", "reindex", "--root", root, *settings(corpus, model)]


@pytest.mark.long
def test_of_two_commands_on_one_root_one_publishes_and_one_exits_with_4(corpusbeam, tmp_path, corpus, model):
    """The first holds the lease for certain: it stops at the barrier. Killed there, it does not hold up the next one."""
    root = str(tmp_path / "root")
    signal_file = tmp_path / "reached"
    first = subprocess.Popen(
        command(root, corpus, model),
        env={**os.environ, "CORPUSBEAM_STOP_AT": f"after_manifest={signal_file}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not signal_file.exists():
            assert first.poll() is None, first.stderr.read()
            time.sleep(0.05)
        second = corpusbeam("reindex", "--root", root, *settings(corpus, model))
        assert second.code == 4
        assert f"process {first.pid} on " in second.err
        assert second.err.count("\n") == 1
        plan = corpusbeam("plan", "--root", root, *settings(corpus, model))
        assert plan.code == 4
        assert read_current(root) is None
        first.send_signal(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
    finally:
        first.kill()
        first.communicate()
    third = corpusbeam("reindex", "--root", root, "--format", "json", *settings(corpus, model))
    assert third.code == 0, third.err
    assert third.json["generation"] == read_current(root)


@pytest.mark.long
def test_a_command_that_was_paused_while_another_published_exits_with_4(corpusbeam, s3_bucket, corpus, model):
    """A real command, stopped by SIGSTOP between manifest and pointer; another takes over and publishes; then it goes on."""
    root = f"{s3_bucket}/root"
    first = subprocess.Popen(
        [sys.executable, "-c", WAIT_BEFORE_PUBLISHING, *command(root, corpus, model)[3:]],
        env=dict(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stdout.readline() == "after_manifest\n"
        first.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, first.pid, os.WSTOPPED)
        found = read_versioned(f"{root}/LEASE")
        lease = json.loads(found.data)
        assert lease["holder"]["pid"] == first.pid
        # As silent as it would be a minute later.
        write_if(f"{root}/LEASE", json.dumps({**lease, "expires": "2020-01-01T00:00:00+00:00"}).encode(), found.version)
        ran = corpusbeam("reindex", "--root", root, *settings(corpus, model))
        assert ran.code == 0, ran.err
        current = read_current(root)
        first.send_signal(signal.SIGCONT)
        out, err = first.communicate("go\n", timeout=120)
    finally:
        first.kill()
        first.communicate()
    assert first.returncode == 4, err
    assert "has lost its lease" in err
    assert out == ""
    assert read_current(root) == current
    assert len(list_generations(root)) == 2


# The command line, with a barrier that lets go: it waits for a line on stdin. Patched where the modules take it from.
WAIT_BEFORE_PUBLISHING = """
import sys
import transforms.files

def reached(name):
    if name == "after_manifest":
        print(name, flush=True)
        sys.stdin.readline()

transforms.files.reached = reached
from pipelines.cli import main
sys.exit(main(sys.argv[1:]))
"""
