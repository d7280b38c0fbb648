"""The index stages beside a plain FAISS script and autofaiss, on the same vectors, each in a process of its own.

    .venv/bin/python benchmarks/index.py --root ROOT [--rows 1000000] [--noise 0.03] [--autofaiss PYTHON]

Vectors are those of the root's store, repeated to `--rows`, with gaussian noise of `--noise` in every component (at 384
dimensions 0.03 makes two copies of a text about 0.74 alike), at length 1 again. All rows are different texts with random keys.

- ours: the index stages as plain functions in one process (train, encode, merge with ids.parquet, then exact answers to 1,000
  queries, nprobe, recall, and "publish", copying the file with its nprobe and sha256), in blocks of 4,096 rows as a run has
  them; the default options. As in a run, which embeds in another process, torch is loaded when the exact answers ask for it
- faiss: the same factory string, trained on a random sample of the same size, `add_with_ids`, exact answers by `faiss.knn`,
  nprobe by doubling and bisection, each step a search, until recall at 10 is 0.99; written with `faiss.write_index`
- autofaiss: `build_index` with inner product and 2 GB for the index, in an environment of its own (it needs numpy below 2):
  `python -m venv ENV; ENV/bin/pip install autofaiss "numpy<2" "pyarrow<20"`, then `--autofaiss ENV/bin/python`

Seconds and peak memory (VmHWM) are of building with all that the way does to choose its parameters. Then every file is judged
alike: opened by FAISS, 1,000 further texts searched for, whose recall at 10 (themselves left out, ties count) and queries a
second, in one batch on all cores, are printed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# The other environment has neither this project nor its libraries.
_AUTOFAISS = """
import json, sys, time
import numpy as np
from pathlib import Path
from autofaiss import build_index

def peak():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024

if __name__ == "__main__":
    source, target, cores = sys.argv[1:]
    begun = time.perf_counter()
    index, infos = build_index(
        embeddings=source, index_path=target, index_infos_path=target + ".json", metric_type="ip",
        max_index_memory_usage="2G", current_memory_available="6G", nb_cores=int(cores),
    )
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "peak": peak(), "type": json.load(open(target + ".json"))["index_key"],
                      "parameters": json.load(open(target + ".json"))["index_param"]}))
"""
_BLOCK = 4096
_QUERIES = 1000


def peak() -> int:
    """Peak resident bytes of this process."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def make_vectors(root: str, folder: Path, rows: int, noise: float) -> int:
    """`vectors/base.npy`, `keys.npy` ascending, blocks of both, and queries with exact answers; returns the dimension."""
    import faiss
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    from transforms.corpus import ids_of
    from transforms.vectors import write_block

    paths = sorted(Path(root).glob("vectors/*/*.parquet"))
    if not paths:
        raise SystemExit(f"{root} has no stored vectors: give the root of a published generation")
    column = ds.dataset([str(path) for path in paths]).to_table(columns=["vector"])["vector"].combine_chunks()
    stored = column.flatten().to_numpy().reshape(-1, column.type.list_size)
    dice = np.random.default_rng(0)
    keys = np.sort(np.frombuffer(dice.bytes(32 * rows), "S32"))
    (folder / "vectors").mkdir()
    base = np.lib.format.open_memmap(folder / "vectors" / "base.npy", "w+", np.float32, (rows, stored.shape[1]))
    order = dice.permutation(rows) % len(stored)
    ids = np.empty(rows, np.int64)
    for start in range(0, rows, _BLOCK):
        some = slice(start, min(start + _BLOCK, rows))
        vectors = stored[order[some]] + noise * dice.standard_normal((some.stop - start, stored.shape[1]), np.float32)
        base[some] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        ids[some] = ids_of(pa.array([key.ljust(32, b"\0") for key in keys[some].tolist()], pa.binary(32)))
        write_block(f"{folder}/v{start:09d}.npy", f"{folder}/i{start:09d}.npy", start, ids[some], base[some])
    base.flush()
    np.save(folder / "ids.npy", ids)
    documents = pa.table(
        {
            "doc_id": [f"d{i:07d}" for i in range(rows)],
            "passage_no": pa.array(np.zeros(rows, np.int32)),
            "content_key": pa.array([key.ljust(32, b"\0") for key in keys.tolist()], pa.binary(32)),
        }
    )
    pq.write_table(documents, folder / "documents.parquet")
    queries = np.sort(dice.choice(rows, _QUERIES, replace=False))
    scores, found = faiss.knn(base[queries], np.asarray(base), 11, metric=faiss.METRIC_INNER_PRODUCT)
    np.savez(folder / "judge.npz", queries=queries, scores=scores, found=found)
    return stored.shape[1]


