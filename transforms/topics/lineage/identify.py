"""The published tables of topics and themes with what they carry on from the parent generation, and what became of all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.files import FileRef, join, read_table, write_table
from transforms.topics.lineage.carry import Known, carry_on, read_known, with_known
from transforms.topics.lineage.events import DRIFT_SCHEMA, Compared, drift_of, events_of, published_flow
from transforms.topics.lineage.flow import summed_flow
from transforms.topics.lineage.matching import match_by_centroids, match_by_documents
from transforms.topics.lineage.parent import ParentTopics

# The flow of topics, then that of each layer of themes, as files of FLOW_SCHEMA; None for a layer that the parent has not.
Flows = tuple[tuple[FileRef, ...] | None, ...]


@dataclass(frozen=True)
class Changed:
    """What became of the parent's topics and themes: the published tables, and the counts for topics."""

    events: FileRef
    flow: FileRef
    drift: FileRef
    counts: dict[str, int | float]


def identify(
    topics: pa.Table,
    themes: pa.Table | None,
    resolutions: Sequence[float],
    parent: ParentTopics,
    flows: Flows,
    directory: str,
    centroids: Sequence[np.ndarray] = (),
) -> tuple[pa.Table, pa.Table | None, Changed]:
    """Topics and themes with the uids, titles and past that they carry on from the parent, and tables of what has changed.

    The tables, of TOPICS_SCHEMA and THEMES_SCHEMA, have uids that are digests of members; `resolutions` are those of the layers
    of themes. `centroids` float32 (topics, dim) of topics, then of the themes of each layer, decide where documents cannot, if
    the parent's are known. Memory: both generations' topics and
    themes, and the pairs of them that documents go between.
    """
    known = read_known(parent.topics, "topic_id", "topic_uid")
    of_layers = (
        [read_known(parent.themes, "theme_id", "theme_uid", layer) for layer in range(len(parent.resolutions))]
        if parent.themes is not None
        else []
    )
    taken = {uid for one in [known, *of_layers] for uid in one.uids}
    compared = [_compared(topics, "topic_uid", known, flows[0], parent, taken, _both(parent, None, centroids, 0))]
    topics = with_known(topics, "topic_uid", compared[0].now)
    if themes is not None:
        layers = []
        for layer, resolution in enumerate(resolutions):
            own = themes.filter(pc.equal(themes["layer"], layer))
            place = parent_layer(parent, resolution)
            before = Known() if place is None else of_layers[place]
            directions = None if place is None else _both(parent, place, centroids, layer + 1)
            found = _compared(own, "theme_uid", before, flows[layer + 1], parent, taken, directions)
            layers.append(with_known(own, "theme_uid", found.now))
            if flows[layer + 1] is not None:
                compared.append(replace(found, layer=layer, resolution=resolution))
        themes = pa.concat_tables(layers).combine_chunks()
    events = [events_of(one) for one in compared]
    drift = pa.concat_tables(drift_of(one, of_one) for one, of_one in zip(compared, events, strict=True)).combine_chunks()
    changed = Changed(
        write_table(join(directory, "events.parquet"), pa.concat_tables(events).combine_chunks()),
        write_table(join(directory, "flow.parquet"), pa.concat_tables(map(published_flow, compared)).combine_chunks()),
        write_table(join(directory, "drift.parquet"), drift),
        _counts(drift),
    )
    return topics, themes, changed


def parent_layer(parent: ParentTopics, resolution: float) -> int | None:
    """The place of the parent's layer of themes with a resolution, None when it has none."""
    return parent.resolutions.index(resolution) if resolution in parent.resolutions else None


def _compared(
    table: pa.Table,
    uid: str,
    before: Known,
    flow: Sequence[FileRef] | None,
    parent: ParentTopics,
    taken: set[str],
    centroids: tuple[np.ndarray, np.ndarray] | None,
) -> Compared:
    """One table beside the parent's; `taken` gets the uids that are new."""
    now = known_of(table, uid)
    pairs = summed_flow(flow or ())
    matched = match_by_documents(pairs, len(before.uids), len(now.uids))
    if centroids is not None:
        matched = match_by_centroids(pairs, matched, *centroids)
    carried = carry_on(now, before, matched, parent.generation, taken)
    taken.update(carried.uids)
    return Compared(before, carried, pairs)


def _both(
    parent: ParentTopics, layer: int | None, centroids: Sequence[np.ndarray], number: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """The centroids of the parent's topics, or of the themes of its `layer`, with those of now; None where one is missing."""
    if parent.centroids is None or not centroids:
        return None
    table = read_table(parent.centroids.path)
    own = pc.is_null(table["layer"]) if layer is None else pc.equal(table["layer"], layer)
    vectors = table["centroid"].filter(own).combine_chunks().flatten().to_numpy()
    return vectors.reshape(-1, centroids[number].shape[1]), centroids[number]


def as_new(table: pa.Table, uid: str) -> pa.Table:
    """A table of topics or themes where no generation came before."""
    return with_known(table, uid, known_of(table, uid))


def known_of(table: pa.Table, uid: str) -> Known:
    """Topics or themes that carry nothing on."""
    rows = table.num_rows
    terms = tuple(tuple(some or ()) for some in table["terms"].to_pylist())
    return Known(tuple(table[uid].to_pylist()), tuple(table["found_title"].to_pylist()), terms, (None,) * rows, (1,) * rows)


def _counts(drift: pa.Table) -> dict[str, int | float]:
    """What became of the topics, for the metrics."""
    (row,) = drift.slice(0, 1).to_pylist()
    counts: dict[str, int | float] = {
        f"topics_{name.removesuffix('_count')}": row[name] for name in DRIFT_SCHEMA.names if name.endswith("_count")
    }
    both = row["stayed"] + row["moved"]
    return counts | {
        "documents_stayed": row["stayed"],
        "documents_moved": row["moved"],
        "share_stayed": round(row["stayed"] / both, 6) if both else 1.0,
        "jensen_shannon": round(row["jensen_shannon"], 6),
    }
