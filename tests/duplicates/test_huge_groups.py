"""Thousands of nearly equal texts: memory is bounded, and what is left out is counted."""

import subprocess
import sys
from textwrap import dedent

import pytest

SCRIPT = dedent(
    """
    import resource, sys, tempfile
    import numpy as np
    from tests.duplicates.helpers import make_corpus
    from tests.neighbors.helpers import unit
    from transforms.duplicates import DuplicatesOptions, mine_part, publish_duplicates

    rows, cap = int(sys.argv[1]), int(sys.argv[2])
    vectors = unit(np.ones(16) + 1e-4 * np.random.default_rng(0).normal(size=(rows, 16)))
    owned = {f"receipt number {i} of the same order": [f"d{i:05d}"] for i in range(rows)}
    with tempfile.TemporaryDirectory() as folder:
        corpus = make_corpus(folder, owned, dict(zip(owned, vectors, strict=True)), 1000)
        tasks, options = corpus.mine_tasks(k=8, rows_per_tile=1000), DuplicatesOptions(threshold=0.9, max_pairs_per_text=cap)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        record = publish_duplicates(corpus.group_task([mine_part(task, options) for task in tasks]), options)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(grown, record.pairs, record.pairs_dropped, record.texts_incomplete, record.complete)
    """
)


def mined(rows, cap):
    """Megabytes that mining needed beyond what was there, and what it found, in a process of its own."""
    command = [sys.executable, "-c", SCRIPT, str(rows), str(cap)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    grown, pairs, dropped, incomplete, complete = done.stdout.split()[-5:]
    return float(grown), int(pairs), int(dropped), int(incomplete), complete == "True"


@pytest.mark.parametrize(
    ("rows", "cap", "megabytes"),
    [
        (2500, 50, 200),
        pytest.param(5000, 200, 500, marks=pytest.mark.long),
        pytest.param(5000, 2000, 2000, marks=pytest.mark.long),
    ],
)
def test_memory_is_bounded_and_what_is_left_out_is_counted(rows, cap, megabytes):
    grown, pairs, dropped, incomplete, complete = mined(rows, cap)
    # A text of place i has rows - 1 - i pairs with texts of larger id.
    kept = sum(min(rows - 1 - place, cap) for place in range(rows))
    assert (pairs, dropped) == (kept, rows * (rows - 1) // 2 - kept)
    assert (incomplete > cap, complete) == (True, False)
    assert grown < megabytes
