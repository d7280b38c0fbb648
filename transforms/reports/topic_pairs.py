"""Duplicates inside a topic: the most alike of its different texts, from the groups."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.files import filesystem_of, join, open_parquet, read_table
from transforms.reports.documents import PassageId

# Float32 rounding of a cosine of equal vectors; above it the texts are copies.
_SAME = 1 - 1e-6
# Rows of the assignments in memory at a time: the groups are looked up in each such many.
_ROWS = 1_000_000


@dataclass(frozen=True)
class TopicPair:
    """A passage and the one of its group that is kept, both in one topic, with their cosine."""

    kept: PassageId
    other: PassageId
    cosine: float


def pairs_in_topics(folder: str, limit: int) -> dict[int, tuple[TopicPair, ...]]:
    """Up to `limit` pairs of each topic: of different texts the most alike first, then copies; a kept passage is in one pair.

    Memory: the columns of the groups that are read here twice, and a million rows of the assignments.
    """
    groups, assignments = (join(folder, path) for path in ("duplicates/groups.parquet", "topics/assignments.parquet"))
    if not all(fs.exists(inner) for fs, inner in map(filesystem_of, (groups, assignments))):
        return {}
    rows = read_table(groups, ["group_id", "doc_id", "passage_no", "kept_doc_id", "kept_passage_no", "cosine_to_kept"])
    same = pc.and_(pc.equal(rows["doc_id"], rows["kept_doc_id"]), pc.equal(rows["passage_no"], rows["kept_passage_no"]))
    rows = rows.filter(pc.invert(same))
    topic, kept_topic = _topics_of(assignments, ((rows[f"{own}doc_id"], rows[f"{own}passage_no"]) for own in ("", "kept_")))
    inside = (topic >= 0) & (topic == kept_topic)
    cosine = rows["cosine_to_kept"].cast(pa.float32())
    rows = rows.drop_columns("cosine_to_kept").append_column("cosine", cosine).append_column("topic", pa.array(topic))
    rows = rows.append_column("copies", pc.greater_equal(cosine, _SAME)).filter(pa.array(inside))
    rest = ("kept_doc_id", "kept_passage_no", "doc_id", "passage_no")
    order = [("topic", "ascending"), ("copies", "ascending"), ("cosine", "descending"), *((name, "ascending") for name in rest)]
    ranked = pc.sort_indices(rows, order).to_numpy()
    # A group has one kept passage.
    first = np.sort(np.unique(rows["group_id"].to_numpy()[ranked], return_index=True)[1])
    topics = rows["topic"].to_numpy()[ranked[first]]
    rank = np.arange(len(topics)) - np.searchsorted(topics, topics)
    found: dict[int, list[TopicPair]] = {}
    for row in rows.take(ranked[first[rank < limit]]).to_pylist():
        kept, other = (row["kept_doc_id"], row["kept_passage_no"]), (row["doc_id"], row["passage_no"])
        found.setdefault(row["topic"], []).append(TopicPair(kept, other, row["cosine"]))
    return {topic: tuple(pairs) for topic, pairs in found.items()}


def _topics_of(path: str, passages: Iterable[tuple[pa.ChunkedArray, pa.ChunkedArray]]) -> list[np.ndarray]:
    """The topics of some passages, by columns of document ids and of passage numbers: int32 each, -1 for none."""
    wanted = [(doc_ids, numbers.to_numpy(), np.full(len(doc_ids), -1, np.int32)) for doc_ids, numbers in passages]
    with open_parquet(path) as parquet:
        for batch in parquet.iter_batches(_ROWS, columns=["doc_id", "passage_no", "topic_id"]):
            passage_no, topic_id = (batch[name].to_numpy() for name in ("passage_no", "topic_id"))
            # The passages of a document are one after the other; the first one of a batch may have begun before it.
            document = np.cumsum(passage_no == 0)
            for doc_ids, numbers, topics in wanted:
                first = pc.index_in(doc_ids, value_set=batch["doc_id"]).fill_null(-1).to_numpy()
                row = first + numbers - passage_no[first]
                here = (first >= 0) & (row >= 0) & (row < len(document))
                here[here] = document[row[here]] == document[first[here]]
                topics[here] = topic_id[row[here]]
    return [topics for _, _, topics in wanted]
