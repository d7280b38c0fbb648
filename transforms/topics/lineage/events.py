"""What became of every topic and theme since the parent generation, in the vocabulary of MONIC, and how far all have drifted.

MONIC: Spiliopoulou, Ntoutsi, Theodoridis and Schult 2006, doi 10.1145/1150402.1150491. A topic that is carried on is continued,
grown or shrunk. One that is not is split off, where at least half of its documents were in one topic, else new. A topic of the
parent that is not carried on is merged, where at least half of its documents are in one topic now, else vanished.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import describe
from transforms.topics.lineage.carry import Known
from transforms.topics.lineage.flow import ABSENT, FLOW_SCHEMA, NOISE

# The threshold of MONIC from which on most of a topic is in another.
MOST = 0.5
# A topic has grown or shrunk when the difference is at least so many percent of its documents before.
GROWN = 10
# In this order a reader wants to see them.
EVENTS = ("new", "split", "grown", "shrunk", "merged", "vanished", "continued")

_WHAT = (("kind", pa.string()), ("layer", pa.int32()), ("resolution", pa.float32()))
_DESCRIBED = {
    "kind": "topic, or theme",
    "layer": "Place of the layer of themes in topics.resolutions, from 0; null for topics",
    "resolution": "Resolution of the layer of themes; null for topics",
}

EVENTS_SCHEMA = describe(
    pa.schema(
        [
            *_WHAT,
            ("event", pa.string()),
            ("uid", pa.string()),
            ("id", pa.int32()),
            ("title", pa.string()),
            ("title_before", pa.string()),
            ("documents", pa.int64()),
            ("documents_before", pa.int64()),
            ("growth", pa.float32()),
            ("stayed", pa.int64()),
            ("from_new", pa.int64()),
            ("from_noise", pa.int64()),
            ("from_others", pa.int64()),
            ("to_gone", pa.int64()),
            ("to_noise", pa.int64()),
            ("to_others", pa.int64()),
            ("from_uids", pa.list_(pa.string())),
            ("to_uids", pa.list_(pa.string())),
        ]
    ),
    {
        **_DESCRIBED,
        "event": "new, split (off another), grown or shrunk (by 10 % at least), merged (into another), vanished or continued",
        "uid": "Name of the topic or theme; rows are sorted by kind, layer, event and size",
        "id": "Its number in this generation; null where it is not in it",
        "title": "Its title, the last one where it is not in this generation",
        "title_before": "Its title in the parent generation; null where it was not in it",
        "documents": "Its documents now: documents that have a text in it. With passages, each different passage counts",
        "documents_before": "Its documents in the parent generation, counted alike",
        "growth": "documents / documents_before - 1; null where it was not in the parent generation",
        "stayed": "Documents that were in it and are",
        "from_new": "Documents whose text is new, edited ones among them",
        "from_noise": "Documents that were noise; documents = stayed + from_new + from_noise + from_others",
        "from_others": "Documents that were in others",
        "to_gone": "Documents whose text is gone, edited ones among them",
        "to_noise": "Documents that are noise now; documents_before = stayed + to_gone + to_noise + to_others",
        "to_others": "Documents that are in others now",
        "from_uids": "Of the parent's: those that have at least half of their documents here, or had at least half of these",
        "to_uids": "Of this generation's: those that had at least half of their documents here, or have at least half of these",
    },
)

PUBLISHED_FLOW_SCHEMA = describe(
    pa.schema(
        [
            *_WHAT,
            ("from_state", pa.string()),
            ("from_uid", pa.string()),
            ("to_state", pa.string()),
            ("to_uid", pa.string()),
            ("documents", pa.int64()),
        ]
    ),
    {
        **_DESCRIBED,
        "from_state": "in (from_uid), noise, or new (the text was not in the parent generation)",
        "from_uid": "The topic or theme of the parent generation; null unless from_state is in",
        "to_state": "in (to_uid), noise, or gone (the text is not in this generation)",
        "to_uid": "The topic or theme of this generation; null unless to_state is in",
        "documents": "How many documents went this way, or stayed where both uids are equal; an edited one is gone and new",
    },
)

DRIFT_SCHEMA = describe(
    pa.schema(
        [
            *_WHAT,
            ("documents", pa.int64()),
            ("documents_before", pa.int64()),
            ("stayed", pa.int64()),
            ("moved", pa.int64()),
            ("new", pa.int64()),
            ("gone", pa.int64()),
            ("noise", pa.float64()),
            ("noise_before", pa.float64()),
            ("jensen_shannon", pa.float64()),
            *((f"{event}_count", pa.int64()) for event in EVENTS),
        ]
    ),
    {
        **_DESCRIBED,
        "documents": "Documents now, as in events.parquet",
        "documents_before": "Documents in the parent generation",
        "stayed": "Documents in both that are in the same topic or theme, or noise in both",
        "moved": "Documents in both that are elsewhere now; documents = stayed + moved + new",
        "new": "Documents whose text is new, edited ones among them",
        "gone": "Documents whose text is gone; documents_before = stayed + moved + gone",
        "noise": "Share of the documents that is noise now",
        "noise_before": "Share of the documents that was noise in the parent generation",
        "jensen_shannon": "Jensen-Shannon distance, base 2, 0 to 1, of the shares of documents by uid, noise as one more",
        **{f"{event}_count": f"Topics or themes whose event is {event}" for event in EVENTS},
    },
)


@dataclass(frozen=True)
class Compared:
    """The topics, or the themes of a layer, of two generations, with the flow between them in FLOW_SCHEMA."""

    before: Known
    now: Known
    flow: pa.Table
    layer: int | None = None
    resolution: float | None = None

    @property
    def what(self) -> dict[str, object]:
        """The columns that say what is compared."""
        kind = "topic" if self.layer is None else "theme"
        return {"kind": kind, "layer": self.layer, "resolution": self.resolution}


def events_of(compared: Compared) -> pa.Table:
    """A row of EVENTS_SCHEMA for each topic of this generation, and each of the parent's that is not carried on."""
    flow = _Flow(compared)
    rows = [flow.row(now=number) for number in range(len(compared.now.uids))]
    rows += [flow.row(before=number) for number, uid in enumerate(compared.before.uids) if uid not in flow.place_now]

    def order(row: dict[str, object]) -> tuple[int, int, str]:
        size = max(int(row["documents"]), int(row["documents_before"]))  # type: ignore[call-overload]
        return EVENTS.index(str(row["event"])), -size, str(row["uid"])

    return pa.Table.from_pylist([compared.what | row for row in sorted(rows, key=order)], EVENTS_SCHEMA)


