"""When a training no longer fits the texts that it is used for: an increment then trains anew."""

import re
from collections.abc import Iterator
from dataclasses import replace

from transforms.index.choose import choose_type
from transforms.index.training import LARGE, Encoded, Spread, Training

# Limits of the research note (index.md, §5.3), against what was measured over the whole corpus at training: so many times as
# far, as unequal, as many visited lists; and so many more texts, large lists and clipped components, as shares of all.
_DISTANCE, _IMBALANCE, _NPROBE = 1.15, 1.5, 2
_GROWTH, _LARGE_LISTS, _CLIPPED = 0.5, 0.01, 0.001
# Texts that a mean must be of before it decides anything: one odd text is no drift.
_ENOUGH = 1000


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
            f"{spread.large_lists:.1%} of the lists have more than {LARGE} times their share of the texts, at training "
            f"{training.spread_then.large_lists:.1%}"
        )


def growth_reasons(training: Training, added: int) -> Iterator[str]:
    """Why so many more texts are too many for a training: this is known before they are encoded."""
    grown = training.added.texts + added
    if grown > _GROWTH * training.then.texts:
        yield f"{grown:,} texts came since training, more than {_GROWTH:.0%} of the {training.then.texts:,} at training"


def most_lists(training: Training) -> int | None:
    """The largest nprobe that recall may cost before the index is trained anew; None when that of the training is not known."""
    return None if training.nprobe is None else _NPROBE * training.nprobe


def measured_for(training: Training, recall_target: float, queries: str | None) -> Training:
    """The training without an nprobe that was measured for another target, or on user's queries with another digest.

    To find more, or what others ask for, takes more lists of any training: that is no drift. What it takes now is the new base.
    """
    if (training.recall_target, training.queries) == (recall_target, queries):
        return training
    return replace(training, nprobe=None, recall_target=None, queries=None)


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
