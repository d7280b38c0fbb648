"""The exact neighbour graph beside `faiss.knn`: the same vectors, K, threads and machine, in turn, each in its own process.

    .venv/bin/python benchmarks/neighbors.py [--rounds 3] [--threads 2] [--data ../shared/data/debian_packages.minilm.f16.npy]
    .venv/bin/python benchmarks/neighbors.py --root ROOT         the vectors of the generation published under ROOT
    .venv/bin/python benchmarks/neighbors.py --synthetic 100000  random vectors about random centres
    .venv/bin/python benchmarks/neighbors.py --precision fp32    as on a machine without bf16
    .venv/bin/python benchmarks/neighbors.py --workers 2         the Beam job on so many processes as well

Seconds are from vectors in `.npy` files to lists: for ours in Parquet files, ids and exact cosines, for faiss in memory.
Imports are not counted. The peak is of the resident memory of the whole process, of a job's of the largest one. Then it
compares all lists: a text that only faiss has is no disagreement when its exact cosine is that of our last place to 1e-6,
which is more than float32 search can tell. With --root it also says whether the lists are those that were published. Fails
when lists disagree or ours take longer.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

REPOSITORY = Path(__file__).resolve().parents[1]
ROWS_PER_BLOCK = 2048
TIE = 1e-6


def root_vectors(root: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids and vectors of all distinct texts of the published generation."""
    from transforms.corpus import ids_of
    from transforms.files import join, read_table
    from transforms.generations import open_generation

    generation = open_generation(root)
    shards = [file.path for file in generation.manifest.files if file.path.startswith("vectors/")]
    tables = [read_table(join(root, path), ["content_key", "vector"]).combine_chunks() for path in sorted(shards)]
    ids = np.concatenate([ids_of(table["content_key"].combine_chunks()) for table in tables])
    flat = [table["vector"].combine_chunks().flatten().to_numpy() for table in tables]
    vectors = np.concatenate([values.reshape(len(table), -1) for values, table in zip(flat, tables, strict=True)])
    wanted = published_lists(root)[0]
    _, first = np.unique(ids, return_index=True)
    first = first[np.isin(ids[first], wanted)]
    return ids[first], vectors[first].astype(np.float32)


