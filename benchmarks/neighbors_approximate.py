"""The approximate neighbour graph: seconds, memory and recall, and what the exact graph of the same vectors would cost.

    .venv/bin/python benchmarks/neighbors_approximate.py [--rows 1000000] [--noise 0.3] [--threads 2] [--set neighbors.k=32 …]
    .venv/bin/python benchmarks/neighbors_approximate.py --rows 63666 --noise 0     the Debian vectors themselves, each once
    .venv/bin/python benchmarks/neighbors_approximate.py --peer ivf --peer pynndescent

Vectors: each is a Debian vector chosen at random plus Gaussian noise of the given expected length, normalised. They are written
as `.npy` blocks to a temporary folder; everything then runs in a process of its own, whose seconds on the clock, CPU seconds
(of all threads) and peak of resident memory are printed. Ours ends with Parquet files on disk and includes the certificate.

The exact graph is not made: one stripe of it, chosen in the middle, is compared with all that its task compares it with, by the
code that makes exact graphs, and its CPU seconds are multiplied by the number of such tasks. Merging the tasks' candidates and
their exact cosines are left out, so the estimate is too low rather than too high. Fails when recall is below
`neighbors.recall_gate` or the cost is above a tenth.

Peers work on vectors in memory and leave lists in memory: `ivf` is faiss's IVF with as many lists as we have buckets, searched
for all texts with `--nprobe` lists; `pynndescent` is its NNDescent with default settings. Their recall is that of the same
texts as ours, against float32 brute force, ties to 1e-6 counted as found.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
ROWS_PER_BLOCK = 4096
TIE = 1e-6


def write_vectors(folder: Path, data: str, rows: int, noise: float) -> None:
    from transforms.vectors import write_block

    roots = np.load(data).astype(np.float32)
    generator = np.random.default_rng(0)
    ids = np.unique(generator.integers(1 << 62, size=rows + rows // 100 + 10))[:rows]
    chosen = generator.permutation(len(roots))[:rows] if noise == 0 else generator.integers(0, len(roots), rows)
    if len(chosen) < rows:
        raise SystemExit(f"without noise there are only {len(roots):,} different vectors: give --noise")
    for low in range(0, rows, ROWS_PER_BLOCK):
        part = slice(low, min(low + ROWS_PER_BLOCK, rows))
        vectors = roots[chosen[part]]
        vectors += generator.standard_normal(vectors.shape, np.float32) * np.float32(noise / vectors.shape[1] ** 0.5)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        write_block(f"{folder}/vectors-{low:09d}.npy", f"{folder}/ids-{low:09d}.npy", low, ids[part], vectors)


def blocks_of(folder: Path) -> tuple[Any, ...]:
    from transforms.vectors import VectorBlock

    blocks = []
    for path in sorted(folder.glob("vectors-*.npy")):
        rows, dim = np.load(path, mmap_mode="r").shape
        start = int(path.stem.split("-")[1])
        blocks.append(VectorBlock(start, rows, dim, str(path), str(path.with_name(f"ids-{start:09d}.npy"))))
    return tuple(blocks)


def approximate(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    from transforms.neighbors import approximate_graph

    steps: dict[str, list[float]] = {}

    def run(step: Callable[..., Any], tasks: Any) -> list[Any]:
        clock, cpu = time.perf_counter(), time.process_time()
        done = [step(task, arguments.options, arguments.threads) for task in tasks]
        steps[step.__name__] = [time.perf_counter() - clock, time.process_time() - cpu, len(tasks)]
        return done

    graph = approximate_graph(blocks_of(folder), arguments.options, f"{folder}/work", f"{folder}/parts", run)
    found = graph.certificate
    return {"recall": [found.recall, found.low, found.high], "counts": graph.counts, "steps": steps}


def exact(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    from transforms.neighbors import plan_stripes
    from transforms.neighbors.stripes import compare_stripe

    tasks = plan_stripes(blocks_of(folder), arguments.options, f"{folder}/exact", f"{folder}/lists", None)
    for _ in compare_stripe(tasks[len(tasks) // 2], arguments.options, arguments.threads):
        pass
    return {"tasks": len(tasks), "stripe_rows": tasks[len(tasks) // 2].stripe.rows}


def ivf(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    import faiss

    vectors = loaded(folder)
    index = faiss.index_factory(vectors.shape[1], f"IVF{round(len(vectors) / arguments.options.texts_per_bucket)},Flat", 0)
    generator = np.random.default_rng(0)
    index.train(vectors[np.sort(generator.permutation(len(vectors))[: 39 * index.nlist])])
    index.add(vectors)
    index.nprobe = arguments.nprobe
    lists = index.search(vectors, arguments.options.k + 1)[1]
    return {"recall": recall_of(folder, vectors, lists, arguments)}


def pynndescent(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    from pynndescent import NNDescent

    vectors = loaded(folder)
    index = NNDescent(vectors, "cosine", n_neighbors=arguments.options.k + 1, random_state=0, n_jobs=arguments.threads)
    return {"recall": recall_of(folder, vectors, index.neighbor_graph[0], arguments)}


def loaded(folder: Path) -> np.ndarray:
    return np.concatenate([block.vectors() for block in blocks_of(folder)])


def recall_of(folder: Path, vectors: np.ndarray, lists: np.ndarray, arguments: argparse.Namespace) -> list[float]:
    """Recall of peers' lists, (rows, k + 1) positions, one of which may be the row itself; not part of their seconds."""
    from transforms.index import sampled_rows
    from transforms.index.interval import recall_interval

    arguments.done = time.perf_counter(), time.process_time()
    ids = np.concatenate([block.ids() for block in blocks_of(folder)])
    rows, k = sampled_rows(ids, arguments.options.recall_rows, last=True), arguments.options.k
    shares = []
    for row in rows:
        scores = vectors @ vectors[row]
        scores[row] = -2
        last = np.partition(scores, len(scores) - k)[len(scores) - k]
        listed = [other for other in lists[row] if other not in (row, -1)][:k]
        shares.append(float(np.sum(scores[listed] >= last - TIE)) / k)
    return [float(np.mean(shares)), *recall_interval(np.array(shares))]


