"""What a night costs: a full run, a run on the same corpus, and one with 1 % of the texts changed, as `corpusbeam` processes.

    .venv/bin/python benchmarks/incremental.py [--data ../shared/data/debian_packages.parquet] [--documents N]
    .venv/bin/python benchmarks/incremental.py --root KEPT      the full run is the first generation of KEPT, if it has one

Prints each run's seconds on the clock, start-up included, and of its stages, and sets them beside the full run: the unchanged
runs as a whole, the changed one up to and including the index, and up to and including the neighbour graph (of both runs all
that comes after is left out: duplicates, topics and report are made anew). Fails when a run does not embed exactly the distinct
texts that changed.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.files import read_json
from transforms.generations import list_generations, open_generation

AFTER_THE_GRAPH = ("duplicates", "topics", "report")
REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Measured:
    """One run: seconds on the clock and what it says of itself."""

    seconds: float
    published: bool
    stages: dict[str, dict[str, Any]]

    @property
    def graph_seconds(self) -> float:
        """Seconds up to and including the neighbour graph, with all that no stage accounts for."""
        return self.seconds - sum(self.stages[name]["seconds"] for name in AFTER_THE_GRAPH if name in self.stages)

    @property
    def index_seconds(self) -> float:
        """The same without the graph."""
        return self.graph_seconds - self.stages.get("neighbors", {"seconds": 0})["seconds"]

    @property
    def other_seconds(self) -> float:
        """Seconds that no stage accounts for: the start of the process, gates, publishing, the end."""
        return self.seconds - sum(facts["seconds"] for facts in self.stages.values())

    @property
    def embedded(self) -> int:
        return self.stages.get("embed", {"texts_embedded": 0})["texts_embedded"]


def run(root: Path, source: Path, options: list[str]) -> Measured:
    command = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "reindex",
        "--root",
        str(root),
        "--input",
        str(source),
        "--format",
        "json",
    ]
    started = time.monotonic()
    done = subprocess.run([*command, *options], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.monotonic() - started
    told = json.loads(done.stdout)
    return Measured(seconds, told["published"], told["stages"])


def first_run(root: Path) -> Measured:
    """The run that made the first generation of a root, from its own metrics: without the start of the process."""
    metrics = read_json(open_generation(str(root), list_generations(str(root))[0]).path("metrics.json"))
    started, finished = (datetime.fromisoformat(metrics[name]) for name in ("started", "finished"))
    return Measured((finished - started).total_seconds(), True, metrics["stages"])


def is_changed(doc_id: str) -> bool:
    """The same hundredth of the ids every time."""
    return int.from_bytes(hashlib.sha256(doc_id.encode()).digest()[:8], "big") % 100 == 0


def edited(table: pa.Table, edition: int) -> tuple[pa.Table, int]:
    """The corpus with 1 % of its texts edited, and how many distinct texts came with that."""
    ids, texts = table["id"].to_pylist(), table["text"].to_pylist()
    now = [
        f"{text}\nThis is edition {edition} of {doc_id}'s description." if is_changed(doc_id) else text
        for doc_id, text in zip(ids, texts, strict=True)
    ]
    new = len(set(now) - set(texts))
    return table.set_column(table.schema.get_field_index("text"), "text", pa.array(now)), new


def row(name: str, measured: Measured, *shares: str) -> str:
    stages = " ".join(f"{stage} {facts['seconds']:.1f}" for stage, facts in measured.stages.items())
    to_index, to_graph = shares or ("", "")
    return (
        f"{name:<12} {measured.seconds:>8.1f} {measured.index_seconds:>9.1f} {to_index:>7} {measured.graph_seconds:>9.1f} "
        f"{to_graph:>7} {measured.embedded:>9,}  {stages} other {measured.other_seconds:.1f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(REPOSITORY.parent / "shared" / "data" / "debian_packages.parquet"))
    parser.add_argument("--documents", type=int, help="only the first N rows, for a quick look; shares are then of a short run")
    parser.add_argument("--root", help="folder to keep the generations in (default: a temporary one)")
    parser.add_argument("options", nargs="*", help="options of corpusbeam reindex, after --")
    arguments = parser.parse_args()
    table = pq.read_table(arguments.data, columns=["id", "text"])
    table = table.slice(0, arguments.documents or len(table))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(arguments.root or Path(folder, "root"))
        # Generations of a kept root are counted, so that no edit is one that it has a vector of.
        before = list_generations(str(root))
        source = Path(folder, "corpus")
        source.mkdir()
        pq.write_table(table, source / "corpus.parquet")
        changed, texts = edited(table, len(before))

        full = run(root, source, arguments.options)
        if before:
            full = first_run(root)
        if any(stage["resumed"] for stage in full.stages.values()):
            print(f"the full run under {root} was picked up from one that died: its seconds are no measure; use another root")
            return 1
        unchanged = run(root, source, arguments.options)
        # As its maker leaves it: the same files, written again that night. A run looks at their times.
        pq.write_table(table, source / "corpus.parquet")
        rewritten = run(root, source, arguments.options)
        pq.write_table(changed, source / "corpus.parquet")
        hundredth = run(root, source, arguments.options)

    print(f"{len(table):,} documents, {texts:,} distinct texts changed")
    names = f"{'run':<12} {'seconds':>8} {'to index':>9} {'share':>7} {'to graph':>9} {'share':>7} {'embedded':>9}"
    print(f"{names}  seconds of stages")
    print(row("full", full))
    for name, measured in (("no change", unchanged), ("rewritten", rewritten)):
        share = f"{measured.seconds / full.seconds:.2%}"
        print(row(name, measured, share, share))
    shares = hundredth.index_seconds / full.index_seconds, hundredth.graph_seconds / full.graph_seconds
    print(row("1 % changed", hundredth, *(f"{share:.2%}" for share in shares)))
    graph = hundredth.stages["neighbors"]
    print(
        f"neighbour lists: {graph['rows_taken_over']:,} taken over, {graph['rows_updated']:,} updated, "
        f"{graph['rows_searched']:,} searched"
    )
    same = (unchanged, rewritten)
    if any(one.published or one.embedded for one in same) or hundredth.embedded != texts:
        print(
            f"FAILED: {hundredth.embedded:,} texts were embedded, {texts:,} had changed; the unchanged runs published: "
            f"{[one.published for one in same]}, embedded {[one.embedded for one in same]}"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
