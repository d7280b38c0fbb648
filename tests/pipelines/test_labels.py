"""The user's labels in a run: what is counted and said of them."""

from pipelines.labels import Labels, label_warnings, labelled
from pipelines.topics import TopicsResult


def test_what_a_parent_counted_of_labels_that_were_taken_back_is_forgotten():
    # All of the parent's labels were of unknown uids, so its tables have none.
    parent = TopicsResult([], {"topics": 3, "topics_labelled": 0, "labels_unknown": 2}, reused=True)
    found = labelled(None, parent, Labels({}))
    assert found.counts == {"topics": 3}
    assert label_warnings(found) == []
