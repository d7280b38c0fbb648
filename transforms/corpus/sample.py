"""The deterministic sample: the documents whose sample hash is among the N smallest of the corpus."""

from collections.abc import Iterable

import numpy as np

from transforms.corpus.keys import leading_uint64
from transforms.files import FileRef, read_table


def sample_threshold(runs: Iterable[FileRef], size: int) -> bytes | None:
    """The `size`-th smallest distinct sample hash over all runs, 8 bytes; None when there are fewer (all are in).

    Exact, because each run holds its own `size` smallest. Memory: `size` hashes and one run's hash column.
    """
    smallest = np.empty(0, np.uint64)
    for run in runs:
        hashes = leading_uint64(read_table(run.path, ["sample_hash"])["sample_hash"].combine_chunks())
        smallest = np.union1d(smallest, hashes)[:size]
    return int(smallest[-1]).to_bytes(8, "big") if len(smallest) == size else None
