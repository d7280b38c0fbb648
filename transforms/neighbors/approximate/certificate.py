"""How good an approximate graph is: its finished lists beside exact ones, for texts chosen by hash."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from transforms.files import CorruptFileError, FileRef, join, read_table
from transforms.index.interval import recall_interval
from transforms.neighbors.cosine import snap
from transforms.neighbors.exact import nearest_others
from transforms.neighbors.options import NeighborsOptions
from transforms.neighbors.stream import snapped_chunks
from transforms.vectors import VectorBlock, load_array, save_array


@dataclass(frozen=True)
class TruthTask:
    """The sampled texts, some of the blocks, and the number of neighbours."""

    part: int
    queries: VectorBlock
    blocks: tuple[VectorBlock, ...]
    k: int
    directory: str


@dataclass(frozen=True)
class TruthRecord:
    """The exact cosines of the sampled texts with their nearest others in some blocks, float32 (queries, k) as `.npy`."""

    part: int
    cosines: str


@dataclass(frozen=True)
class CertifyTask:
    """The sampled texts, their exact cosines in all blocks, the finished parts of the graph, and the number of neighbours."""

    queries: VectorBlock
    truth: tuple[TruthRecord, ...]
    parts: tuple[FileRef, ...]
    k: int


@dataclass(frozen=True)
class Certificate:
    """Recall at `k` of the finished lists, over `texts` sampled ones: the mean, and its 95 % interval `low … high`."""

    k: int
    texts: int
    recall: float
    low: float
    high: float


def find_truth(task: TruthTask, options: NeighborsOptions, threads: int | None = None) -> TruthRecord:
    """Compare the sampled texts with all texts of some blocks, exactly."""
    ids, queries = task.queries.ids(), snap(np.asarray(task.queries.vectors()))
    with threadpool_limits(threads):
        nearest = nearest_others(ids, queries, snapped_chunks(task.blocks, options.rows_per_chunk), task.k, options.margin)
    path = join(task.directory, f"truth-{task.part:05d}.npy")
    save_array(path, nearest.cosines)
    return TruthRecord(task.part, path)


def certify(task: CertifyTask, options: NeighborsOptions, threads: int | None = None) -> Certificate:
    """Recall of the parts as they were written.

    Of a list those count whose cosine reaches that of the true k-th neighbour. Both are exact, so no tolerance is needed; of
    texts that tie there, which ones are listed is no merit and no fault.
    """
    cosines = np.sort(np.hstack([load_array(record.cosines) for record in task.truth]), axis=1)
    shares = _shares(_listed(task.parts, np.asarray(task.queries.ids()), task.k), cosines[:, -task.k])
    low, high = recall_interval(shares)
    return Certificate(task.k, len(shares), float(shares.mean()), low, high)


def _shares(listed: np.ndarray, last: np.ndarray) -> np.ndarray:
    """For each text the share of its list, cosines float32 (texts, k), that reaches the true k-th cosine: float64 (texts,)."""
    return np.asarray((listed >= last[:, None]).mean(axis=1))


def _listed(parts: Sequence[FileRef], ids: np.ndarray, k: int) -> np.ndarray:
    """The cosines of some texts' lists, float32 (texts, k); `ids` ascending."""
    listed, found = np.empty((len(ids), k), np.float32), 0
    for part in parts:
        table = read_table(part.path, ["id", "cosines"])
        own = table["id"].to_numpy()
        here = np.isin(own, ids, assume_unique=True)
        cosines = table["cosines"].filter(pa.array(here)).combine_chunks()
        listed[np.searchsorted(ids, own[here])] = cosines.flatten().to_numpy().reshape(-1, k)
        found += int(here.sum())
    if found != len(ids):
        raise CorruptFileError(f"the graph has lists of {found} of {len(ids)} sampled texts: its parts are not this corpus's")
    return listed