WORK = {"approximate": approximate, "exact": exact, "ivf": ivf, "pynndescent": pynndescent}


def child(name: str, folder: Path, arguments: argparse.Namespace) -> None:
    import faiss
    import torch

    faiss.omp_set_num_threads(arguments.threads)
    torch.set_num_threads(arguments.threads)
    arguments.done = None
    clock, cpu = time.perf_counter(), time.process_time()
    told = WORK[name](folder, arguments)
    done = arguments.done or (time.perf_counter(), time.process_time())
    told |= {"seconds": done[0] - clock, "cpu": done[1] - cpu}
    print(json.dumps(told | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def measured(name: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """What one process of its own says of itself."""
    command = [sys.executable, __file__, *sys.argv[1:], "--child", name, "--folder", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def row(name: str, told: dict[str, Any]) -> str:
    recall = "{:.4f} ({:.4f} … {:.4f})".format(*told["recall"]) if "recall" in told else ""
    return f"{name:<24} {told['seconds']:>9.1f} {told['cpu']:>9.1f} {told['peak_mb']:>9,.0f}  {recall}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--noise", type=float, default=0.3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", default=str(REPOSITORY.parent / "shared" / "data" / "debian_packages.minilm.f16.npy"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of section neighbors")
    parser.add_argument("--peer", action="append", default=[], choices=["ivf", "pynndescent"])
    parser.add_argument("--nprobe", type=int, default=16, help="lists that the peer ivf searches")
    parser.add_argument("--child", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    from transforms.neighbors import NeighborsOptions

    chosen = (setting.removeprefix("neighbors.").split("=", 1) for setting in arguments.set)
    arguments.options = NeighborsOptions(**{key: yaml.safe_load(value) for key, value in chosen})
    if arguments.child:
        child(arguments.child, arguments.folder, arguments)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_vectors(folder, arguments.data, arguments.rows, arguments.noise)
        print(f"{arguments.rows:,} vectors, noise {arguments.noise}, {arguments.threads} threads, K = {arguments.options.k}")
        print(f"{'':<24} {'seconds':>9} {'CPU s':>9} {'peak MB':>9}  recall@{arguments.options.k}", flush=True)
        ours = measured("approximate", folder, arguments)
        print(row("approximate graph", ours), flush=True)
        stripe = measured("exact", folder, arguments)
        print(row(f"one of {stripe['tasks']} exact tasks", stripe), flush=True)
        for peer in arguments.peer:
            print(row(f"{peer} {arguments.nprobe if peer == 'ivf' else ''}", measured(peer, folder, arguments)), flush=True)
    for step, (seconds, cpu, tasks) in ours["steps"].items():
        print(f"  {step:<22} {seconds:>9.1f} {cpu:>9.1f}  {tasks:,.0f} tasks")
    print("  " + ", ".join(f"{name} {value:,}" for name, value in ours["counts"].items()))
    exact_cpu = stripe["cpu"] * stripe["tasks"]
    share = ours["cpu"] / exact_cpu
    print(f"exact graph, estimated   {exact_cpu:,.0f} CPU s at least; approximate / exact = {share:.3f}")
    if ours["recall"][0] < arguments.options.recall_gate or share > 0.1:
        print("FAILED: recall is below the gate or the cost above a tenth")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
