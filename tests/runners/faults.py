"""Faults inside the worker processes of a real command: they begin to embed, and what is asked for happens to them there."""

import json
import os
import random
import sys
from pathlib import Path

# Python runs this when a process starts. Only the worker processes know pipelines.worker.
_SITECUSTOMIZE = '''
import os, sys

if "pipelines.worker" in sys.orig_argv:
    import logging

    logging.disable()
    from transforms.vectors import PartFiller

    add, filled = PartFiller.add, []

    def faulty(filler, task):
        """Kill this process at its second part, once for all processes; or tell that embedding has begun, and never end."""
        marker, fault = os.environ["FAULT_MARKER"], os.environ["FAULT"]
        if fault == "kill" and filled and not os.path.exists(marker):
            with open(marker, "w") as file:
                file.write(str(os.getpid()))
            os.kill(os.getpid(), 9)
        if fault == "block":
            open(marker, "w").close()
            os.read(os.pipe()[0], 1)
        filled.append(task.part)
        return add(filler, task)

    PartFiller.add = faulty
'''

PARTS = 6
PART = 50
# As many tasks as there are parts in every stage, and a model without meaning needs no recall.
SETTINGS = (
    "embedding.precision=fp32",
    # The number of threads may change the last bit of a vector; here only the number of workers differs.
    "embedding.threads=1",
    # Some texts of a part are stored before the next part is looked up.
    "embedding.characters_per_batch=500",
    f"corpus.rows_per_part={PART}",
    f"neighbors.rows_per_tile={PART}",
    f"index.rows_per_shard={PART}",
    "index.recall_gate=0",
    "topics.min_cluster_size=8",
)


def write_corpus(folder: Path) -> Path:
    """PARTS × PART texts of made-up words, of which some are equal."""
    dice = random.Random(7)
    words = ["".join(dice.choices("abcdefghijklmnopqrst", k=5)) for _ in range(200)]
    texts = [" ".join(dice.choices(words, k=8)) for _ in range(PARTS * PART)]
    rows = [*enumerate(texts), *((f"copy-{number}", texts[number]) for number in range(10))]
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps({"id": str(number), "text": text}) + "\n" for number, text in rows))
    return path


def command(corpus: Path, model: str, root: Path, workers: int) -> list[str]:
    """The command line of a reindex."""
    settings = [argument for setting in (f"embedding.model={model}", *SETTINGS) for argument in ("--set", setting)]
    places = ["--root", str(root), "--input", str(corpus), "--workers", str(workers)]
    return [sys.executable, "-m", "pipelines.cli", "reindex", *places, *settings]


def environment(folder: Path, fault: str, marker: Path) -> dict[str, str]:
    """Environment in which the workers of a command have the fault "kill" or "block"; it writes `marker` when it happens."""
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "FAULT": fault, "FAULT_MARKER": str(marker)}
