"""How each job of a reindex grows: whole runs on growing samples of one corpus, and the arithmetic to 100 million documents.

    .venv/bin/python benchmarks/scale.py [--documents 10000 30000 60000] [--workers 2] [--data PARQUET] [--keep FOLDER]
    .venv/bin/python benchmarks/scale.py --vectors ROOT/vectors     start from stored vectors: nothing is embedded
    .venv/bin/python benchmarks/scale.py -- --set topics.n_epochs=50     options of corpusbeam reindex, after --

Each run is a `corpusbeam reindex` of its own process tree, from nothing, on the documents whose hashed ids come first. Printed
for each job: its parallel unit, its tasks, the seconds of all its processors (which other work on the machine hardly changes),
by which power of the number of documents these grow from the smallest to the largest run, and the highest resident memory of a
worker. Then bytes on disk for each document, and what the rates of the largest run give for 10 and 100 million documents on 16
and 64 workers, each as fast as one of these.
"""

import argparse
import hashlib
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.config import Config, load_config
from transforms.files import read_json
from transforms.generations import open_generation
from transforms.index import inverted_lists, resolve_type
from transforms.reports.formats import duration

REPOSITORY = Path(__file__).resolve().parents[1]

# How a job's seconds grow: with the documents and shared by all workers; the same in one worker; with their square while the
# graph is exact, shared; by the measured power, in one worker; not at all.
SHARED, ONE, SQUARE, POWER, FIXED = "shared", "one worker", "square, shared", "power, one worker", "fixed"

# An approximate graph of a million texts in 4,000 buckets took 169 seconds of a core (benchmarks/neighbors_approximate.py): 10
# to train, which grows with the square of the buckets in one worker, 22 to assign (5.6 ns for each text and bucket), and 137
# for all that grows with the texts.
TRAIN, ASSIGN, JOIN = 10 / 4000**2, 5.6e-9, 137e-6
# Seconds of a core for each sampled text and centroid of k-means, its ten rounds together, at 384 dimensions: FAISS on 49,152
# texts and 512 or 1,024 centroids took 64 to 68 ns. An index that is trained takes train_points_per_list texts for each list.
CLUSTERING = 64e-9
# Seconds of a core for each document that is embedded: two cores did 253 a second (benchmarks/embedding.py --pipeline ROOT).
EMBEDDING = 2 / 253

# Each job: its parallel unit, and how it grows.
JOBS = {
    "precision": ("one measurement", FIXED),
    "read": ("piece of the input, 4 to 512 MiB", SHARED),
    "documents": ("range of document ids, rows_per_part", SHARED),
    "passages": ("range of texts, rows_per_part", SHARED),
    "embed": ("part of the texts", SHARED),
    "vectors": ("block of vectors", SHARED),
    "train": ("one sample", FIXED),
    "shards": ("shard, rows_per_shard texts", SHARED),
    "merge": ("one index file", ONE),
    "recall": ("as many parts as workers, then one", SHARED),
    "neighbors": ("stripe of texts", SQUARE),
    "wording": ("part of the texts", SHARED),
    "pairs": ("part of the graph, rows_per_tile texts", SHARED),
    "groups": ("all pairs", ONE),
    "clusters": ("the graph", POWER),
    "find_topics": ("the graph", POWER),
    "find_layer": ("layer of themes, each of the whole graph", POWER),
    "cluster_themes": ("bundle of themes, 4,096 texts; the map of the whole graph", POWER),
    "join_topics": ("one table of labels", ONE),
    "place_documents": ("parts of the documents, at most a million passages", SHARED),
    "find_languages": ("parts of the texts", SHARED),
    "tabulate": ("parts of the documents", SHARED),
    "count_texts": ("parts of the texts, at most 131,072 texts", SHARED),
    "weigh_terms": ("range of terms, two million counts", SHARED),
    "score_texts": ("parts of the texts, at most 131,072 texts", SHARED),
    "name_topics": ("range of topics", SHARED),
    "publish_topics": ("two files", ONE),
    "count_words": ("parts of the texts, at most 65,536 texts", SHARED),
    "score_words": ("range of terms, four million counts", SHARED),
    "join_scores": ("one index of words", ONE),
    "checksums": ("a 64th of all files, at least 64 MiB", SHARED),
    "report": ("one page", ONE),
}


