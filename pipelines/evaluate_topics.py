"""How well themes and topics agree with labels that the documents have."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.evaluated import Measured, Sampling, Section, measured
from pipelines.rankers import System
from transforms.corpus import InputError
from transforms.evaluation import CLUSTER_MEASURES, NOISE, ClusterMeasure, Estimate, estimate_by_halves
from transforms.files import filesystem_of, read_table
from transforms.generations import Generation

TASK = "topics"
# A resample costs a pass over all passages for every measure: an interval needs no more.
RESAMPLES = 200


def evaluate_topics(column: str, systems: Sequence[System], sampling: Sampling) -> Section:
    """Compare the published clusterings of each system's generation with a column of its documents.

    Every layer of themes; topics with noise as one more cluster, and without the passages that are noise; topics with noise
    assigned to what its neighbours vote for. A passage has the label of its document. Raises InputError when the column is not
    published or says nothing.
    """
    resamples = min(sampling.resamples, RESAMPLES)
    facts: dict[str, Any] = {"column": column, "resamples": resamples, "passages": {}, "without_a_label": {}}
    rows: list[Measured] = []
    published = [system for system in systems if system.published and system.generation is not None]
    for system in published:
        assert system.generation is not None
        labels, assigned = _labelled(system.generation, column)
        facts["passages"][system.name] = len(labels)
        facts["without_a_label"][system.name] = assigned.num_rows - len(labels)
        kept = assigned.filter(pa.array(_has_label(assigned)))
        for name, clusters in _clusterings(system.generation, kept).items():
            # A method may have no themes, and a corpus no topic.
            counted = clusters != NOISE if name == "topics without noise" else np.ones(len(clusters), bool)
            for measure, how in CLUSTER_MEASURES.items():
                if measure == "noise" and name != "topics":
                    continue
                found = _estimate([clusters[counted], labels[counted]], how, resamples, sampling.seed)
                rows.append(measured(TASK, f"{system.name}: {name}", measure, found, int(counted.sum())))
    return Section(TASK, facts, rows)


def _estimate(columns: list[np.ndarray], measure: ClusterMeasure, resamples: int, seed: int) -> Estimate:
    if not len(columns[0]):
        return Estimate(np.nan, np.nan, np.nan)
    return estimate_by_halves(columns, measure.score, resamples, seed, least=measure.least, largest=1.0)


def _labelled(generation: Generation, column: str) -> tuple[np.ndarray, pa.Table]:
    """Numbers of the labels of the passages that have one, int64 (n,), and all assignments with the column `label`."""
    labels: dict[str, str] = {}
    for file in generation.manifest.under("documents"):
        path = generation.checked(file)
        fs, inner = filesystem_of(path)
        columns = [name for name in pq.read_schema(inner, filesystem=fs).names if name not in _OWN]
        if column not in columns:
            found = ", ".join(map(repr, columns)) or "none"
            raise InputError(
                f"generation {generation.id} publishes no column {column!r} of its documents; found: {found}: add it with "
                f"corpus.metadata_columns=[{column}] and run reindex"
            )
        table = read_table(path, ["doc_id", column])
        for doc_id, label in zip(table["doc_id"].to_pylist(), table[column].to_pylist(), strict=True):
            # A number that is none is no label either.
            if label is not None and label == label:
                labels[doc_id] = str(label)
    assigned = read_table(generation.path("topics/assignments.parquet"))
    own = [labels.get(doc_id) for doc_id in assigned["doc_id"].to_pylist()]
    assigned = assigned.append_column("label", pa.array(own, pa.string()))
    if len(set(own) - {None}) < 2:
        raise InputError(
            f"column {column!r} of generation {generation.id} has {len(set(own) - {None})} different labels: two are needed"
        )
    return np.unique([label for label in own if label is not None], return_inverse=True)[1], assigned


_OWN = ("doc_id", "passage_no", "content_key", "text")


def _has_label(assigned: pa.Table) -> np.ndarray:
    return assigned["label"].is_valid().to_numpy()


def _clusterings(generation: Generation, assigned: pa.Table) -> dict[str, np.ndarray]:
    """Each published clustering of these passages, int64 (n,), by name."""
    found: dict[str, np.ndarray] = {}
    in_layers = assigned["layer_theme_ids"].to_pylist() if "layer_theme_ids" in assigned.column_names else []
    if any(in_layers):
        layers = read_table(generation.path("topics/themes.parquet"), ["layer", "resolution"])
        resolutions = dict(zip(layers["layer"].to_pylist(), layers["resolution"].to_pylist(), strict=True))
        for layer, resolution in sorted(resolutions.items()):
            found[f"themes at resolution {resolution:g}"] = np.array([ids[layer] for ids in in_layers], np.int64)
    topics = assigned["topic_id"].to_numpy().astype(np.int64)
    found["topics"] = topics
    found["topics without noise"] = topics
    # A passage that no neighbour votes for stays noise.
    found["assigned topics"] = assigned["assigned_topic_id"].fill_null(NOISE).to_numpy().astype(np.int64)
    return found
