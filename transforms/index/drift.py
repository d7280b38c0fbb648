"""When a training no longer fits the texts that it is used for: an increment then trains anew."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from transforms.index.choose import choose_type

# Limits of the research note (index.md, §5.3), against what was measured over the whole corpus at training: so many times as
# far, as unequal, as many visited lists; and so many more texts, large lists and clipped components, as shares of all.
_DISTANCE, _IMBALANCE, _NPROBE = 1.15, 1.5, 2
_GROWTH, _LARGE_LISTS, _CLIPPED = 0.5, 0.01, 0.001
# A list is large above this multiple of its equal share.
_LARGE = 4
# Texts that a mean must be of before it decides anything: one odd text is no drift.
_ENOUGH = 1000
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
    large = np.count_nonzero(sizes > _LARGE * total / len(sizes))
    return Spread(len(sizes) * squares / total**2, large / len(sizes))


@dataclass(frozen=True)
class Training:
    """What the next run must know of the training that it may use again; published as `index/training.json`.

    `fingerprint` is the sha256 of `trained.faiss`. It was trained on `sample` of the texts that `then` is about, all that were
    indexed at that time; `added` is about those that were encoded with it since. `spread_then` and `spread` are of the lists at
    that time and of this generation. `nprobe` is what the generation of the training needed, None in that generation itself:
    its `recall.parquet` has it.
    """

    factory: str
    fingerprint: str
    sample: int
    then: Encoded
    spread_then: Spread
    added: Encoded
    spread: Spread
    nprobe: int | None = None


def drift_reasons(training: Training, added: Encoded, spread: Spread) -> Iterator[str]:
    """Why a training must not be used for lists of this spread, with `added` about all that were encoded since; or nothing.

    Means are judged from 1,000 texts on.
    """
    then = training.then
    if added.texts >= _ENOUGH and added.mean_distance > _DISTANCE * then.mean_distance:
        yield (
            f"new texts are {added.mean_distance:.3g} from the centroids of their lists, more than {_DISTANCE:g} times the "
            f"{then.mean_distance:.3g} at training"
        )
    if added.texts >= _ENOUGH and added.clipped_share > then.clipped_share + _CLIPPED:
        yield (
            f"{added.clipped_share:.2%} of the components of new vectors are outside of the range that was learnt, at training "
            f"{then.clipped_share:.2%}"
        )
    if spread.imbalance > _IMBALANCE * training.spread_then.imbalance:
        yield (
            f"the imbalance of the lists is {spread.imbalance:.3g}, more than {_IMBALANCE:g} times the "
            f"{training.spread_then.imbalance:.3g} at training"
        )
    if spread.large_lists > training.spread_then.large_lists + _LARGE_LISTS:
        yield (
            f"{spread.large_lists:.1%} of the lists have more than {_LARGE} times their share of the texts, at training "
            f"{training.spread_then.large_lists:.1%}"
        )


def growth_reasons(training: Training, added: int) -> Iterator[str]:
    """Why so many more texts are too many for a training: this is known before they are encoded."""
    grown = training.added.texts + added
    if grown > _GROWTH * training.then.texts:
        yield f"{grown:,} texts came since training, more than {_GROWTH:.0%} of the {training.then.texts:,} at training"


def recall_reasons(training: Training, nprobe: int, recall: float, target: float) -> Iterator[str]:
    """Why recall is no longer had at the price that it had at training.

    `nprobe` and `recall` (at 10) are of the published generation; `target` is what is asked for.
    """
    if recall < target:
        yield f"recall at 10 is {recall:.4f}, below the target {target:g}"
    if training.nprobe is not None and nprobe > _NPROBE * training.nprobe:
        yield f"searches visit {nprobe} lists, more than {_NPROBE} times the {training.nprobe} at training"


def type_beside(published: str, texts: int) -> str:
    """What `auto` chooses for a corpus whose published index is of a type that `auto` chose for another size.

    The kind of index stays until the corpus is past a border by a factor of 2, so that one which grows and shrinks about a
    border is not built anew every night. The number of lists is that of a size near `texts` with this kind.
    """
    for size in (texts, 2 * texts, max(texts // 2, 1)):
        if _kind(chosen := choose_type(size)) == _kind(published):
            return chosen
    return choose_type(texts)


def same_kind(one: str, other: str) -> bool:
    """Whether two factory strings differ in nothing but the number of lists."""
    return _kind(one) == _kind(other)


def _kind(factory: str) -> str:
    return re.sub(r"IVF\d+", "IVF", factory)
