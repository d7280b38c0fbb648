"""What two generations, one after the other, must have in common: the map, and topics that add up."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.generations import Generation

# Of the map's spread, the root mean square distance from its middle: a map from nothing lies anywhere.
_MOVED = 0.1


def assert_carried_on(before: Generation, now: Generation) -> None:
    """The map of `now` began at the places of `before`; its uids, events, flow and drift are those of the documents.

    For documents of one passage each, whose flow is counted here text by text.
    """
    then, here = _by_text(before), _by_text(now)
    both = sorted(then.keys() & here.keys())
    assert both
    old, new = (np.array([(side[key][0]["x"], side[key][0]["y"]) for key in both]) for side in (then, here))
    spread = np.sqrt(((old - old.mean(axis=0)) ** 2).sum(axis=1).mean())
    assert np.median(np.linalg.norm(new - old, axis=1)) < _MOVED * spread

    flow: Counter[tuple] = Counter()
    for key in then.keys() | here.keys():
        a, b = len(then.get(key, ())), len(here.get(key, ()))
        was, there = _state(then.get(key), "new"), _state(here.get(key), "gone")
        flow[was, there] += min(a, b)
        flow[("new", None), there] += max(b - a, 0)
        flow[was, ("gone", None)] += max(a - b, 0)
    published = {
        ((row["from_state"], row["from_uid"]), (row["to_state"], row["to_uid"])): row["documents"]
        for row in _topics_of(now, "flow")
    }
    assert published == {pair: documents for pair, documents in flow.items() if documents}

    uids_before, uids = ({row["topic_uid"]: row for row in _rows(side, "topics")} for side in (before, now))
    events = {row["uid"]: row for row in _topics_of(now, "events")}
    assert events.keys() == uids_before.keys() | uids.keys()
    for uid, row in events.items():
        sizes = [side[uid]["documents"] if uid in side else 0 for side in (uids_before, uids)]
        assert [row["documents_before"], row["documents"]] == sizes
    for uid, row in uids.items():
        assert row["generations"] == (uids_before[uid]["generations"] + 1 if uid in uids_before else 1)
    assert uids.keys() & uids_before.keys()

    (drift,) = _topics_of(now, "drift")
    stayed = sum(n for (was, there), n in flow.items() if was == there)
    new, gone = (sum(n for pair, n in flow.items() if (state, None) in pair) for state in ("new", "gone"))
    assert (drift["stayed"], drift["new"], drift["gone"]) == (stayed, new, gone)
    assert drift["documents"] == drift["stayed"] + drift["moved"] + drift["new"] == sum(map(len, here.values()))
    assert drift["documents_before"] == drift["stayed"] + drift["moved"] + drift["gone"] == sum(map(len, then.values()))


def _by_text(generation: Generation) -> dict[bytes, list[dict]]:
    """Rows of the assignments by content key."""
    parts = [pq.read_table(generation.path(file.path.split("/", 2)[2])) for file in generation.manifest.under("documents")]
    keys = pa.concat_tables(parts)["content_key"].to_pylist()
    found: dict[bytes, list[dict]] = {}
    for key, row in zip(keys, _rows(generation, "assignments"), strict=True):
        found.setdefault(key, []).append(row)
    return found


def _state(rows: list[dict] | None, absent: str) -> tuple[str, str | None]:
    if rows is None:
        return absent, None
    return ("in", rows[0]["topic_uid"]) if rows[0]["topic_id"] >= 0 else ("noise", None)


def _rows(generation: Generation, name: str) -> list[dict]:
    return pq.read_table(generation.path(f"topics/{name}.parquet")).to_pylist()


def _topics_of(generation: Generation, name: str) -> list[dict]:
    return [row for row in _rows(generation, name) if row["kind"] == "topic"]
