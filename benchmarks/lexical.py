"""Search by words at scale: the lexical index beside tantivy, each in a process of its own.

    .venv/bin/python benchmarks/lexical.py [--texts 1000000] [--queries 200] [--only ours] [--data PARQUET]

Texts are forty words drawn from all words of DATA's texts (its most common ones are as common here), seeded; queries are four
words of one of these texts. Printed: seconds to build, megabytes on disk, seconds to the first answer with opening the index,
milliseconds for each query with its best ten, and peak memory of building. Ours is built as a run does it, one task after the
other. tantivy has its defaults, English endings (no stop words are left out) and one thread; it is measured where it is there
(`pip install tantivy` into an environment of its own), else use --only ours.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.files import FileRef, write_table
from transforms.lexical import LexicalIndex, LexicalOptions, Step, build_lexical
from transforms.lexical.join import BORDERS, IDS, POSITIONS, SCORES, TERMS
from transforms.vectors import load_array

REPOSITORY = Path(__file__).resolve().parents[1]
WORDS, ROWS, K = 40, 4096, 10


def parts_of(data: Path, texts: int) -> Iterator[list[str]]:
    """The corpus, some thousand texts at a time."""
    words = np.array(" ".join(pq.read_table(data, columns=["text"])["text"].to_pylist()).split(), object)
    generator = np.random.default_rng(0)
    for low in range(0, texts, ROWS):
        yield [" ".join(row) for row in words[generator.integers(len(words), size=(min(ROWS, texts - low), WORDS))]]


def write_corpus(folder: Path, data: Path, texts: int, queries: int) -> None:
    generator, asked = np.random.default_rng(1), []
    for number, part in enumerate(parts_of(data, texts)):
        ids = np.arange(number * ROWS, number * ROWS + len(part))
        write_table(f"{folder}/part-{number:05d}.parquet", pa.table({"id": ids, "text": part}))
        asked += [" ".join(generator.choice(part[int(generator.integers(len(part)))].split(), 4, False))]
    (folder / "queries.json").write_text(json.dumps([asked[i % len(asked)] for i in range(queries)]))


def ours(folder: Path, queries: list[str]) -> dict[str, Any]:
    options, parts, start = LexicalOptions(lexical=True), [], 0
    for path in sorted(folder.glob("part-*.parquet")):
        rows = pq.read_metadata(path).num_rows
        parts.append((start, FileRef(str(path), path.stat().st_size, rows, "")))
        start += rows

    def run(step: Step, tasks: Any) -> list[Any]:
        return [step(task, options) for task in tasks]

    started = time.perf_counter()
    built = build_lexical(parts, f"{folder}/work", f"{folder}/lexical", run)
    seconds, peak = time.perf_counter() - started, peak_mb()
    opened = time.perf_counter()
    arrays = {name: load_array(f"{folder}/lexical/{name}") for name in (SCORES, POSITIONS, BORDERS, IDS)}
    index = LexicalIndex(arrays, json.loads(Path(f"{folder}/lexical/{TERMS}").read_text()), options.language)
    index.search(queries[0], K)
    first = time.perf_counter() - opened
    times = timed(lambda query: index.search(query, K), queries)
    return {
        "build_s": seconds,
        "mb": sum(file.size for file in built.published) / 1e6,
        "first_s": first,
        "peak_mb": peak,
        **times,
    }


def tantivy(folder: Path, queries: list[str]) -> dict[str, Any]:
    import tantivy as library

    builder = library.SchemaBuilder()
    builder.add_unsigned_field("id", stored=True)
    builder.add_text_field("text", tokenizer_name="en_stem")
    (folder / "tantivy").mkdir()
    started = time.perf_counter()
    index = library.Index(builder.build(), path=str(folder / "tantivy"))
    writer = index.writer(heap_size=500_000_000, num_threads=1)
    for path in sorted(folder.glob("part-*.parquet")):
        for row in pq.read_table(path).to_pylist():
            writer.add_document(library.Document(id=row["id"], text=row["text"]))
    writer.commit()
    writer.wait_merging_threads()
    seconds, peak = time.perf_counter() - started, peak_mb()
    opened = time.perf_counter()
    searcher = library.Index.open(str(folder / "tantivy")).searcher()

    def search(query: str) -> None:
        # Other characters than letters mean something in its language of queries.
        plain = "".join(one if one.isalnum() else " " for one in query)
        for _, address in searcher.search(index.parse_query(plain, ["text"]), K).hits:
            searcher.doc(address)["id"]

    search(queries[0])
    first = time.perf_counter() - opened
    size = sum(path.stat().st_size for path in (folder / "tantivy").iterdir())
    return {"build_s": seconds, "mb": size / 1e6, "first_s": first, "peak_mb": peak, **timed(search, queries)}


def timed(search: Any, queries: list[str]) -> dict[str, float]:
    taken = []
    for query in queries:
        started = time.perf_counter()
        search(query)
        taken.append(1000 * (time.perf_counter() - started))
    return {"median_ms": float(np.median(taken)), "p95_ms": float(np.quantile(taken, 0.95))}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--only", choices=("ours", "tantivy"))
    parser.add_argument("--data", default=str(REPOSITORY.parent / "shared" / "data" / "debian_packages.parquet"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder = Path(options.folder)
        found = {"ours": ours, "tantivy": tantivy}[options.child](folder, json.loads((folder / "queries.json").read_text()))
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder), Path(options.data), options.texts, options.queries)
        names = ["build_s", "mb", "first_s", "median_ms", "p95_ms", "peak_mb"]
        print(f"{options.texts:,} texts of {WORDS} words\n| | " + " | ".join(names) + " |\n| --- |" + " --- |" * len(names))
        for what in (options.only,) if options.only else ("ours", "tantivy"):
            command = [sys.executable, __file__, "--child", what, "--folder", folder]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout)
            print(f"| {what} | " + " | ".join(f"{found[name]:,.1f}" for name in names) + " |", flush=True)


if __name__ == "__main__":
    main()
