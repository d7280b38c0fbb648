"""Paraphrase mining beside sentence-transformers' `paraphrase_mining_embeddings`: the same vectors, each in its own process.

    .venv/bin/python benchmarks/mining.py ROOT [--threshold 0.788] [--rounds 1] [--workers 2]
    .venv/bin/python benchmarks/mining.py ROOT --check [--thresholds 0.75 0.8 0.9]

ROOT has a published generation that keeps its texts; its distinct texts and their stored vectors are mined again from nothing.
The peer has its defaults (top_k 100, max_pairs 500,000) and gives pairs of indices. Ours is measured twice: from vectors to
the same, pairs of ids by cosine, and from vectors to the published tables: also the wording of the texts, groups, documents. In
both the exact neighbour graph is made, and written. Prints seconds, the peak memory of each process, their ratios, and how many
of all pairs at the threshold each has. Fails when ours lacks a pair that the peer has.

Ours is plain functions in one process with as many threads as cores. With --workers the tables are made by the Beam jobs of a
run with so many worker processes, twice: the first time they start, the second time they are there, as after embedding. Memory
is then the sum of all processes' peaks.

With --check, ours is set beside brute force on exact products of all vectors, in float64: fails unless recall and precision of
the pairs are 1 at every threshold, and every cosine is the same.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

DEFAULT_THRESHOLDS = (0.75, 0.8, 0.9)


def prepare(root: str, folder: Path) -> int:
    """The distinct texts of the published generation as a run has them (blocks, passages, documents); returns how many."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from transforms.corpus import ids_of
    from transforms.files import read_table, write_table
    from transforms.generations import open_generation
    from transforms.vectors import unit_vectors, write_block

    generation = open_generation(root)
    documents = pa.concat_tables(
        read_table(generation.checked(file), ["doc_id", "passage_no", "content_key", "text"])
        for file in generation.manifest.under("documents")
    )
    documents = documents.sort_by([(name, "ascending") for name in ("content_key", "doc_id", "passage_no")]).combine_chunks()
    grouped = documents.group_by("content_key", use_threads=False).aggregate(
        [("text", "first"), ("doc_id", "first"), ("passage_no", "first"), ("doc_id", "count_distinct")]
    )
    grouped = grouped.sort_by("content_key").combine_chunks()
    keys = grouped["content_key"].combine_chunks()
    shards = [file for file in generation.manifest.files if file.path.startswith("vectors/")]
    store = pa.concat_tables(read_table(f"{root}/{file.path}", ["content_key", "vector"]) for file in shards).combine_chunks()
    rows = pc.index_in(keys, store["content_key"].combine_chunks())
    vectors = store["vector"].combine_chunks().take(rows).flatten().to_numpy().reshape(len(keys), -1)
    vectors, ids = unit_vectors(vectors), ids_of(keys)
    passages = pa.table(
        {
            "id": ids,
            "text": grouped["text_first"],
            "doc_id": grouped["doc_id_first"],
            "passage_no": grouped["passage_no_first"],
            "n_documents": grouped["doc_id_count_distinct"].cast(pa.int32()),
        }
    )
    for part, low in enumerate(range(0, len(ids), 4096)):
        some = slice(low, low + 4096)
        write_block(f"{folder}/v{part:05d}.npy", f"{folder}/i{part:05d}.npy", low, ids[some], vectors[some])
        write_table(f"{folder}/passages/{part:05d}.parquet", passages.slice(low, 4096))
    write_table(f"{folder}/documents/0.parquet", documents.drop_columns("text"))
    np.save(folder / "vectors.npy", vectors)
    np.save(folder / "ids.npy", ids)
    return len(ids)


def refs(folder: Path, name: str) -> tuple:
    from transforms.files import FileRef, list_files

    return tuple(FileRef(path, 0, None, "") for path in sorted(list_files(str(folder / name), ".parquet")))


def blocks_of(folder: Path) -> tuple:
    from transforms.vectors import VectorBlock

    blocks, start = [], 0
    for path in sorted(folder.glob("v[0-9]*.npy")):
        rows, dim = np.load(path, mmap_mode="r").shape
        blocks.append(VectorBlock(start, rows, dim, str(path), str(path.with_name("i" + path.name[1:]))))
        start += rows
    return tuple(blocks)


