"""Signals to a real process in the middle of embedding: the agreed exit code, one line, nothing published."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_ends_the_run_and_nothing_is_published(tmp_path, number):
    words = [f"word{i}" for i in range(500)]
    dice = random.Random(7)
    with (tmp_path / "corpus.jsonl").open("w") as file:
        for i in range(6_000):  # a minute of embedding, of which the signal leaves a moment
            file.write(json.dumps({"id": i, "text": " ".join(dice.choices(words, k=150))}) + "\n")
    command = ["-m", "pipelines.cli", "reindex", "--root", str(tmp_path / "root"), "--input", str(tmp_path / "corpus.jsonl")]
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        # The passages are there, so that embedding, which takes a minute, comes next or has begun.
        while not list(tmp_path.glob("root/work/*/stages/passages.json")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert out == ""
    assert err == f"corpusbeam: stopped by {number.name}; nothing was published\n"
    assert not (tmp_path / "root" / "CURRENT").exists()
    assert not list(tmp_path.glob("root/generations/*"))
