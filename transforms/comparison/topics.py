"""Which topics were born, are gone, or are the same."""

from typing import Any

from transforms.comparison.tables import batches_of
from transforms.generations import Generation


def compare_topics(a: Generation, b: Generation) -> dict[str, Any]:
    """Topics by uid: `born` and `gone` with their sizes and titles, `kept` with both sizes; largest first."""
    old, new = _topics(a), _topics(b)

    def listed(uids: set[str], table: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        rows = [{"topic_uid": uid, "documents": table[uid]["documents"], "title": table[uid]["title"]} for uid in uids]
        return sorted(rows, key=lambda row: (-row["documents"], row["topic_uid"]))

    kept = listed(set(old) & set(new), new)
    return {
        "born": listed(set(new) - set(old), new),
        "gone": listed(set(old) - set(new), old),
        "kept": [{**row, "documents_before": old[row["topic_uid"]]["documents"]} for row in kept],
    }


def _topics(generation: Generation) -> dict[str, dict[str, Any]]:
    batches = batches_of(generation, "topics/topics.parquet", ["topic_uid", "documents", "title"])
    return {row["topic_uid"]: row for batch in batches for row in batch.to_pylist()}
