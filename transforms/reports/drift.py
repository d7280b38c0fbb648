"""What became of the topics since the generation before: the events worth reading, new topics first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transforms.files import filesystem_of, join, read_table
from transforms.reports.formats import counted, number, percent

# In the order in which they are read.
EVENTS = ("new", "split", "grown", "shrunk", "merged", "vanished", "continued")


@dataclass(frozen=True)
class TopicEvent:
    """What became of one topic: its documents before and now, and the titles of those it came from or went to."""

    event: str
    title: str
    documents: int
    documents_before: int
    others: tuple[str, ...]


@dataclass(frozen=True)
class Drift:
    """How the topics have changed. `counts` of topics by event; `events` are all but those that were continued.

    Documents are counted as `topics/drift.parquet` says; noise and `distance` (Jensen-Shannon) are from 0 to 1.
    """

    counts: Mapping[str, int]
    events: tuple[TopicEvent, ...]
    stayed: int
    moved: int
    noise: float
    noise_before: float
    distance: float

    def line(self, unit: str) -> str:
        """All of it in one line. `unit` is what is counted, as in `sizes`."""
        facts = [f"{number(self.counts[event])} {event}" for event in EVENTS if self.counts[event]]
        noise = f"noise {percent(self.noise_before, 1)} before, {percent(self.noise, 1)} now"
        where = f"{percent(self.stayed, self.stayed + self.moved)} of the {unit}s in both are where they were"
        distance = f"Jensen-Shannon distance {self.distance:.3f}"
        return "; ".join(
            [f"topics: {', '.join(facts) or 'none'}", *([where] if self.stayed + self.moved else []), noise, distance]
        )


def read_drift(folder: str, labels: Mapping[str, str] | None = None) -> Drift | None:
    """What the generation in `folder` says of its topics' past; None where there was none before to compare with.

    `labels`: what topics of this generation are called, by uid.
    """
    paths = [join(folder, f"topics/{name}.parquet") for name in ("drift", "events")]
    if not all(filesystem_of(path)[0].exists(filesystem_of(path)[1]) for path in paths):
        return None
    drift, events = ([row for row in read_table(path).to_pylist() if row["kind"] == "topic"] for path in paths)
    if not drift:
        return None
    titles = {row["uid"]: row["title"] or row["uid"] for row in events} | dict(labels or {})
    return Drift(
        {event: drift[0][f"{event}_count"] for event in EVENTS},
        tuple(_event(row, titles) for row in events if row["event"] != "continued"),
        drift[0]["stayed"],
        drift[0]["moved"],
        drift[0]["noise"],
        drift[0]["noise_before"],
        drift[0]["jensen_shannon"],
    )


def _event(row: dict[str, Any], titles: Mapping[str, str]) -> TopicEvent:
    others = row["to_uids"] if row["event"] in ("merged", "vanished") else row["from_uids"]
    named = tuple(titles.get(uid, uid) for uid in others if uid != row["uid"])
    return TopicEvent(row["event"], titles[row["uid"]], row["documents"], row["documents_before"], named)


def sizes(event: TopicEvent, unit: str) -> str:
    """The topic's documents, before and now.

    A document counts once for each of its different passages in the topic, so that where it may have several the `unit` that is
    counted is the passage.
    """
    if event.event in ("new", "split"):
        return counted(event.documents, unit)
    if event.event in ("merged", "vanished"):
        return f"{counted(event.documents_before, unit)} before"
    return f"{number(event.documents_before)} to {counted(event.documents, unit)}"
