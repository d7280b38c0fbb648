"""What of a generation is compared with a column of labels."""

from types import SimpleNamespace

import pyarrow as pa

from pipelines.evaluate_topics import _clusterings, _labelled
from transforms.files import write_table


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


def test_a_number_that_is_none_is_no_label(tmp_path):
    kinds = pa.array([1.0, 2.0, float("nan"), None])
    part = write_table(f"{tmp_path}/part.parquet", pa.table({"doc_id": list("abcd"), "kind": kinds}))
    assigned = write_table(f"{tmp_path}/assignments.parquet", pa.table({"doc_id": list("dcba")}))
    manifest = SimpleNamespace(under=lambda _: [part])
    generation = SimpleNamespace(manifest=manifest, checked=lambda file: file.path, path=lambda _: assigned.path)
    labels, table = _labelled(generation, "kind")
    assert labels.tolist() == [1, 0]
    assert table["label"].to_pylist() == [None, None, "2.0", "1.0"]
