"""A reader process opens, verifies and searches without pause while a writer publishes, rolls back and collects.

Every generation answers with its own number: its index holds one vector that is nearest to the query, whose id is the
generation's number, and its tables say the same number. A reader that mixed two generations would find different numbers.
"""

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa

from transforms.corpus import content_keys
from transforms.embedding import EmbeddingOptions
from transforms.files import file_ref, filesystem_of, read_table, write_bytes, write_table
from transforms.generations import (
    FORMAT,
    Manifest,
    Retention,
    find_garbage,
    generation_id,
    list_generations,
    move_current,
    move_into_generation,
    open_generation,
    published_files,
    read_current,
    remove_garbage,
    roll_back,
    verify_generation,
    write_manifest,
)
from transforms.search import GenerationSearcher

DIM, TEXTS, PUBLISHES = 8, 20, 200
QUERY = np.eye(DIM, dtype=np.float32)[:1]
# Made-up times, a day apart: what is collected does not depend on how fast the test runs.
START = datetime(2026, 1, 1, tzinfo=UTC)
KEPT = Retention(last=7, age=timedelta(0), grace=timedelta(0))


def publish(root: str, number: int, parent: str | None) -> str:
    """Publish a generation as a run does: staged files, moved, manifest, pointer."""
    staged = f"{root}/work/run/generation"
    vectors = np.random.default_rng(number).normal(size=(TEXTS, DIM)).astype(np.float32)
    vectors[:, 0] = 0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[0] = QUERY
    ids = np.arange(number * 1000, number * 1000 + TEXTS)
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(DIM))
    index.add_with_ids(vectors, ids)
    write_bytes(f"{staged}/index/index.faiss", faiss.serialize_index(index).tobytes())
    # The documents are the same in all generations, so that only the right tables lead to the right answer.
    doc_ids, passages = [f"d{i:02d}" for i in range(TEXTS)], pa.array(np.zeros(TEXTS, np.int32))
    texts = [f"text {i} of generation {number}" for i in range(TEXTS)]
    passages_of = {"doc_id": doc_ids, "passage_no": passages}
    topics = passages_of | dict.fromkeys(("topic_id", "assigned_topic_id"), pa.array(np.zeros(TEXTS, np.int32)))
    tables = {
        "index/ids": {"id": ids} | passages_of,
        "documents/part-00000": passages_of
        | {"content_key": content_keys(texts), "text": texts, "number": pa.array(np.full(TEXTS, number))},
        "topics/assignments": topics | {"topic_uid": [f"u{number}"] * TEXTS},
        "topics/topics": {"topic_id": [0], "title": [f"topic {number}"]},
    }
    refs = [
        file_ref(f"{staged}/index/index.faiss"),
        *(write_table(f"{staged}/{name}.parquet", pa.table(columns)) for name, columns in tables.items()),
    ]
    shard = write_table(f"{root}/vectors/abc/part-{number}.parquet", pa.table({"number": [number]}))
    generation = generation_id(START + timedelta(days=number), "0" * 8)
    moved = move_into_generation(root, generation, staged, refs)
    manifest = Manifest(
        format=FORMAT,
        generation=generation,
        parent=parent,
        created=START.isoformat(),
        encoder={"fingerprint": "abc", "number": number},
        corpus_digest="",
        configuration_digest="",
        configuration={},
        versions={},
        counts={"number": number},
        gates=[],
        files=published_files(root, [*moved, shard]),
    ).with_digest()
    write_manifest(root, manifest)
    move_current(root, parent, generation)
    return generation


class OneQuery:
    """An encoder whose every query is the same vector."""

    max_tokens = 256

    def encode(self, queries):
        return np.repeat(QUERY, len(queries), 0), np.zeros(len(queries), bool)


def read_once(root: str) -> int:
    """Open what is current and see it whole, by checksums, by FAISS and by a search; returns its number."""
    generation = open_generation(root)
    number = generation.manifest.counts["number"]
    for file in generation.manifest.files:
        generation.checked(file)
    index = faiss.read_index(filesystem_of(generation.path("index/index.faiss"))[1])
    score, found = index.search(QUERY, 1)
    assert (int(found[0, 0]), float(score[0, 0])) == (number * 1000, 1.0)
    assert read_table(f"{root}/vectors/abc/part-{number}.parquet")["number"].to_pylist() == [number]
    hits = GenerationSearcher(generation, EmbeddingOptions()).search(["anything"], 3)[0]
    assert hits[0].doc_id == "d00"
    assert [hit.text for hit in hits] == [f"text {int(hit.doc_id[1:])} of generation {number}" for hit in hits]
    assert {(hit.metadata["number"], hit.topic.topic_uid, hit.topic.title) for hit in hits} == {
        (number, f"u{number}", f"topic {number}")
    }
    return number


READER = """
import os
import sys
from types import SimpleNamespace
from tests.generations import test_readers_during_publishes as test
from transforms.search import searcher

searcher.matching_spec = lambda *_: SimpleNamespace(metric="cosine")
searcher.load_query_encoder = lambda *_: test.OneQuery()
root, stop = sys.argv[1], sys.argv[2]
last = False
while not last:
    # One more look after the last publication.
    last = os.path.exists(stop)
    print(test.read_once(root), flush=True)
"""


def test_no_reader_sees_an_error_or_a_mixture_during_two_hundred_publishes(tmp_path, monkeypatch):
    # What survives a power cut is not the question here, and takes most of the time.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    root, stop = str(tmp_path / "root"), tmp_path / "stop"
    current = publish(root, 0, None)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, root, str(stop)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen: list[int] = []
    reading = threading.Event()

    def listen():
        for line in reader.stdout:
            seen.append(int(line))
            reading.set()
        reading.set()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        assert reading.wait(60)
        for number in range(1, PUBLISHES + 1):
            before, looks = current, len(seen)
            current = publish(root, number, current)
            if number % 20 == 0:
                # A bad night: back to the generation before, which the next publication then starts from.
                roll_back(root)
                current = before
            if number % 10 == 0:
                # A reader that has just opened one of the last seven generations is done with it after two more looks,
                # whatever the speed of this machine: only then do older ones go.
                while len(seen) < looks + 2 and reader.poll() is None:
                    reading.clear()
                    reading.wait(10)
                remove_garbage(root, find_garbage(root, KEPT, START + timedelta(days=number)))
            if reader.poll() is not None:
                break
        stop.touch()
        error = reader.stderr.read()
        assert reader.wait(60) == 0, error
    finally:
        reader.kill()
        listener.join()
        reader.stdout.close()
        reader.stderr.close()
    assert seen[-1] == PUBLISHES - 1  # the last of all was rolled back
    assert len(set(seen)) >= 20
    assert read_current(root) == current
    assert 7 <= len(list_generations(root)) <= 8
    assert all(verify_generation(root, name).problems == () for name in list_generations(root))
