"""What `topics --assign` prints of a passage."""

import pytest

from pipelines.assign import assign_lines


def lines(**row):
    facts = {"documents": 1, "texts": 1, "texts_embedded": 1, "quarantine": {}, "quarantined": 0}
    shown = {"doc_id": "d", "passage_no": 0, "topic_id": -1, "topic_uid": None, "topic_title": None, "theme_title": None, **row}
    found = {"new": facts, "published": facts, "generation": "g", "root": "r", "model": "m", "fingerprint": "f", "floor": 0.7}
    counts = dict.fromkeys(("passages", "in_topic", "noise", "without_topic", "known"), 1)
    return assign_lines({**found, **counts, "topics": [], "shown": [shown], "output": None})[-1]


@pytest.mark.parametrize(
    ("cosine", "known", "said"),
    [
        (None, False, "nothing like it is published"),
        (0.69, False, "nothing like it is published"),
        (0.699999988079071, False, "no topic"),  # 0.7 as float32: not below
        (0.9, False, "no topic"),
        (1.0, True, "no topic"),
        (0.5, True, "no topic"),
    ],
)
def test_a_text_without_topic_and_theme_is_not_always_like_nothing(cosine, known, said):
    """As with method: hdbscan, where noise that no topic is near to has no theme either."""
    assert lines(nearest_cosine=cosine, known=known).endswith(f": {said}")
    assert lines(nearest_cosine=cosine, known=known, theme_title="a theme").endswith(": a theme")
