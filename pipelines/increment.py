"""An increment of the published index: its training and its codes are used again, and only what is new is encoded."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelines.errors import warn
from pipelines.reuse import Parent
from pipelines.stage import Run
from transforms.files import CorruptFileError, FileRef, read_table
from transforms.index import (
    FLAT,
    Encoded,
    MergeRecord,
    ShardRecord,
    Training,
    TrainRecord,
    inverted_lists,
    queries_digest,
    read_training,
    resolve_type,
    same_kind,
    type_beside,
)
from transforms.neighbors import ChangesRecord

_log = logging.getLogger(__name__)

# Settings that decide what is learnt, and libraries that decide which code a vector gets.
_SETTINGS = ("type", "train_points_per_list")
_LIBRARIES = ("faiss-cpu", "numpy")


@dataclass(frozen=True)
class Earlier:
    """The published index, the empty one that it was encoded with, what is known of its training, and what changed since."""

    training: Training
    template: FileRef
    index: FileRef
    changes: ChangesRecord


def index_type(run: Run, parent: Parent | None, texts: int) -> str:
    """The factory string for this number of texts; near a border between types `auto` stays with the published one."""
    options = run.config.index
    if options.type == "auto" and options.retrain == "drift" and parent is not None and _has_settings(run, parent, "type"):
        return type_beside(_published_type(parent), texts)
    return resolve_type(options.type, texts)


def find_earlier(run: Run, parent: Parent | None, factory: str) -> Earlier | None:
    """The published index, when an index of type `factory` can start from it; None, saying why in the log, when not."""
    if not inverted_lists(factory) or parent is None:
        return None
    options = run.config.index
    if options.retrain == "always":
        return None
    if not _has_settings(run, parent, *_SETTINGS) or not parent.has_versions(*_LIBRARIES):
        trained_anew(["other settings, or another FAISS"])
        return None
    training, template = _training(parent), parent.checked_file("index/trained.faiss")
    if training is None or template is None or template.sha256 != training.fingerprint:
        trained_anew(["the published training cannot be used again"])
        return None
    if not same_kind(training.factory, factory):
        trained_anew([f"the published index is of type {training.factory}, now it is {factory}"])
        return None
    changes, index = parent.changes(), parent.checked_file("index/index.faiss")
    if changes is None or index is None:
        trained_anew(["of the published index nothing can be kept"])
        return None
    return Earlier(training, template, index, changes)


def trained_anew(reasons: Sequence[str]) -> None:
    """Say why nothing of the published index is used again."""
    _log.info("the index is trained anew: %s", "; ".join(reasons))


def training_of(record: TrainRecord, merged: MergeRecord, shards: Sequence[ShardRecord]) -> Training:
    """What is known of a training after everything was encoded with it."""
    then = encoded_of(shards)
    sample = record.training_texts
    return Training(record.factory, record.fingerprint, sample, then, merged.spread, Encoded(), merged.spread)


def encoded_of(shards: Sequence[ShardRecord]) -> Encoded:
    """The sums over all shards."""
    total = Encoded()
    for shard in shards:
        total += shard.encoded
    return total


def drift_counts(training: Training) -> dict[str, float]:
    """The figures that decide when a training is given up, for the metrics: at training, since then, and of the lists now."""
    then, added = training.then, training.added
    return {
        "texts_at_training": then.texts,
        "texts_since_training": added.texts,
        "distance_at_training": round(then.mean_distance, 6),
        "distance_since_training": round(added.mean_distance, 6),
        "clipped_at_training": round(then.clipped_share, 6),
        "clipped_since_training": round(added.clipped_share, 6),
        "imbalance_at_training": round(training.spread_then.imbalance, 4),
        "imbalance": round(training.spread.imbalance, 4),
        "large_lists_at_training": round(training.spread_then.large_lists, 6),
        "large_lists": round(training.spread.large_lists, 6),
    }


def _has_settings(run: Run, parent: Parent, *names: str) -> bool:
    return parent.has_settings("index", {name: getattr(run.config.index, name) for name in names})


def _published_type(parent: Parent) -> str:
    """The type of the published index. One with lists whose training nobody noted is none to stay with."""
    if not any(file.path.endswith("/index/trained.faiss") for file in parent.generation.manifest.under("index")):
        return FLAT
    training = _training(parent)
    return "" if training is None else training.factory


def _training(parent: Parent) -> Training | None:
    """What is known of the published training, with the nprobe that was needed and for what; None when something is missing."""
    noted, recall = parent.checked_file("index/training.json"), parent.checked_file("index/recall.parquet")
    if noted is None or recall is None:
        return None
    try:
        training = read_training(noted.path)
    except CorruptFileError as error:
        warn([f"the published training is not used again: {error}"])
        return None
    if training is None or training.nprobe is not None:
        return training
    published = parent.generation.manifest.configuration.get("index", {})
    return replace(
        training,
        nprobe=int(read_table(recall.path, ["nprobe"])["nprobe"][0].as_py()),
        recall_target=published.get("recall_target"),
        # Versions that do not say on what recall was measured knew no queries but the corpus's own.
        queries=queries_digest(recall) or None,
    )