class _Flow:
    """The flow by topics: how much of each topic went where, and came from where."""

    def __init__(self, compared: Compared) -> None:
        self._before, self._now = compared.before, compared.now
        self.place_now = {uid: number for number, uid in enumerate(compared.now.uids)}
        self._place_before = {uid: number for number, uid in enumerate(compared.before.uids)}
        self._out: dict[int, dict[int, int]] = {}
        self._into: dict[int, dict[int, int]] = {}
        for row in compared.flow.to_pylist():
            self._out.setdefault(row["before"], {})[row["now"]] = row["documents"]
            self._into.setdefault(row["now"], {})[row["before"]] = row["documents"]

    def row(self, now: int | None = None, before: int | None = None) -> dict[str, object]:
        """What became of one topic, by its number now, or, where it is not carried on, in the parent."""
        uid = self._now.uids[now] if now is not None else self._before.uids[before or 0]
        before = self._place_before.get(uid)
        into = self._into.get(now, {}) if now is not None else {}
        out = self._out.get(before, {}) if before is not None else {}
        documents, documents_before = sum(into.values()), sum(out.values())
        stayed = into.get(before, 0) if before is not None else 0
        sources = [old for old, count in into.items() if old >= 0 and self._is_most(count, old, into)]
        targets = [new for new, count in out.items() if new >= 0 and self._is_most(count, new, out, back=True)]
        if now is None:
            event = "merged" if _largest(out) >= MOST * documents_before > 0 else "vanished"
        elif before is None:
            event = "split" if _largest(into) >= MOST * documents > 0 else "new"
        else:
            event = size_event(documents, documents_before)
        return {
            "event": event,
            "uid": uid,
            "id": now,
            "title": self._now.titles[now] if now is not None else self._before.titles[before or 0],
            "title_before": None if before is None else self._before.titles[before],
            "documents": documents,
            "documents_before": documents_before,
            "growth": documents / documents_before - 1 if documents_before else None,
            "stayed": stayed,
            "from_new": into.get(ABSENT, 0),
            "from_noise": into.get(NOISE, 0),
            "from_others": sum(count for old, count in into.items() if old >= 0) - stayed,
            "to_gone": out.get(ABSENT, 0),
            "to_noise": out.get(NOISE, 0),
            "to_others": sum(count for new, count in out.items() if new >= 0) - stayed,
            "from_uids": sorted(self._before.uids[old] for old in sources),
            "to_uids": sorted(self._now.uids[new] for new in targets),
        }

    def _is_most(self, count: int, other: int, own: dict[int, int], *, back: bool = False) -> bool:
        """Whether documents shared with another topic are at least half of either's."""
        others = self._into if back else self._out
        return count >= MOST * min(sum(own.values()), sum(others[other].values()))