def ours(folder: Path, threshold: float, pairs_only: bool = False) -> dict[str, float]:
    """Mine in this process, with the settings of `configs/local.yaml` but the threshold."""
    # torch is there already in a run, from embedding; nor does the peer's time hold its imports. numba imports most of itself
    # (0.3 s) when it first compiles something.
    import numba
    import torch  # noqa: F401

    numba.njit(lambda: None)()

    from transforms.duplicates import (
        DuplicatesOptions,
        GroupTask,
        MineTask,
        WordingTask,
        find_pairs,
        mine_parts,
        publish_duplicates,
        write_wording_parts,
    )
    from transforms.neighbors import NeighborsOptions, build_graph, plan_stripes

    blocks, passages, options = blocks_of(folder), refs(folder, "passages"), DuplicatesOptions(threshold=threshold)
    threads = os.cpu_count() or 1
    began, cpu = time.perf_counter(), time.process_time()
    graph = NeighborsOptions()
    stripes = plan_stripes(blocks, graph, f"{folder}/neighbors", f"{folder}/stripes", 1)
    parts = build_graph(stripes, graph, threads)
    files = tuple(part.file for part in parts)
    result = {"graph_seconds": time.perf_counter() - began}
    if pairs_only:
        found = [find_pairs(MineTask(part, files, blocks, (), (), ""), options) for part in parts]
        a, b, cosines = (np.concatenate([getattr(part, name) for part in found]) for name in ("a", "b", "cosines"))
        order = np.lexsort((b, a, -cosines))
        pairs = list(zip(cosines[order].tolist(), a[order].tolist(), b[order].tolist(), strict=True))
        result |= {"pairs": len(pairs), "complete": not any(part.dropped.pairs for part in found)}
    else:
        read = [WordingTask(part, file, f"{folder}/wording") for part, file in enumerate(passages)]
        wordings = tuple(record.file for record in write_wording_parts(read, threads))
        tasks = [MineTask(part, files, blocks, passages, wordings, f"{folder}/pairs") for part in parts]
        mined = tuple(mine_parts(tasks, options, threads))
        group = GroupTask(mined, files, passages, wordings, refs(folder, "documents"), f"{folder}/duplicates")
        record = publish_duplicates(group, options)
        result |= {"pairs": record.near + record.paraphrase, "complete": record.complete}
    return result | {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def ours_as_jobs(folder: Path, threshold: float, workers: int) -> dict[str, float]:
    """Mine by the jobs of a run, twice."""
    import psutil

    from pipelines.runner import Runner, RunnerOptions
    from transforms.duplicates import (
        DuplicatesOptions,
        GroupRecord,
        GroupTask,
        MineRecord,
        MineTask,
        WordingRecord,
        WordingTask,
    )
    from transforms.duplicates.beam import GroupDuplicates, MinePairs, ReadWording
    from transforms.neighbors import NeighborsOptions, NeighborsRecord, plan_stripes
    from transforms.neighbors.beam import NeighborGraph

    blocks, passages, documents = blocks_of(folder), refs(folder, "passages"), refs(folder, "documents")
    graph, options = NeighborsOptions(), DuplicatesOptions(threshold=threshold)
    seconds, graph_seconds, cpu = [], [], []
    with Runner(RunnerOptions(workers=workers)) as runner:

        def job(transform, tasks, record_type):
            records = runner.run(transform, tasks, record_type, f"{folder}/records.json")
            return sorted(records, key=lambda record: getattr(record, "part", 0))

        here = psutil.Process()
        for place in (folder / "first", folder):
            before = cpu_seconds(here)
            began = time.perf_counter()
            stripes = plan_stripes(blocks, graph, f"{place}/neighbors", f"{place}/stripes", workers)
            parts = job(NeighborGraph(graph, runner.threads(len(stripes))), stripes, NeighborsRecord)
            graph_seconds.append(time.perf_counter() - began)
            words = runner.shares([WordingTask(part, file, f"{place}/wording") for part, file in enumerate(passages)])
            wordings = tuple(record.file for record in job(ReadWording(runner.threads(len(words))), words, WordingRecord))
            files = tuple(part.file for part in parts)
            mine = [MineTask(part, files, blocks, passages, wordings, f"{place}/pairs") for part in parts]
            tasks = runner.shares(mine)
            mined = tuple(job(MinePairs(options, runner.threads(len(tasks))), tasks, MineRecord))
            group = GroupTask(mined, files, passages, wordings, documents, f"{place}/duplicates")
            (record,) = job(GroupDuplicates(options), [group], GroupRecord)
            seconds.append(time.perf_counter() - began)
            cpu.append(cpu_seconds(here) - before)
        peak = sum(peak_mb(process.pid) for process in [here, *here.children(recursive=True)])
    return {
        "seconds": seconds[1],
        "first": seconds[0],
        "cpu": cpu[1],
        "graph_seconds": graph_seconds[1],
        "pairs": record.near + record.paraphrase,
        "complete": record.complete,
        "peak_rss_mb": peak,
    }


def cpu_seconds(process) -> float:
    """CPU time of a process and its children so far."""
    times = [each.cpu_times() for each in [process, *process.children(recursive=True)]]
    return sum(each.user + each.system for each in times)


def peak_mb(process: int) -> float:
    """High-water mark of the resident memory of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def peer(folder: Path, threshold: float) -> dict[str, float]:
    """The library's function with its defaults, in this process."""
    import torch
    from sentence_transformers.util import paraphrase_mining_embeddings

    vectors = torch.from_numpy(np.load(folder / "vectors.npy"))
    began, cpu = time.perf_counter(), time.process_time()
    found = paraphrase_mining_embeddings(vectors)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    pairs = np.array([(score, *sorted((i, j))) for score, i, j in found], dtype=np.float64)
    np.save(folder / "peer.npy", pairs[pairs[:, 0] >= threshold])
    return {
        "seconds": seconds,
        "cpu": cpu,
        "pairs": int((pairs[:, 0] >= threshold).sum()),
        "lowest": float(pairs[:, 0].min()),
        "all": len(pairs),
    }


def measured(side: str, folder: Path, threshold: float, workers: int = 0) -> dict[str, float]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder), "--threshold", str(threshold)]
    command += ["--workers", str(workers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def mined_pairs(folder: Path, ids: np.ndarray) -> dict[tuple[int, int], np.float32]:
    """Pairs of places in `ids` with their cosines."""
    from transforms.files import read_table

    table = read_table(f"{folder}/duplicates/pairs.parquet", ["id_a", "id_b", "cosine"])
    a, b = (np.searchsorted(ids, table[name].to_numpy()) for name in ("id_a", "id_b"))
    other = a != b
    low, high = np.minimum(a, b)[other].tolist(), np.maximum(a, b)[other].tolist()
    found = dict(zip(zip(low, high, strict=True), table["cosine"].to_numpy()[other], strict=True))
    assert len(found) == other.sum(), "a pair comes twice"
    return found


def brute_force(vectors: np.ndarray, lowest: float) -> dict[tuple[int, int], np.float32]:
    """All pairs with an exact cosine of at least `lowest`, by float64 products of the vectors in whole multiples of 2^-26.

    These are integers below 2^53: nothing rounds, in whatever order they are summed.
    """
    whole = np.rint(vectors.astype(np.float64) * 2**26)
    found = {}
    for low in range(0, len(whole), 512):
        products = np.clip((whole[low : low + 512] @ whole[low:].T / 2**52).astype(np.float32), -1, 1)
        rows, columns = np.nonzero(products >= lowest)
        later = columns > rows
        rows, columns = rows[later], columns[later]
        pairs = zip((rows + low).tolist(), (columns + low).tolist(), strict=True)
        found.update(zip(pairs, products[rows, columns], strict=True))
    return found


def check(folder: Path, thresholds: list[float]) -> None:
    vectors, ids = np.load(folder / "vectors.npy"), np.load(folder / "ids.npy")
    began = time.perf_counter()
    everything = brute_force(vectors, np.nextafter(np.float32(min(thresholds)), np.float32(-2)))
    print(f"brute force over {len(ids):,} vectors: {time.perf_counter() - began:.0f} s")
    print(f"{'threshold':>9} {'pairs':>10} {'found':>10} {'recall':>8} {'precision':>10} {'cosines':>9}")
    for threshold in thresholds:
        measured("tables", folder, threshold)
        found = mined_pairs(folder, ids)
        expected = {pair: cosine for pair, cosine in everything.items() if float(cosine) >= threshold}
        both = expected.keys() & found.keys()
        equal = all(expected[pair] == found[pair] for pair in both)
        recall, precision = len(both) / max(len(expected), 1), len(both) / max(len(found), 1)
        same = "equal" if equal else "DIFFER"
        print(f"{threshold:>9} {len(expected):>10,} {len(found):>10,} {recall:>8.3f} {precision:>10.3f} {same:>9}", flush=True)
        if not (equal and expected.keys() == found.keys()):
            sys.exit("the pairs are not those of brute force")


def compare(folder: Path, threshold: float, rounds: int, workers: int) -> None:
    sides: dict[str, list[dict[str, float]]] = {"peer": [], "pairs": [], "tables": []}
    for _ in range(rounds):
        for side, results in sides.items():
            results.append(measured(side, folder, threshold, workers))
    of_peer, of_pairs, of_ours = sides.values()
    found = mined_pairs(folder, np.load(folder / "ids.npy"))
    listed = {(int(i), int(j)) for _, i, j in np.load(folder / "peer.npy")}
    print(f"{'':<34} {'seconds':>9} {'CPU s':>8} {'of it graph':>12} {'peak MB':>9} {'pairs at threshold':>19}")
    names = "paraphrase_mining_embeddings", "corpusbeam, vectors to pairs", "corpusbeam, vectors to tables"
    for name, results in zip(names, sides.values(), strict=True):
        seconds = statistics.median(result["seconds"] for result in results)
        graph = statistics.median(result.get("graph_seconds", 0.0) for result in results)
        peak = max(result["peak_rss_mb"] for result in results)
        cpu = statistics.median(result["cpu"] for result in results)
        print(f"{name:<34} {seconds:>9.2f} {cpu:>8.2f} {graph:>12.2f} {peak:>9.0f} {results[0]['pairs']:>19,}")
    for name, results in (("pairs only, as the peer gives", of_pairs), ("with wording, groups and published tables", of_ours)):
        print(f"{name}:")
        times, of_cpu = (
            statistics.median(theirs[kind] / mine[kind] for theirs, mine in zip(of_peer, results, strict=True))
            for kind in ("seconds", "cpu")
        )
        memory = max(result["peak_rss_mb"] for result in results) / max(result["peak_rss_mb"] for result in of_peer)
        print(f"  times as fast: {times:.1f}; by CPU seconds, which other processes on the machine change least: {of_cpu:.1f}")
        print(f"  memory: {memory:.2f} of the peer's")
    if of_pairs[0]["pairs"] != of_ours[0]["pairs"]:
        sys.exit(f"{of_pairs[0]['pairs']:,} pairs were found, {of_ours[0]['pairs']:,} are in the tables")
    if workers:
        first = [theirs["seconds"] / mine["first"] for theirs, mine in zip(of_peer, of_ours, strict=True)]
        print(f"with {workers} workers that start meanwhile: {statistics.median(first):.1f} times as fast")
    peer_pairs, lowest, lacking = of_peer[0]["all"], of_peer[0]["lowest"], len(found.keys() - listed)
    complete = "complete" if all(result["complete"] for result in of_ours) else "INCOMPLETE"
    print(
        f"the peer has {peer_pairs:,} pairs, down to {lowest:.3f}, and lacks {lacking:,} of the {len(found):,} at {threshold}"
    )
    print(f"ours is {complete}")
    # Float32 products may say more than the threshold where the exact cosine is less, by their error.
    if lost := [pair for pair in listed - found.keys() if not at_the_threshold(folder, pair, threshold)]:
        sys.exit(f"ours lacks {len(lost)} pairs that the peer has")


def at_the_threshold(folder: Path, pair: tuple[int, int], threshold: float) -> bool:
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    return abs(float(vectors[pair[0]].astype(np.float64) @ vectors[pair[1]].astype(np.float64)) - threshold) < 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", help="root with a published generation that keeps its texts")
    parser.add_argument("--threshold", type=float, default=0.788)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="as the jobs of a run with so many worker processes")
    parser.add_argument("--check", action="store_true", help="compare with brute force instead of with the peer")
    parser.add_argument("--thresholds", type=float, nargs="+", default=list(DEFAULT_THRESHOLDS))
    parser.add_argument("--side", choices=["tables", "pairs", "peer"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side is not None:
        if arguments.side == "tables" and arguments.workers:
            result = ours_as_jobs(arguments.folder, arguments.threshold, arguments.workers)
        else:
            side = {"tables": ours, "pairs": partial(ours, pairs_only=True), "peer": peer}[arguments.side]
            result = side(arguments.folder, arguments.threshold)
            result["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(result))
        return
    if arguments.root is None:
        parser.error("a root is needed: corpusbeam reindex makes one")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{prepare(arguments.root, folder):,} distinct texts of {arguments.root}", flush=True)
        if arguments.check:
            check(folder, arguments.thresholds)
        else:
            compare(folder, arguments.threshold, arguments.rounds, arguments.workers)


if __name__ == "__main__":
    main()
