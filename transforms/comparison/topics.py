"""Which topics were born, are gone, or are carried on."""

from typing import Any

from transforms.comparison.tables import batches_of
from transforms.generations import Generation
from transforms.topics import size_event


def compare_topics(a: Generation, b: Generation) -> dict[str, Any]:
    """Topics by uid: `born` and `gone` with their sizes and titles, `kept` with both sizes and titles; largest first.

    A kept topic is `continued`, `grown` or `shrunk` by its documents: `topics/events.parquet`, which compares a generation with
    its parent alone, counts a document once for each of its different passages.
    """
    old, new = _topics(a), _topics(b)

    def listed(uids: set[str], table: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        rows = [{"topic_uid": uid, "documents": table[uid]["documents"], "title": table[uid]["title"]} for uid in uids]
        return sorted(rows, key=lambda row: (-row["documents"], row["topic_uid"]))

    kept = listed(set(old) & set(new), new)
    return {
        "born": listed(set(new) - set(old), new),
        "gone": listed(set(old) - set(new), old),
        "kept": [_kept(row, old[row["topic_uid"]]) for row in kept],
    }


def _kept(now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    event = size_event(now["documents"], before["documents"])
    return {**now, "documents_before": before["documents"], "title_before": before["title"], "event": event}


def _topics(generation: Generation) -> dict[str, dict[str, Any]]:
    batches = batches_of(generation, "topics/topics.parquet", ["topic_uid", "documents", "title"])
    return {row["topic_uid"]: row for batch in batches for row in batch.to_pylist()}