def build_ours(folder: Path, target: Path, factory: str | None) -> dict[str, object]:
    """The index stages, one after the other."""
    from transforms.files import file_ref
    from transforms.index import (
        EncodeTask,
        ExactTask,
        IndexOptions,
        MergeTask,
        QuerySet,
        RecallTask,
        TrainTask,
        encode_shard,
        find_exact,
        measure,
        measure_recall,
        merge_index,
        plan_shards,
        train_index,
    )
    from transforms.vectors import VectorBlock

    ids = sorted(folder.glob("i*[0-9].npy"))
    blocks = []
    for vectors, own in zip(sorted(folder.glob("v*[0-9].npy")), ids, strict=True):
        shape = np.load(vectors, mmap_mode="r").shape
        blocks.append(VectorBlock(int(vectors.stem[1:]), shape[0], shape[1], str(vectors), str(own)))
    documents = (file_ref(f"{folder}/documents.parquet"),)
    options = IndexOptions() if factory is None else IndexOptions(type=factory)
    work, published = f"{folder}/work", str(target.parent / "ours")
    begun = time.perf_counter()
    parts = {}

    def timed(name, call, *arguments):
        started = time.perf_counter()
        result = call(*arguments)
        parts[name] = parts.get(name, 0.0) + time.perf_counter() - started
        return result

    def copied(*arguments):
        return timed("publish", copy_with_nprobe, *arguments)

    # The last step of the task that measures writes the index with its nprobe into the generation: the index would have to be
    # written there whatever was measured.
    copy_with_nprobe, measure.copy_with_nprobe = measure.copy_with_nprobe, copied
    cores = os.cpu_count()
    training = timed("train", train_index, TrainTask(tuple(blocks), work), options)
    shards = tuple(
        timed("encode", encode_shard, EncodeTask(part, some, training.template, training.fingerprint, work))
        for part, some in enumerate(plan_shards(blocks, options))
    )
    merged = timed("merge", merge_index, MergeTask(training, shards, documents, work, published))
    queries = (QuerySet("corpus", training.queries),)
    exact = timed("exact", find_exact, ExactTask(0, queries, tuple(blocks), work), cores)
    task = RecallTask(merged.index, queries, tuple(blocks), published)
    record = timed("recall", measure_recall, task, (exact,), options, cores)
    parts["recall"] -= parts["publish"]
    seconds = time.perf_counter() - begun
    os.replace(record.index.path, target)
    return {
        "seconds": seconds,
        "peak": peak(),
        "type": training.factory,
        "parameters": f"nprobe={record.nprobe}",
        "parts": parts,
    }


