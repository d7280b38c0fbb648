"""Merging index shards beside FAISS's two ways, each in a process of its own, in turn: seconds, MB/s and peak memory.

    .venv/bin/python benchmarks/index_merge.py [--vectors 2000000] [--dim 384] [--lists 4096] [--shards 8] [--rounds 3]

The shards are SQ8 with random codes, which are put into random lists: to a merge, bytes are bytes. Ids are 63-bit hashes; each
shard has a range of them, as in a build, or with --interleaved every so-manieth, the order that costs our merge most.

- ours: `transforms.index.merge.merge_files`, with the sha256 of the file, written atomically
- merge_from: `faiss.read_index` of every shard, `merge_from`, `faiss.write_index`
- ondisk: `faiss.contrib.ondisk.merge_ondisk`, whose result is two files
- increment: ours once more, the merged index without 1 % of its texts and with a shard of as many new ones (no peer has that)

Seconds end when the bytes are on the disk (fsync in all). MB/s is the size of the result by seconds. Peak memory is VmHWM of
the process; "above start" leaves out what it had after imports. Fails when ours is not byte for byte what merge_from wrote,
unless the ids are interleaved (FAISS does not sort).
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

import faiss
import numpy as np

from transforms.files import fsync_directory
from transforms.index import fingerprint_of, index_bytes, index_from_bytes
from transforms.index.encode import store
from transforms.index.merge import Source, merge_files

WAYS = ("ours", "merge_from", "ondisk", "increment")


def make_shards(folder: Path, vectors: int, dim: int, lists: int, shards: int, interleaved: bool) -> None:
    """`template.faiss`, `shard-N.faiss`, and for the increment `new.faiss` and `gone.npy`."""
    dice = np.random.default_rng(0)
    index = faiss.index_factory(dim, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, 1, 8
    index.train(dice.standard_normal((8 * lists, dim), np.float32))
    template = index_bytes(index)
    (folder / "template.faiss").write_bytes(template)
    ids = np.unique(dice.integers(0, 2**63 - 1, vectors + vectors // 100 + 1000))
    new = np.sort(dice.choice(len(ids), vectors // 100, replace=False))
    ids, new_ids = np.delete(ids, new)[:vectors], ids[new]
    np.save(folder / "gone.npy", np.sort(dice.choice(ids, vectors // 100, replace=False)))
    parts = [ids[part::shards] for part in range(shards)] if interleaved else np.array_split(ids, shards)
    names = [*(f"shard-{part}.faiss" for part in range(shards)), "new.faiss"]
    for name, some in zip(names, [*parts, new_ids], strict=True):
        shard = index_from_bytes(template)
        codes = np.frombuffer(dice.bytes(len(some) * dim), np.uint8).reshape(len(some), dim)
        store(shard, some, dice.integers(0, lists, len(some)), codes)
        faiss.write_index(shard, str(folder / name))


def merge(way: str, folder: Path, shards: int) -> tuple[float, int, int]:
    """Merge; seconds, bytes of the result, and peak bytes at the start."""
    paths, target = [str(folder / f"shard-{part}.faiss") for part in range(shards)], str(folder / f"{way}.faiss")
    template, start = str(folder / "template.faiss"), peak()
    begun = time.perf_counter()
    if way == "ours":
        merge_files(template, [Source(path) for path in paths], target)
    elif way == "increment":
        earlier = Source(str(folder / "ours.faiss"), np.load(folder / "gone.npy"))
        merge_files(template, [earlier, Source(str(folder / "new.faiss"))], target)
    elif way == "merge_from":
        index = faiss.read_index(template)
        for path in paths:
            index.merge_from(faiss.read_index(path), 0)
        faiss.write_index(index, target)
    else:
        from faiss.contrib.ondisk import merge_ondisk

        index = faiss.read_index(template)
        merge_ondisk(index, paths, target + "data")
        faiss.write_index(index, target)
    results = [path for path in (target, target + "data") if os.path.exists(path)]
    for path in results:
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
    fsync_directory(str(folder))
    return time.perf_counter() - begun, sum(map(os.path.getsize, results)), start


def peak() -> int:
    """Peak resident bytes of this process, without what its parent had before it became this one (as ru_maxrss has)."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=2_000_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--lists", type=int, default=4096)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3, help="times that each way merges")
    parser.add_argument("--interleaved", action="store_true", help="every shard has ids from all over, not a range of them")
    parser.add_argument("--folder", type=Path, help="where shards and results are written; a temporary folder by default")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        seconds, size, start = merge(arguments.way, arguments.folder, arguments.shards)
        print(json.dumps({"seconds": seconds, "size": size, "start": start, "peak": peak()}))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        begun = time.perf_counter()
        make_shards(folder, arguments.vectors, arguments.dim, arguments.lists, arguments.shards, arguments.interleaved)
        print(
            f"{arguments.vectors:,} x {arguments.dim} in IVF{arguments.lists},SQ8, {arguments.shards} shards"
            f"{' interleaved' if arguments.interleaved else ''}, {os.cpu_count()} cores, FAISS {faiss.__version__}; "
            f"shards made in {time.perf_counter() - begun:.0f} s"
        )
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        digests: dict[str, str] = {}
        for _ in range(arguments.rounds):
            # Replacing a file costs what freeing the old one does.
            (folder / "ours.faiss").unlink(missing_ok=True)
            for way in WAYS:
                command = [sys.executable, "-W", "ignore", __file__, "--way", way, "--folder", name]
                command += ["--shards", str(arguments.shards)]
                output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                found[way].append(json.loads(output.splitlines()[-1]))
                digests[way] = fingerprint_of((folder / f"{way}.faiss").read_bytes())
                if way != "ours":
                    for path in folder.glob(f"{way}.faiss*"):
                        path.unlink()
        if not arguments.interleaved and digests["ours"] != digests["merge_from"]:
            sys.exit("ours differs from what merge_from wrote")
        print(f"{'way':<12} {'seconds':>8} {'MB':>8} {'MB/s':>8} {'peak MB':>8} {'above start':>12} {'times ours':>11}")
        for way in WAYS:
            seconds = statistics.median(run["seconds"] for run in found[way])
            ratio = statistics.median(a["seconds"] / b["seconds"] for a, b in zip(found[way], found["ours"], strict=True))
            size, high = found[way][0]["size"], max(run["peak"] for run in found[way])
            above = max(run["peak"] - run["start"] for run in found[way])
            print(
                f"{way:<12} {seconds:8.2f} {size / 1e6:8.0f} {size / 1e6 / seconds:8.0f} {high / 1e6:8.0f} "
                f"{above / 1e6:12.0f} {ratio:11.2f}"
            )


if __name__ == "__main__":
    main()