def size_event(documents: int, documents_before: int) -> str:
    """What a topic that is carried on is called by its size: grown, shrunk or continued."""
    if 100 * abs(documents - documents_before) < GROWN * documents_before or not documents_before:
        return "continued"
    return "grown" if documents > documents_before else "shrunk"


def _largest(counts: dict[int, int]) -> int:
    """The most documents that one topic, not noise or nothing, has a part in."""
    return max((count for other, count in counts.items() if other >= 0), default=0)


def published_flow(compared: Compared) -> pa.Table:
    """The flow by uids: PUBLISHED_FLOW_SCHEMA."""

    def end(number: int, uids: tuple[str, ...], absent: str) -> tuple[str, str | None]:
        if number >= 0:
            return "in", uids[number]
        return ("noise" if number == NOISE else absent), None

    rows = []
    for before, now, documents in zip(*(compared.flow[name].to_pylist() for name in FLOW_SCHEMA.names), strict=True):
        from_state, from_uid = end(before, compared.before.uids, "new")
        to_state, to_uid = end(now, compared.now.uids, "gone")
        row = {"from_state": from_state, "from_uid": from_uid, "to_state": to_state, "to_uid": to_uid}
        rows.append(compared.what | row | {"documents": documents})
    return pa.Table.from_pylist(rows, PUBLISHED_FLOW_SCHEMA)


def drift_of(compared: Compared, events: pa.Table) -> pa.Table:
    """One row of DRIFT_SCHEMA: how far the topics, or the themes of a layer, are from those of the parent generation."""
    olds, news, documents = (compared.flow[name].to_numpy() for name in FLOW_SCHEMA.names)
    number = {uid: place for place, uid in enumerate(dict.fromkeys([*compared.before.uids, *compared.now.uids]))}
    # The last place is that of noise.
    of_before, of_now = (
        np.array([*(number[uid] for uid in known.uids), len(number)]) for known in (compared.before, compared.now)
    )
    was, here = olds != ABSENT, news != ABSENT
    then = np.bincount(of_before[olds[was]], documents[was], minlength=len(number) + 1)
    after = np.bincount(of_now[news[here]], documents[here], minlength=len(number) + 1)
    both = was & here
    same = np.zeros(len(olds), bool)
    same[both] = of_before[olds[both]] == of_now[news[both]]
    counts = dict.fromkeys(EVENTS, 0)
    for event in events["event"].to_pylist():
        counts[event] += 1
    row = {
        "documents": int(documents[here].sum()),
        "documents_before": int(documents[was].sum()),
        "stayed": int(documents[same].sum()),
        "moved": int(documents[both & ~same].sum()),
        "new": int(documents[~was].sum()),
        "gone": int(documents[~here].sum()),
        "noise": _share(after[-1], after),
        "noise_before": _share(then[-1], then),
        "jensen_shannon": jensen_shannon(then, after),
        **{f"{event}_count": count for event, count in counts.items()},
    }
    return pa.Table.from_pylist([compared.what | row], DRIFT_SCHEMA)


def _share(count: float, counts: np.ndarray) -> float:
    total = float(counts.sum())
    return float(count) / total if total else 0.0


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """The Jensen-Shannon distance of two distributions, given by counts (n,): from 0, the same, to 1, nothing in common.

    The square root of the mean of both Kullback-Leibler divergences, base 2, from the mean of both (Endres and Schindelin 2003,
    doi 10.1109/TIT.2003.813506). Of two empty ones it is 0, of an empty one and another 1.
    """
    if not p.sum() or not q.sum():
        return float(bool(p.sum()) != bool(q.sum()))
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    divergence = 0.0
    for one in (p, q):
        some = one > 0
        divergence += float(np.sum(one[some] * np.log2(one[some] / middle[some]))) / 2
    return float(np.sqrt(min(max(divergence, 0.0), 1.0)))