@dataclass(frozen=True)
class Measured:
    """One run: documents, seconds on the clock, its stages, and bytes of what it has published by folder."""

    documents: int
    seconds: float
    stages: dict[str, dict[str, Any]]
    sizes: dict[str, int]

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """All jobs of all stages."""
        return {name: job for stage in self.stages.values() for name, job in stage.get("jobs", {}).items()}

    @property
    def texts(self) -> int:
        return self.stages["passages"]["distinct_texts"]


def processor() -> str:
    """What the processor calls itself."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] if cpuinfo.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.machine()


def sample(table: pa.Table, documents: int) -> pa.Table:
    """The documents whose hashed ids come first: a smaller sample is part of a larger one."""
    hashes = [hashlib.sha256(str(doc_id).encode()).digest() for doc_id in table["id"].to_pylist()]
    return table.take(sorted(sorted(range(len(hashes)), key=hashes.__getitem__)[:documents]))


def run(folder: Path, table: pa.Table, workers: int, vectors: str | None, options: Sequence[str]) -> Measured:
    source, root = folder / "corpus.parquet", folder / "root"
    if (root / "CURRENT").exists():
        return measured(root, len(table), None)
    folder.mkdir(parents=True)
    if vectors is not None:
        shutil.copytree(vectors, root / "vectors")
    pq.write_table(table, source)
    command = [sys.executable, "-m", "pipelines.cli", "reindex", "--root", str(root), "--input", str(source)]
    command += ["--set", "corpus.sample=null", "--workers", str(workers), "--format", "json", *options]
    started = time.monotonic()
    subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, check=True)
    return measured(root, len(table), time.monotonic() - started)


def measured(root: Path, documents: int, seconds: float | None) -> Measured:
    """What the published generation of a root says of its run; its own seconds, without the start of the process, for None."""
    metrics = read_json(open_generation(str(root)).path("metrics.json"))
    started, finished = (datetime.fromisoformat(metrics[name]) for name in ("started", "finished"))
    sizes: dict[str, int] = {}
    for path in [*root.glob("generations/*/*/*"), *root.glob("vectors/*/*")]:
        parts = path.relative_to(root).parts
        name = parts[0] if parts[0] == "vectors" else parts[2]
        sizes[name] = sizes.get(name, 0) + path.stat().st_size
    return Measured(documents, seconds or (finished - started).total_seconds(), metrics["stages"], sizes)


def power(runs: Sequence[Measured], job: str) -> float:
    """Seconds grow as documents to this power, from the smallest to the largest run; of a single run 1 is assumed."""
    first, last = runs[0], runs[-1]
    if first.documents == last.documents:
        return 1.0
    ratio = max(last.jobs[job]["cpu_seconds"], 1e-3) / max(first.jobs[job]["cpu_seconds"], 1e-3)
    return math.log(ratio) / math.log(last.documents / first.documents)


def expected(last: Measured, job: str, documents: int, workers: int, exponent: float, config: Config) -> float:
    """Seconds of a job for so many documents on so many workers of one core, from the CPU seconds of the largest run."""
    seconds, growth = last.jobs[job]["cpu_seconds"], documents / last.documents
    kind = JOBS[job][1]
    if job == "embed" and not last.stages["embed"]["texts_embedded"]:
        return documents * EMBEDDING / workers
    texts = last.texts * growth
    if job == "train":
        lists = inverted_lists(resolve_type(config.index.type, int(texts)))
        return CLUSTERING * lists * min(config.index.train_points_per_list * lists, texts)
    if kind == SQUARE:
        if texts <= config.neighbors.exact_up_to:
            return seconds * growth**2 / workers
        buckets = texts / config.neighbors.texts_per_bucket
        return TRAIN * buckets**2 + texts * (JOIN + ASSIGN * buckets) / workers
    if kind == SHARED:
        return seconds * growth / workers
    return seconds * growth ** {ONE: 1, FIXED: 0, POWER: exponent}[kind]


def table_of(rows: Sequence[Sequence[str]]) -> str:
    """Rows of a Markdown table, the first one its head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{' --- |' * len(rows[0])}", *lines[1:]])


