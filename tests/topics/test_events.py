"""What became of topics, on small partitions labelled by hand, and sums that add up on any."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from transforms.topics import DRIFT_SCHEMA, EVENTS_SCHEMA, PUBLISHED_FLOW_SCHEMA, jensen_shannon, match_by_documents
from transforms.topics.lineage.carry import Known, carry_on, keeps_title, unused_uid
from transforms.topics.lineage.events import ABSENT, Compared, drift_of, events_of, published_flow
from transforms.topics.lineage.flow import flow_table

NOISE = -1


def known(uids, terms=(), first_seen=None, generations=1):
    terms = tuple(terms) or tuple(("word", uid) for uid in uids)
    count = len(uids)
    return Known(tuple(uids), tuple(f"about {uid}" for uid in uids), terms, (first_seen,) * count, (generations,) * count)


def compared(rows, before, now):
    """Topics called a, b … of the parent and v, w … of now, with the flow between them as (before, now, documents)."""
    flow = flow_table(*np.array(rows, int).reshape(-1, 3).T)
    olds, news = known("abcdefgh"[:before]), known("qrstuvwxyz"[:now])
    matched = match_by_documents(flow, before, now)
    return Compared(olds, carry_on(news, olds, matched, "parent", ()), flow)


def events(rows, before, now):
    return {row["uid"]: row for row in events_of(compared(rows, before, now)).to_pylist()}


def kinds(rows, before, now):
    return {uid: row["event"] for uid, row in events(rows, before, now).items()}


def test_a_topic_that_stays_is_continued_grown_or_shrunk():
    assert kinds([(0, 0, 100)], 1, 1) == {"a": "continued"}
    assert kinds([(0, 0, 100), (ABSENT, 0, 9)], 1, 1) == {"a": "continued"}
    assert kinds([(0, 0, 100), (ABSENT, 0, 10)], 1, 1) == {"a": "grown"}
    assert kinds([(0, 0, 91), (0, ABSENT, 9)], 1, 1) == {"a": "continued"}
    assert kinds([(0, 0, 90), (0, ABSENT, 10)], 1, 1) == {"a": "shrunk"}


def test_new_and_vanished_topics():
    assert kinds([(0, ABSENT, 50), (ABSENT, 0, 50)], 1, 1) == {"a": "vanished", "q": "new"}
    assert kinds([(0, NOISE, 50), (NOISE, 0, 50)], 1, 1) == {"a": "vanished", "q": "new"}
    # A few documents of another topic do not make a topic a part of it.
    assert kinds([(0, 0, 90), (0, 1, 5), (ABSENT, 1, 50)], 1, 2) == {"a": "continued", "r": "new"}


def test_a_topic_that_splits():
    found = events([(0, 0, 60), (0, 1, 40), (ABSENT, 1, 3)], 1, 2)
    assert {uid: row["event"] for uid, row in found.items()} == {"a": "shrunk", "r": "split"}
    assert (found["r"]["from_uids"], found["a"]["to_uids"]) == (["a"], ["a", "r"])
    assert (found["a"]["title"], found["a"]["title_before"], found["r"]["title_before"]) == ("about q", "about a", None)


def test_topics_that_merge():
    found = events([(0, 0, 100), (1, 0, 60), (1, NOISE, 5)], 2, 1)
    assert {uid: row["event"] for uid, row in found.items()} == {"a": "grown", "b": "merged"}
    assert (found["b"]["to_uids"], found["a"]["from_uids"]) == (["a"], ["a", "b"])
    assert (found["b"]["id"], found["b"]["title"], found["b"]["documents"]) == (None, "about b", 0)


def test_all_topics_vanish():
    assert kinds([(0, NOISE, 50), (1, ABSENT, 40)], 2, 0) == {"a": "vanished", "b": "vanished"}
    assert kinds([], 0, 0) == {}


def test_what_is_new_comes_first_then_by_size():
    rows = [(0, 0, 9), (1, 1, 10), (1, ABSENT, 9), (ABSENT, 2, 5), (ABSENT, 3, 6), (2, ABSENT, 99)]
    assert [row["event"] for row in events_of(compared(rows, 3, 4)).to_pylist()] == [
        "new",
        "new",
        "shrunk",
        "vanished",
        "continued",
    ]
    assert [row["uid"] for row in events_of(compared(rows, 3, 4)).to_pylist()] == ["t", "s", "b", "c", "a"]


FLOWS = st.lists(st.tuples(st.integers(-2, 3), st.integers(-2, 3), st.integers(1, 9)), max_size=14)


@settings(deadline=None)
@given(FLOWS)
def test_sums_add_up(rows):
    rows = [row for row in rows if row[:2] != (ABSENT, ABSENT)]
    both = compared(rows, 4, 4)
    table, flow = events_of(both), published_flow(both)
    (drift,) = drift_of(both, table).to_pylist()
    assert table.schema.equals(EVENTS_SCHEMA)
    assert flow.schema.equals(PUBLISHED_FLOW_SCHEMA)
    assert drift_of(both, table).schema.equals(DRIFT_SCHEMA)
    found = table.to_pylist()
    assert len({row["uid"] for row in found}) == len(found)
    assert {row["uid"] for row in found} == {*both.now.uids, *both.before.uids}
    for row in found:
        assert row["documents"] == row["stayed"] + row["from_new"] + row["from_noise"] + row["from_others"]
        assert row["documents_before"] == row["stayed"] + row["to_gone"] + row["to_noise"] + row["to_others"]
        assert (row["id"] is not None) == (row["uid"] in both.now.uids)
    expected = {"in": 0, "noise": 0}
    for row in rows:
        if row[1] >= NOISE:
            expected["in" if row[1] >= 0 else "noise"] += row[2]
    assert sum(row["documents"] for row in found) == expected["in"]
    assert drift["documents"] == sum(expected.values()) == drift["stayed"] + drift["moved"] + drift["new"]
    assert drift["documents_before"] == drift["stayed"] + drift["moved"] + drift["gone"]
    assert drift["noise"] == pytest.approx(expected["noise"] / max(sum(expected.values()), 1))
    assert sum(flow["documents"].to_pylist()) == sum(row[2] for row in rows)
    stayed = [row for row in flow.to_pylist() if row["from_uid"] == row["to_uid"] and row["from_state"] == row["to_state"]]
    assert drift["stayed"] == sum(row["documents"] for row in stayed)
    assert sum(drift[f"{event}_count"] for event in set(table["event"].to_pylist())) == len(found)
    _same_as_scipy(both, drift["jensen_shannon"])


def _same_as_scipy(both, distance):
    names = sorted({*both.before.uids, *both.now.uids})
    then, now = dict.fromkeys([*names, None], 0), dict.fromkeys([*names, None], 0)
    for row in both.flow.to_pylist():
        if row["before"] != ABSENT:
            then[both.before.uids[row["before"]] if row["before"] >= 0 else None] += row["documents"]
        if row["now"] != ABSENT:
            now[both.now.uids[row["now"]] if row["now"] >= 0 else None] += row["documents"]
    p, q = np.array(list(then.values()), float), np.array(list(now.values()), float)
    if p.any() and q.any():
        assert distance == pytest.approx(jensenshannon(p, q, base=2), abs=1e-7)


def test_distance_of_nothing():
    assert jensen_shannon(np.zeros(2), np.zeros(2)) == 0
    assert jensen_shannon(np.array([0, 3]), np.zeros(2)) == 1
    assert jensen_shannon(np.array([0, 3]), np.array([4, 0])) == pytest.approx(1)


def test_a_uid_is_carried_with_its_past_and_a_new_one_is_nobody_elses():
    before = known(["a", "b"], first_seen=None)
    now = known(["b", "x", "a"])
    found = carry_on(now, before, np.array([0, -1, -1]), "parent", ["x"])
    # The topic of a's documents has what was b's digest once; x is a theme's name already, and a is carried on by another.
    assert found.uids[0] == "a"
    assert len({*found.uids, "b", "x"}) == 5
    assert found.first_seen == ("parent", None, None)
    assert found.generations == (2, 1, 1)
    again = carry_on(now, found, np.array([0, 1, -1]), "second", ())
    assert again.first_seen == ("parent", "second", None)
    assert again.generations == (3, 2, 1)
    assert unused_uid("a", {"b"}) == "a"


def test_a_title_stays_while_half_of_the_terms_do():
    before = ("lamp", "light", "bulb", "shade")
    assert keeps_title("lamp, light, bulb", before, ("light", "shade", "desk", "chair"))
    assert not keeps_title("lamp, light, bulb", before, ("light", "desk", "chair", "sofa"))
    # None of the words that it shows.
    assert not keeps_title("lamp", before, ("light", "shade", "bulb", "desk"))
    assert not keeps_title("topic 3", (), ())
    assert not keeps_title("party, zzz", ("party", "zzz", "art", "q"), ("art", "q")), "a part of a word is no term"
