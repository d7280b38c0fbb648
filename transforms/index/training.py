"""What is known of a training and of how well it fits, for the next run that may use it again."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from transforms.files import CorruptFileError, FileRef, file_ref, read_json, write_json

# Raised whenever a field without a default is added to `training.json`, or one changes its meaning; a run then trains anew.
_FORMAT = 1
# A list is large above this multiple of its equal share.
LARGE = 4
# Distances are added up as whole numbers of this fraction, so that a sum does not depend on the order.
_STEP = 2.0**-24


@dataclass(frozen=True)
class Encoded:
    """Sums over texts that were encoded, the same whatever the shards; they can be added.

    `distance`: from the vectors to the centroids of their lists (Euclidean), in 2⁻²⁴; `clipped`: of the `components` of what
    was encoded, those outside of the range that an 8-bit quantizer has learnt.
    """

    texts: int = 0
    distance: int = 0
    clipped: int = 0
    components: int = 0

    def __add__(self, other: "Encoded") -> "Encoded":
        return Encoded(
            self.texts + other.texts,
            self.distance + other.distance,
            self.clipped + other.clipped,
            self.components + other.components,
        )

    @property
    def mean_distance(self) -> float:
        """Mean distance to the centroid; 0 of nothing."""
        return self.distance * _STEP / self.texts if self.texts else 0.0

    @property
    def clipped_share(self) -> float:
        """Share of clipped components; 0 of nothing."""
        return self.clipped / self.components if self.components else 0.0


def distance_steps(distances: np.ndarray) -> int:
    """The sum of distances float32 (rows,) as `Encoded` counts it."""
    return int(np.rint(distances.astype(np.float64) / _STEP).astype(np.int64).sum())


@dataclass(frozen=True)
class Spread:
    """How evenly texts lie in lists.

    `imbalance` is the factor that FAISS calls so: lists · Σ size² / (Σ size)², what a search visits more than in equal lists,
    at least 1. `large_lists`: share of the lists with more than 4 times their equal share of the texts.
    """

    imbalance: float = 1.0
    large_lists: float = 0.0


def spread_of(sizes: np.ndarray) -> Spread:
    """The spread of lists with sizes int64 (lists,)."""
    # Python's integers: squares of sizes may not fit into 64 bits.
    total, squares = int(sizes.sum()), sum(size * size for size in sizes.tolist())
    if not total:
        return Spread()
    large = np.count_nonzero(sizes > LARGE * total / len(sizes))
    return Spread(len(sizes) * squares / total**2, large / len(sizes))


@dataclass(frozen=True)
class Training:
    """What the next run must know of the training that it may use again; published as `index/training.json`.

    `fingerprint` is the sha256 of `trained.faiss`. It was trained on `sample` of the texts that `then` is about, all that were
    indexed at that time; `added` is about those that were encoded with it since. `spread_then` and `spread` are of the lists at
    that time and of this generation. `nprobe` is what an earlier generation with this training needed to find `recall_target`
    for the user's queries with the digest `queries` (None: there were none). It is None when this generation's own
    `recall.parquet` has it: that of the training itself, and any of another target or other queries than the one before.
    """

    factory: str
    fingerprint: str
    sample: int
    then: Encoded
    spread_then: Spread
    added: Encoded
    spread: Spread
    nprobe: int | None = None
    recall_target: float | None = None
    queries: str | None = None


def write_training(path: str, training: Training) -> FileRef:
    """Write `training.json`."""
    write_json(path, {"format": _FORMAT, **asdict(training)})
    return file_ref(path)


def read_training(path: str) -> Training | None:
    """Read `training.json`; None when it is of another format. Raises CorruptFileError when it is not what was written."""
    try:
        values: dict[str, Any] = read_json(path)
        if values.pop("format") != _FORMAT:
            return None
        return TypeAdapter(Training).validate_python(values)
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise CorruptFileError(f"{path} says nothing of a training; run `corpusbeam verify`") from error