def build_plain(folder: Path, target: Path, factory: str) -> dict[str, object]:
    """What a good engineer writes: train on a random sample, add, measure, choose nprobe."""
    import faiss

    begun = time.perf_counter()
    base, ids = np.load(folder / "vectors" / "base.npy", mmap_mode="r"), np.load(folder / "ids.npy")
    index = faiss.index_factory(base.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    parts, dice = {}, np.random.default_rng(1)
    if not index.is_trained:
        lists = faiss.extract_index_ivf(index).nlist
        sample = np.sort(dice.choice(len(base), min(64 * lists, len(base)), replace=False))
        started = time.perf_counter()
        index.train(base[sample])
        parts["train"] = time.perf_counter() - started
    started = time.perf_counter()
    for low in range(0, len(base), 65_536):
        index.add_with_ids(np.ascontiguousarray(base[low : low + 65_536]), ids[low : low + 65_536])
    parts["add"] = time.perf_counter() - started
    rows = np.sort(dice.choice(len(base), _QUERIES, replace=False))
    queries = np.ascontiguousarray(base[rows])
    started = time.perf_counter()
    _, exact = faiss.knn(queries, np.asarray(base), 11, metric=faiss.METRIC_INNER_PRODUCT)
    parts["exact"] = time.perf_counter() - started
    truth = [set(ids[row].tolist()) - {ids[own]} for row, own in zip(exact, rows, strict=True)]
    started = time.perf_counter()
    parameters = ""
    if hasattr(faiss.downcast_index(index), "nprobe") or factory.startswith(("PCAR", "RR")):
        ivf = faiss.extract_index_ivf(index)

        def recall(nprobe: int) -> float:
            ivf.nprobe = nprobe
            _, found = index.search(queries, 11)
            hits = zip(found.tolist(), truth, ids[rows].tolist(), strict=True)
            return float(np.mean([len(set([i for i in answer if i != own][:10]) & good) / 10 for answer, good, own in hits]))

        enough = 1
        while enough < ivf.nlist and recall(enough) < 0.99:
            enough *= 2
        low = enough // 2
        while enough - low > 1:
            middle = (enough + low) // 2
            low, enough = (low, middle) if recall(middle) >= 0.99 else (middle, enough)
        ivf.nprobe = enough
        parameters = f"nprobe={enough}"
    parts["nprobe"] = time.perf_counter() - started
    started = time.perf_counter()
    faiss.write_index(index, str(target))
    parts["write"] = time.perf_counter() - started
    return {"seconds": time.perf_counter() - begun, "peak": peak(), "type": factory, "parameters": parameters, "parts": parts}


def judge(folder: Path, target: Path) -> dict[str, float]:
    """Recall at 10 and queries a second of a file, as FAISS opens it."""
    import faiss

    base, ids = np.load(folder / "vectors" / "base.npy", mmap_mode="r"), np.load(folder / "ids.npy")
    known = np.load(folder / "judge.npz")
    rows = known["queries"]
    queries = np.ascontiguousarray(base[rows])
    index = faiss.read_index(str(target))
    best = np.inf
    for _ in range(3):
        started = time.perf_counter()
        _, found = index.search(queries, 11)
        best = min(best, time.perf_counter() - started)
    # autofaiss numbers the rows; the others give their ids.
    positions = found if found.max() < len(ids) else np.minimum(np.searchsorted(ids, found), len(ids) - 1)
    shares = []
    for row, answer, true, scores in zip(rows, positions.tolist(), known["found"], known["scores"], strict=True):
        limit = scores[true != row][:10][-1] - 1e-5
        others = [i for i in answer if i != row and i >= 0][:10]
        shares.append(np.mean(base[others] @ base[row] >= limit) * len(others) / 10)
    return {"recall": float(np.mean(shares)), "rate": len(rows) / best}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="root of a published generation, whose vectors are taken")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--noise", type=float, default=0.03)
    parser.add_argument("--type", help="factory string for ours and faiss; by size by default")
    parser.add_argument("--autofaiss", help="python of the environment that has autofaiss; left out without it")
    parser.add_argument("--folder", type=Path, help="where vectors and indexes are written; a temporary folder by default")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        folder = arguments.folder
        call = {
            "make": lambda: {"dimension": make_vectors(arguments.root, folder, arguments.rows, arguments.noise)},
            "ours": lambda: build_ours(folder, folder / "ours.faiss", arguments.type),
            "faiss": lambda: build_plain(folder, folder / "faiss.faiss", arguments.type),
        }.get(arguments.way, lambda: judge(folder, folder / arguments.way.removeprefix("judge-")))
        print(json.dumps(call()))
        return
    from transforms.index import choose_type

    factory = arguments.type or choose_type(arguments.rows)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        own = [sys.executable, __file__, "--root", arguments.root or "", "--rows", str(arguments.rows)]
        own += ["--noise", str(arguments.noise), "--folder", name, "--type", factory, "--way"]
        dimension = _child([*own, "make"])["dimension"]
        print(f"{arguments.rows:,} x {dimension}, noise {arguments.noise:g}, {os.cpu_count()} cores")
        ways = {"faiss": [*own, "faiss"], "ours": [*own, "ours"]}
        if arguments.autofaiss:
            (folder / "build_autofaiss.py").write_text(_AUTOFAISS)
            ways["autofaiss"] = [
                *(arguments.autofaiss, f"{folder}/build_autofaiss.py", f"{folder}/vectors", f"{folder}/autofaiss.faiss"),
                str(os.cpu_count()),
            ]
        print(f"{'':10} {'seconds':>8} {'peak MB':>8} {'bytes/vector':>12} {'recall@10':>9} {'queries/s':>9}  type, parameters")
        built = {}
        for way, command in ways.items():
            built[way] = found = _child(command)
            found |= _child([*own, f"judge-{way}.faiss"])
            size = (folder / f"{way}.faiss").stat().st_size / arguments.rows
            print(
                f"{way:10} {found['seconds']:8.1f} {found['peak'] / 1e6:8.0f} {size:12.1f} {found['recall']:9.4f} "
                f"{found['rate']:9.0f}  {found['type']} {found['parameters']}",
                flush=True,
            )
        for way in ("faiss", "ours"):
            print(f"{way}: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in built[way]["parts"].items()))
        parts = built["ours"]["parts"]
        share = (parts["exact"] + parts["recall"]) / sum(parts[name] for name in ("train", "encode", "merge", "publish"))
        print(f"measuring (exact, recall) costs ours {share:.1%} of building (train, encode, merge, publish)")
        print(f"ratio of seconds, faiss to ours: {built['faiss']['seconds'] / built['ours']['seconds']:.2f}")


def _child(command: list[str]) -> dict:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
