"""The table for Embedding Atlas: metadata keep their values, also where a column has a name of ours."""

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.reports.generation import write_assignments, write_documents, write_themes, write_topics
from transforms.files import file_ref, write_table
from transforms.neighbors import neighbors_schema
from transforms.topics import atlas_rows, atlas_schema


def test_metadata_have_names_of_their_own_and_parts_without_texts_are_written(tmp_path):
    ids = [f"d{i}" for i in range(9)]
    marks = {doc_id: i for i, doc_id in enumerate(ids)}
    write_documents(tmp_path, {doc_id: doc_id for doc_id in ids}, keep_text=False, x=marks, size=marks)
    parts = [file_ref(str(path)) for path in sorted(tmp_path.glob("documents/*.parquet"))]
    order = [doc_id for part in parts for doc_id in pa.parquet.read_table(part.path)["doc_id"].to_pylist()]
    write_assignments(tmp_path, [(doc_id, -1, -1, 1.0 * marks[doc_id], 0.0) for doc_id in order])
    write_topics(tmp_path, [])
    keys = sorted(key for part in parts for key in pa.parquet.read_table(part.path)["content_key"].to_pylist())
    graph = {
        "id": [int.from_bytes(key[:8], "big") >> 1 for key in keys],
        "neighbor_ids": [[]] * 9,
        "cosines": [[]] * 9,
    }
    write_table(f"{tmp_path}/graph.parquet", pa.table(graph, schema=neighbors_schema()))
    refs = [file_ref(f"{tmp_path}/{name}") for name in ("topics/assignments.parquet", "topics/topics.parquet", "graph.parquet")]
    tables = list(atlas_rows(parts, refs[0], refs[1], None, None, refs[2:]))
    table = pa.concat_tables(tables)
    assert table.schema.equals(atlas_schema(parts[0]))
    assert "text" not in table.column_names
    assert table["doc_id"].to_pylist() == order
    assert table["metadata_x"].to_pylist() == table["size"].to_pylist() == [marks[doc_id] for doc_id in order]
    assert table["x"].to_pylist() == [float(marks[doc_id]) for doc_id in order]
    assert table["neighbors"].to_pylist() == [{"ids": [], "distances": []}] * 9
    write_assignments(tmp_path, [(doc_id, -1, -1, 0.0, 0.0) for doc_id in reversed(order)])
    with pytest.raises(ValueError, match="not in the order of the documents"):
        list(atlas_rows(parts, refs[0], refs[1], None, None, refs[2:]))


def test_topics_and_themes_with_equal_titles_are_told_apart(tmp_path):
    write_documents(tmp_path, {f"d{i}": f"text {i}" for i in range(4)}, parts=1)
    part = file_ref(f"{tmp_path}/documents/part-00000.parquet")
    doc_ids = pa.parquet.read_table(part.path)["doc_id"].to_pylist()
    write_assignments(tmp_path, [(doc_id, topic, max(topic, 0), 0.0, 0.0) for topic, doc_id in enumerate(doc_ids, -1)])
    base = {"topic_uid": "u", "terms": [], "term_weights": [], "representative_doc_ids": [], "x": 0.0, "y": 0.0, "documents": 1}
    write_topics(tmp_path, [{**base, "topic_id": i, "title": title} for i, title in enumerate(["mail", "news", "mail"])])
    titles = {(0, 0): "post", (1, 0): "post", (1, 1): "press", (1, 2): "press"}
    base = {"documents": 1, "topics": 1, "terms": []}
    write_themes(tmp_path, [{**base, "layer": at[0], "theme_id": at[1], "title": title} for at, title in titles.items()])
    refs = [file_ref(f"{tmp_path}/topics/{name}.parquet") for name in ("assignments", "topics", "themes")]
    table = pa.concat_tables(atlas_rows([part], *refs, 1, []))
    assert table["topic"].to_pylist() == [None, "mail (0)", "news", "mail (2)"]
    assert table["nearest_topic"].to_pylist() == ["mail (0)", "mail (0)", "news", "mail (2)"]
    assert table["theme"].to_pylist() == ["post", "press (1)", "press (1)", "press (1)"]
