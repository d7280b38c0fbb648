"""Duplicates inside a topic: the most alike of its different texts, from the groups."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.files import filesystem_of, join, open_parquet, read_table
from transforms.reports.documents import PassageId

# Float32 rounding of a cosine of equal vectors; above it the texts are copies.
_SAME = 1 - 1e-6


@dataclass(frozen=True)
class TopicPair:
    """A passage and the one of its group that is kept, both in one topic, with their cosine."""

    kept: PassageId
    other: PassageId
    cosine: float


def pairs_in_topics(folder: str, limit: int) -> dict[int, tuple[TopicPair, ...]]:
    """Up to `limit` pairs of each topic: of different texts the most alike first, then copies; a kept passage is in one pair.

    Memory: the groups, and a topic for each of their passages.
    """
    groups, assignments = (join(folder, path) for path in ("duplicates/groups.parquet", "topics/assignments.parquet"))
    if not all(fs.exists(inner) for fs, inner in map(filesystem_of, (groups, assignments))):
        return {}
    rows = read_table(groups, ["doc_id", "passage_no", "kept_doc_id", "kept_passage_no", "cosine_to_kept"]).to_pylist()
    topic_of = _topics_of(assignments, pa.array(sorted({row["doc_id"] for row in rows}), pa.string()))
    found: dict[int, list[TopicPair]] = {}
    for row in rows:
        other, kept = (row["doc_id"], row["passage_no"]), (row["kept_doc_id"], row["kept_passage_no"])
        topic = topic_of.get(other, -1)
        if other != kept and topic >= 0 and topic == topic_of.get(kept):
            found.setdefault(topic, []).append(TopicPair(kept, other, float(np.float32(row["cosine_to_kept"]))))
    return {topic: tuple(_best(pairs, limit)) for topic, pairs in found.items()}


def _best(pairs: list[TopicPair], limit: int) -> list[TopicPair]:
    best: dict[PassageId, TopicPair] = {}
    for pair in sorted(pairs, key=lambda pair: (pair.cosine >= _SAME, -pair.cosine, pair.kept, pair.other)):
        best.setdefault(pair.kept, pair)
    return list(best.values())[:limit]


def _topics_of(path: str, doc_ids: pa.Array) -> dict[PassageId, int]:
    topics: dict[PassageId, int] = {}
    with open_parquet(path) as parquet:
        for batch in parquet.iter_batches(columns=["doc_id", "passage_no", "topic_id"]):
            some = batch.filter(pc.is_in(batch["doc_id"], value_set=doc_ids))
            passages = zip(some["doc_id"].to_pylist(), some["passage_no"].to_pylist(), strict=True)
            topics.update(zip(passages, some["topic_id"].to_pylist(), strict=True))
    return topics
