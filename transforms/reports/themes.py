"""Themes of the report: the broad subjects, each with the topics inside it."""

from collections.abc import Mapping
from dataclasses import dataclass

from transforms.files import filesystem_of, join, read_table


@dataclass(frozen=True)
class Theme:
    """A theme of the layer that topics are found in: `documents` in it, its terms, best first, and the ids of its topics."""

    theme_id: int
    documents: int
    title: str
    terms: tuple[str, ...]
    topic_ids: tuple[int, ...]


def read_themes(folder: str, theme_of_topic: Mapping[int, int | None]) -> tuple[Theme, ...]:
    """The themes of the generation in `folder`, largest first; none where it has none. Topics keep the order given."""
    path = join(folder, "topics/themes.parquet")
    fs, inner = filesystem_of(path)
    if not fs.exists(inner):
        return ()
    topics: dict[int | None, list[int]] = {}
    for topic, theme in theme_of_topic.items():
        topics.setdefault(theme, []).append(topic)
    rows = read_table(path, ["theme_id", "documents", "topics", "title", "terms"]).to_pylist()
    return tuple(
        Theme(row["theme_id"], row["documents"], row["title"], tuple(row["terms"]), tuple(topics.get(row["theme_id"], ())))
        # Topics are found in one layer only: the others are null.
        for row in sorted(rows, key=lambda row: (-row["documents"], row["theme_id"]))
        if row["topics"] is not None
    )
