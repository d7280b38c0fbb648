"""What the parent said of each text, against a join of plain dictionaries."""

import hashlib
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.corpus import doc_hash
from transforms.files import CorruptFileError, read_table, write_table
from transforms.topics import ASSIGNMENTS_SCHEMA, BEFORE_SCHEMA, ParentTopics, TopicsOptions, read_before, remember_parent

OPTIONS = TopicsOptions()


def key(text):
    return hashlib.sha256(text.encode()).digest()


def identifier(text):
    return int.from_bytes(key(text)[:8], "big") >> 1


def plainly(step, tasks):
    # Not in the order of the tasks: workers finish when they finish.
    return [step(task, OPTIONS) for task in reversed(tasks)]


def said(text):
    """What the parent said of a text: any function of it."""
    number = identifier(text)
    topic = number % 4 - 1
    return {
        "layer_theme_ids": [number % 2, number % 3],
        "topic_id": topic,
        "assigned_topic_id": topic if topic >= 0 else number % 3,
        "assigned_score": 1.0 if topic >= 0 else 0.5,
        "strength": (number % 8) / 8,
        "theme_followed": number % 5 == 0,
        "topic_followed": number % 7 == 0,
        "x": float(number % 100),
        "y": float(number % 50),
    }


def parent_of(folder, documents, parts, without=()):
    """The files of a generation with these documents, (id, passage texts), in so many parts."""
    rows = [
        {"doc_id": doc_id, "passage_no": number, "content_key": key(text), **said(text)}
        for doc_id, texts in sorted(documents.items(), key=lambda item: (doc_hash(item[0]), item[0]))
        for number, text in enumerate(texts)
    ]
    whole = [row for row in rows if row["passage_no"] == 0]
    files = []
    for low, high in pairwise(np.linspace(0, len(whole), parts + 1).astype(int)):
        ids = {row["doc_id"] for row in whole[low:high]}
        own = [row for row in rows if row["doc_id"] in ids]
        schema = pa.schema([("doc_id", pa.string()), ("passage_no", pa.int32()), ("content_key", pa.binary(32))])
        files.append(write_table(f"{folder}/documents/part-{len(files):05d}.parquet", pa.Table.from_pylist(own, schema)))
    table = pa.Table.from_pylist(rows, ASSIGNMENTS_SCHEMA).drop_columns(list(without))
    assignments = write_table(f"{folder}/topics/assignments.parquet", table, row_group_rows=3)
    return ParentTopics("parent", tuple(files), assignments, assignments, None, (0.5, 1.0))


def passages_of(folder, texts, parts):
    keys = sorted(map(key, texts))
    bounds = np.linspace(0, len(keys), parts + 1).astype(int)
    return [
        write_table(f"{folder}/passages/part-{part:05d}.parquet", pa.table({"content_key": pa.array(keys[a:b], pa.binary(32))}))
        for part, (a, b) in enumerate(pairwise(bounds))
        if b > a or (part == 0 and not keys)
    ]


def told(folder, parent, texts, parts):
    """(what was said of each text of the corpus, what of those that are gone), by content key; checks what must hold."""
    told = remember_parent(parent, passages_of(folder, texts, parts), f"{folder}/work", plainly)
    before = read_before(told.before, BEFORE_SCHEMA.names)
    assert before.schema.equals(BEFORE_SCHEMA)
    assert before["id"].to_pylist() == sorted(map(identifier, texts))
    gone = [row for file in told.gone for row in read_table(file.path).to_pylist()]
    assert told.left == len(gone)
    assert told.came == before["documents"].null_count
    return before.to_pylist(), gone


words = st.sampled_from("abcdefgh")
corpora = st.dictionaries(st.sampled_from([f"d{i}" for i in range(12)]), st.lists(words, min_size=1, max_size=4), max_size=12)


@settings(max_examples=25, deadline=None)
@given(corpora, st.sets(words), st.integers(1, 4), st.integers(1, 4))
def test_every_text_is_told_what_the_parent_said_and_no_other(tmp_path_factory, documents, texts, parts, passages_parts):
    folder = tmp_path_factory.mktemp("parent")
    have = defaultdict(set)
    for doc_id, own in documents.items():
        for text in own:
            have[text].add(doc_id)
    before, gone = told(folder, parent_of(folder, documents, parts), texts, passages_parts)
    nothing = dict.fromkeys(BEFORE_SCHEMA.names[1:])
    for text, row in zip(sorted(texts, key=key), before, strict=True):
        expected = {"documents": len(have[text]), **said(text)} if text in have else nothing
        assert row == {"id": identifier(text), **expected}
    expected = [
        {"content_key": key(text), "documents": len(have[text]), **said(text)}
        for text in sorted(have, key=key)
        if text not in texts
    ]
    assert gone == expected


def test_texts_that_share_an_id_are_not_the_same(tmp_path, monkeypatch):
    parent = parent_of(tmp_path, {"d": ["a", "b"]}, 1)
    monkeypatch.setattr("transforms.topics.lineage.parent.ids_of", lambda keys: np.zeros(len(keys), np.int64))
    told = remember_parent(parent, passages_of(tmp_path, ["c"], 1), f"{tmp_path}/work", plainly)
    assert read_table(told.before[0].path)["topic_id"].to_pylist() == [None]
    assert (told.came, told.left) == (1, 2)


def test_columns_that_an_earlier_version_did_not_publish_are_null(tmp_path):
    parent = parent_of(tmp_path, {"d": ["a"], "e": ["b"]}, 1, ["layer_theme_ids", "assigned_score", "theme_id"])
    before, _ = told(tmp_path, parent, ["a", "b"], 1)
    assert [(row["layer_theme_ids"], row["assigned_score"]) for row in before] == [(None, None)] * 2
    assert all(row["topic_id"] is not None for row in before)


def test_a_damaged_part_is_named(tmp_path):
    parent = parent_of(tmp_path, {"d": ["a"], "e": ["b"]}, 2)
    path = Path(parent.documents[1].path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match=r"part-00001\.parquet is missing or is not what was published"):
        told(tmp_path, parent, ["a"], 1)


def test_assignments_in_another_order_or_number_are_refused(tmp_path):
    parent = parent_of(tmp_path, {"d": ["a"], "e": ["b"]}, 1)
    rows = read_table(parent.assignments.path)
    other = write_table(str(tmp_path / "other.parquet"), rows.take([1, 0]))
    with pytest.raises(ValueError, match="is not in the order of the documents: column doc_id differs"):
        told(tmp_path, ParentTopics("p", parent.documents, other, other, None, ()), ["a"], 1)
    short = write_table(str(tmp_path / "short.parquet"), rows.slice(1))
    with pytest.raises(CorruptFileError, match="has 1 rows, the documents have 2"):
        told(tmp_path, ParentTopics("p", parent.documents, short, short, None, ()), ["a"], 1)