def print_growth(runs: Sequence[Measured]) -> None:
    sizes = [f"{run.documents:,}" for run in runs]
    rows = [["job", "parallel unit", "tasks", f"CPU seconds at {' / '.join(sizes)}", "power", "worker's peak MB"]]
    for name in [job for job in JOBS if job in runs[-1].jobs]:
        jobs = [run.jobs[name] for run in runs]
        rows.append(
            [
                name,
                JOBS[name][0],
                " / ".join(str(job["tasks"]) for job in jobs),
                " / ".join(f"{job['cpu_seconds']:.1f}" for job in jobs),
                f"{power(runs, name):.2f}",
                " / ".join(f"{job['peak_rss_mb']:,.0f}" for job in jobs),
            ]
        )
    print(table_of(rows))
    print()
    rows = [["stage", "driver's peak MB", "worker's peak MB", "all processes MB"]]
    for name in runs[-1].stages:
        stages = [run.stages[name] for run in runs]
        workers = [max((job["peak_rss_mb"] for job in stage.get("jobs", {}).values()), default=0.0) for stage in stages]
        rows.append(
            [
                name,
                " / ".join(f"{stage['driver_peak_rss_mb']:,.0f}" for stage in stages),
                " / ".join(f"{peak:,.0f}" for peak in workers),
                " / ".join(f"{stage['peak_rss_mb']:,.0f}" for stage in stages),
            ]
        )
    print(table_of(rows))
    print()
    print("bytes on disk for each document, at", " / ".join(sizes))
    for name in runs[-1].sizes:
        print(f"  {name:<12}", " / ".join(f"{run.sizes.get(name, 0) / run.documents:,.0f}" for run in runs))
    print("seconds of whole runs:", " / ".join(f"{run.seconds:.1f}" for run in runs))


def print_arithmetic(runs: Sequence[Measured], options: Sequence[str]) -> None:
    overrides = [options[i + 1] for i, option in enumerate(options[:-1]) if option == "--set"]
    config = load_config(None, overrides, {})
    last = runs[-1]
    targets = [(documents, workers) for documents in (10_000_000, 100_000_000) for workers in (16, 64)]
    rows = [["job", "rate", *(f"{documents // 10**6} M on {workers}" for documents, workers in targets)]]
    totals = [0.0] * len(targets)
    for name in [job for job in JOBS if job in last.jobs]:
        exponent, kind = power(runs, name), JOBS[name][1]
        found = [expected(last, name, *target, exponent, config) for target in targets]
        totals = [total + seconds for total, seconds in zip(totals, found, strict=True)]
        seconds = last.jobs[name]["cpu_seconds"]
        rates = {
            SHARED: f"{1e6 * seconds / last.documents:,.0f} µs of a core a document",
            ONE: f"{1e6 * seconds / last.documents:,.0f} µs a document, one worker",
            SQUARE: f"approximate above {config.neighbors.exact_up_to:,}: {1e6 * JOIN:.0f} µs of a core a text, "
            f"{1e9 * ASSIGN:.1f} ns for each text and bucket; {1e9 * TRAIN:.0f} ns × buckets², one worker",
            POWER: f"{duration(seconds)} × growth^{exponent:.2f}, one worker",
            FIXED: duration(seconds),
        }
        if name == "embed" and not last.stages["embed"]["texts_embedded"]:
            rates[kind] = f"{1e6 * EMBEDDING:,.0f} µs of a core a document (benchmarks/embedding.py)"
        if name == "train":
            rates[kind] = f"{1e9 * CLUSTERING:.0f} ns of one core for each sampled text and list; a Flat index is not trained"
        rows.append([name, rates[kind], *map(duration, found)])
    print(table_of([*rows, ["sum", "", *map(duration, totals)]]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(REPOSITORY.parent / "shared" / "data" / "debian_packages.parquet"))
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 30_000, 60_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--vectors", help="folder of stored vectors of the same model that each run starts from")
    parser.add_argument("--keep", help="folder for the runs' roots, which are kept; a run that is there is not repeated")
    parser.add_argument("options", nargs="*", help="options of corpusbeam reindex, after --")
    arguments = parser.parse_args()
    table = pq.read_table(arguments.data, columns=["id", "text"])
    print(f"{processor()}, {os.cpu_count()} cores, {arguments.workers} workers", flush=True)
    runs = []
    with tempfile.TemporaryDirectory() as temporary:
        for documents in sorted(arguments.documents):
            folder = Path(arguments.keep or temporary) / str(documents)
            runs.append(run(folder, sample(table, documents), arguments.workers, arguments.vectors, arguments.options))
            print(f"{runs[-1].documents:,} documents: {runs[-1].seconds:.1f} s", flush=True)
    unknown = {job for one in runs for job in one.jobs} - set(JOBS)
    if unknown:
        print(f"FAILED: no unit is known for the jobs {sorted(unknown)}: add them to JOBS")
        return 1
    print()
    print_growth(runs)
    print()
    print_arithmetic(runs, arguments.options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