def published_lists(root: str) -> list[np.ndarray]:
    from transforms.generations import open_generation
    from transforms.neighbors import read_neighbors

    generation = open_generation(root)
    parts = [read_neighbors(generation.checked(file)) for file in generation.manifest.under("neighbors")]
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def synthetic_vectors(rows: int, dim: int = 384) -> np.ndarray:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(max(1, rows // 100), dim)).astype(np.float32)
    vectors = centres[generator.integers(0, len(centres), rows)]
    vectors += 1.2 * generator.standard_normal((rows, dim), np.float32)
    return vectors


def measured(kind: str, folder: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--child", kind, "--folder", folder, "-k", str(arguments.k)]
    command += ["--threads", str(arguments.threads), "--precision", arguments.precision]
    command += ["--workers", str(arguments.workers or 1)]
    threads = {name: str(arguments.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    if kind == "job":
        threads = {}
    environment = {**os.environ, **threads, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def peak_mb(process: int | str = "self") -> float:
    """High-water mark of a process. Not getrusage's: that begins with the memory of the process that forked this one."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmHWM in /proc/self/status: this benchmark needs Linux")


def blocks_of(folder: str) -> list[Any]:
    from transforms.vectors import VectorBlock

    return [VectorBlock(*block) for block in json.loads(Path(folder, "blocks.json").read_text())]


def child_faiss(folder: str, k: int, threads: int) -> dict[str, Any]:
    import faiss

    faiss.omp_set_num_threads(threads)
    before, started, cpu = peak_mb(), time.perf_counter(), time.process_time()
    vectors = np.load(f"{folder}/vectors.npy")
    _, found = faiss.knn(vectors, vectors, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
    result = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu, "before_mb": before}
    np.save(f"{folder}/faiss.npy", found)
    return result


def child_ours(folder: str, k: int, threads: int, precision: str) -> dict[str, Any]:
    from transforms.neighbors import NeighborsOptions, build_graph, plan_stripes, screen, stripes

    if precision != "auto":
        stripes.precision_for = lambda _: precision
    elif screen.fastest_precision() == "bf16":  # imports torch, which a run has done when it comes to the graph
        precision = "bf16"
    before, started, cpu = peak_mb(), time.perf_counter(), time.process_time()
    options = NeighborsOptions(k=k)
    blocks = blocks_of(folder)
    tasks = plan_stripes(blocks, options, f"{folder}/ours", f"{folder}/scratch", workers=1)
    records = build_graph(tasks, options, threads)
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "before_mb": before,
        "precision": precision,
        "searched_exactly": sum(record.searched_exactly for record in records),
        "parts": [record.file.path for record in records],
    }


def child_job(folder: str, k: int, workers: int) -> dict[str, Any]:
    """The job as a run starts it, twice: worker processes that earlier stages have started are there the second time."""
    from pipelines.runner import Runner, RunnerOptions
    from transforms.neighbors import NeighborsOptions, NeighborsRecord, plan_stripes
    from transforms.neighbors.beam import NeighborGraph

    options = NeighborsOptions(k=k)
    seconds = []
    with Runner(RunnerOptions(workers=workers)) as runner:
        for attempt in range(2):
            started = time.perf_counter()
            place = f"{folder}/job-{attempt}"
            tasks = plan_stripes(blocks_of(folder), options, place, f"{place}-scratch", workers=workers)
            transform = NeighborGraph(options, runner.threads(len(tasks)))
            records: list[NeighborsRecord] = runner.run(transform, tasks, NeighborsRecord, f"{place}.json")
            seconds.append(time.perf_counter() - started)
        peak = max(peak_mb(child.pid) for child in [psutil.Process(), *psutil.Process().children()])
    parts = [record.file.path for record in sorted(records, key=lambda record: record.part)]
    return {"seconds": seconds[1], "first": seconds[0], "parts": parts, "peak_mb": peak}


def lists_of(parts: list[str]) -> list[np.ndarray]:
    from transforms.neighbors import read_neighbors

    return [np.concatenate(arrays) for arrays in zip(*(read_neighbors(part) for part in parts), strict=True)]


def equal(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(left, right) for left, right in zip(a, b, strict=True))


def disagreements(ids: np.ndarray, vectors: np.ndarray, ours: list[np.ndarray], found: np.ndarray) -> tuple[int, int]:
    """Texts whose lists name others, and those among them that ties do not explain."""
    from transforms.neighbors import exact_pair_cosines, snap

    _, neighbor_ids, cosines = ours
    theirs = ids[found]
    rows, places = np.nonzero((theirs[:, :, None] == neighbor_ids[:, None, :]).sum(axis=2) == 0)
    own = theirs[rows, places] == ids[rows]
    # Of k + 1 that faiss finds one is the text itself, or, among its equals, the last is one too many.
    extra = ~np.isin(np.arange(len(ids)), rows[own])
    last = extra[rows] & (places == theirs.shape[1] - 1)
    rows, places = rows[~own & ~last], places[~own & ~last]
    snapped = snap(vectors)
    exact = exact_pair_cosines(snapped, snapped, rows, found[rows, places])
    wrong = exact > cosines[rows, -1] + TIE
    # The other direction: somebody of ours may be missing there only if no better one is.
    return len(np.unique(rows)), len(np.unique(rows[wrong | (exact < cosines[rows, -1] - TIE)]))


def row(name: str, results: list[dict[str, Any]], ratio: float) -> str:
    seconds = [result["seconds"] for result in results]
    every = " ".join(f"{value:.2f}" for value in seconds)
    peak = max(result["peak_mb"] for result in results)
    # Of a job's workers only the peak is known here.
    cpu, grown = "", ""
    if "cpu" in results[0]:
        cpu = f"{statistics.median(result['cpu'] for result in results):.1f}"
        grown = f"+{max(result['peak_mb'] - result['before_mb'] for result in results):.0f}"
    return f"{name:<28} {statistics.median(seconds):>8.2f} {every:<22} {cpu:>6} {peak:>8.0f} {grown:>14} {ratio:>6.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="root whose published generation's vectors are taken")
    parser.add_argument("--data", default=str(REPOSITORY.parent / "shared" / "data" / "debian_packages.minilm.f16.npy"))
    parser.add_argument("--synthetic", type=int, metavar="ROWS")
    parser.add_argument("--rows", type=int, help="only the first of them, for a quick look")
    parser.add_argument("-k", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto", help="of the screen")
    parser.add_argument("--workers", type=int, help="also run the Beam job on so many processes")
    parser.add_argument("--child", choices=["ours", "faiss", "job"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return child(arguments)

    from transforms.neighbors import snap
    from transforms.vectors import unit_vectors, write_block

    if arguments.root:
        ids, vectors = root_vectors(arguments.root)
    else:
        vectors = synthetic_vectors(arguments.synthetic) if arguments.synthetic else np.load(arguments.data)
        ids = np.sort(np.random.default_rng(0).choice(2**62, len(vectors), replace=False))
    if not arguments.root:
        vectors = unit_vectors(vectors)
    ids, vectors = ids[: arguments.rows], vectors[: arguments.rows]
    print(f"{len(vectors):,} vectors of {vectors.shape[1]} dimensions, K = {arguments.k}, {arguments.threads} threads")
    with tempfile.TemporaryDirectory() as folder:
        blocks = [
            write_block(f"{folder}/v{low}.npy", f"{folder}/i{low}.npy", low, ids[low : low + ROWS_PER_BLOCK], part)
            for low in range(0, len(ids), ROWS_PER_BLOCK)
            for part in [vectors[low : low + ROWS_PER_BLOCK]]
        ]
        Path(folder, "blocks.json").write_text(
            json.dumps([[block.start, block.rows, block.dim, block.path, block.ids_path] for block in blocks])
        )
        np.save(f"{folder}/vectors.npy", snap(vectors))
        kinds = ["ours", "faiss"] + (["job"] if arguments.workers else [])
        results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
        for _ in range(arguments.rounds):
            for kind in kinds:
                results[kind].append(measured(kind, folder, arguments))
        names = {
            "ours": f"ours, {results['ours'][0]['precision']} screen",
            "faiss": "faiss.knn",
            "job": f"ours, Beam job, {arguments.workers} workers",
        }
        print(f"{'':<28} {'seconds':>8} {'of all rounds':<22} {'CPU s':>6} {'peak MB':>8} {'after imports':>14} {'ratio':>6}")
        ratios: dict[str, float] = {}
        for kind in kinds:
            paired = zip(results[kind], results["faiss"], strict=True)
            ratios[kind] = statistics.median(one["seconds"] / other["seconds"] for one, other in paired)
            print(row(names[kind], results[kind], ratios[kind]))
        if arguments.workers:
            print(f"first job of a run, with the start of the workers: {results['job'][0]['first']:.2f} s")
        ours = lists_of(results["ours"][0]["parts"])
        different, wrong = disagreements(ids, vectors, ours, np.load(f"{folder}/faiss.npy"))
        same = not arguments.workers or equal(ours, lists_of(results["job"][-1]["parts"]))
        exactly = results["ours"][0]["searched_exactly"]
        print(f"{exactly:,} texts were searched exactly; {different:,} lists differ from those of faiss by ties")
        if arguments.root and arguments.rows is None:
            print(f"the lists are those that were published: {equal(ours, published_lists(arguments.root))}")
    if wrong or not same:
        print(f"FAILED: {wrong:,} lists are not those of faiss.knn; the job's lists are the same: {same}")
        return 1
    if ratios["ours"] > 1:
        print("FAILED: slower than faiss.knn")
        return 1
    return 0


def child(arguments: argparse.Namespace) -> int:
    if arguments.child == "faiss":
        result = child_faiss(arguments.folder, arguments.k, arguments.threads)
    elif arguments.child == "ours":
        result = child_ours(arguments.folder, arguments.k, arguments.threads, arguments.precision)
    else:
        result = child_job(arguments.folder, arguments.k, arguments.workers)
    print(json.dumps({"peak_mb": peak_mb(), **result}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
