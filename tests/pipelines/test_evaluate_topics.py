"""What of a generation is compared with a column of labels."""

import pyarrow as pa

from pipelines.evaluate_topics import _clusterings


def test_a_method_without_themes_has_topics_alone():
    # Whatever the method, assignments have the column; without themes its lists are empty, and there is no file of themes.
    assigned = pa.table(
        {
            "layer_theme_ids": pa.array([[], []], pa.list_(pa.int32())),
            "topic_id": pa.array([0, -1], pa.int32()),
            "assigned_topic_id": pa.array([0, 0], pa.int32()),
        }
    )
    found = _clusterings(None, assigned)
    assert {name: ids.tolist() for name, ids in found.items()} == {
        "topics": [0, -1],
        "topics without noise": [0, -1],
        "assigned topics": [0, 0],
    }
