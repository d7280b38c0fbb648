"""Theme and topic of a passage, from the published tables, by the columns that they have."""

from dataclasses import dataclass
from typing import Any

from transforms.files import read_table
from transforms.generations import Generation
from transforms.search.row_groups import RowGroups


@dataclass(frozen=True)
class Theme:
    """The theme of a passage, in the layer that topics are found in."""

    theme_id: int
    theme_uid: str | None
    title: str | None


@dataclass(frozen=True)
class Topic:
    """The topic of a passage. `topic_id` -1 is noise; uid and title are those of `assigned_topic_id`, None when that is -1."""

    topic_id: int
    assigned_topic_id: int
    topic_uid: str | None
    title: str | None


class Labels:
    """Themes and topics by the row of a passage among all documents: assignments have the same rows in the same order.

    Memory: the topics and themes, and the row groups used last. Safe to share between threads.
    """

    def __init__(self, generation: Generation) -> None:
        self._assignments = RowGroups(
            generation.path("topics/assignments.parquet"),
            ["doc_id", "passage_no", "theme_id", "topic_id", "assigned_topic_id", "topic_uid"],
        )
        self._topics = _by_id(generation, "topics", "topic_id", None)
        settings = generation.manifest.configuration.get("topics", {})
        layers, wanted = settings.get("resolutions") or [], settings.get("resolution")
        self._themes = _by_id(generation, "themes", "theme_id", layers.index(wanted) if wanted in layers else 0)

    @classmethod
    def of(cls, generation: Generation) -> "Labels | None":
        """The labels of a generation; None when it has no topics, as that of an empty corpus."""
        names = {file.path.rsplit("/", 1)[-1] for file in generation.manifest.under("topics")}
        return cls(generation) if "assignments.parquet" in names else None

    def at(self, row: int) -> tuple[Theme | None, Topic | None]:
        """Theme and topic of the passage in this row."""
        found: dict[str, Any] = self._assignments.row(row)
        theme_id, assigned = found.get("theme_id"), found["assigned_topic_id"]
        theme = None
        if theme_id is not None:
            known = self._themes.get(theme_id, {})
            theme = Theme(theme_id, known.get("theme_uid"), _title(known))
        known = self._topics.get(assigned, {})
        return theme, Topic(found["topic_id"], assigned, found.get("topic_uid"), _title(known))


def _title(row: dict[str, Any]) -> str | None:
    """What the user calls it, else its terms."""
    return row.get("label") or row.get("title")


def _by_id(generation: Generation, name: str, key: str, layer: int | None) -> dict[int, dict[str, Any]]:
    """Rows of a table by their number; of `layer` only, where there are layers."""
    names = {file.path.rsplit("/", 1)[-1] for file in generation.manifest.under("topics")}
    if f"{name}.parquet" not in names:
        return {}
    rows = read_table(generation.path(f"topics/{name}.parquet")).to_pylist()
    return {row[key]: row for row in rows if layer is None or row["layer"] == layer}
