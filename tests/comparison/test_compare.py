"""Comparisons of two small generations, against counts made with Python's sets."""

import hashlib
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.generations.conftest import FIRST, SECOND
from transforms.comparison import compare_generations
from transforms.comparison.merge import merge_sorted
from transforms.corpus import doc_hash
from transforms.files import CorruptFileError, write_table
from transforms.generations import FORMAT, Gate, Manifest, open_generation, published_files, write_manifest


def key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def number(text: str) -> int:
    return int.from_bytes(key(text)[:8], "big") >> 1


def publish(root, generation, documents, *, parts=1, pairs=(), groups=(), topics=(), metadata=True, **fields):
    """A generation from {doc_id: (texts of its passages, metadata)}, pairs (a, b, cosine), groups (kept, members)."""
    folder = f"{root}/generations/{generation}"
    refs = []
    ordered = sorted(documents, key=lambda doc_id: (doc_hash(doc_id), doc_id))
    for part in range(parts):
        own = [doc_id for doc_id in ordered if doc_hash(doc_id)[0] * parts // 256 == part]
        rows = [(doc_id, i, text, documents[doc_id][1]) for doc_id in own for i, text in enumerate(documents[doc_id][0])]
        columns = {
            "doc_id": pa.array([row[0] for row in rows], pa.string()),
            "passage_no": pa.array([row[1] for row in rows], pa.int32()),
            "content_key": pa.array([key(row[2]) for row in rows], pa.binary(32)),
            "text": pa.array([row[2] for row in rows], pa.string()),
        }
        if metadata:
            columns["section"] = pa.array([row[3] for row in rows], pa.string())
        refs.append(write_table(f"{folder}/documents/part-{part:05d}.parquet", pa.table(columns), 3))
    ids = sorted((number(text), key(text), doc_id, i) for doc_id in documents for i, text in enumerate(documents[doc_id][0]))
    table = {"id": [row[0] for row in ids], "content_key": pa.array([row[1] for row in ids], pa.binary(32))}
    refs.append(write_table(f"{folder}/index/ids.parquet", pa.table(table)))
    pairs = sorted(pairs, key=lambda pair: -pair[2])
    schema = [("doc_id_a", pa.string()), ("passage_no_a", pa.int32()), ("doc_id_b", pa.string()), ("passage_no_b", pa.int32())]
    rows = [{"doc_id_a": a, "passage_no_a": 0, "doc_id_b": b, "passage_no_b": 0, "cosine": cosine} for a, b, cosine in pairs]
    refs.append(
        write_table(
            f"{folder}/duplicates/pairs.parquet",
            pa.Table.from_pylist(rows, schema=pa.schema([*schema, ("cosine", pa.float32())])),
        )
    )
    rows = [
        {"group_id": number(kept), "doc_id": member, "passage_no": 0, "kept_doc_id": kept}
        for kept, members in sorted(groups, key=lambda group: number(group[0]))
        for member in (kept, *members)
    ]
    schema = pa.schema(
        [("group_id", pa.int64()), ("doc_id", pa.string()), ("passage_no", pa.int32()), ("kept_doc_id", pa.string())]
    )
    refs.append(write_table(f"{folder}/duplicates/groups.parquet", pa.Table.from_pylist(rows, schema=schema)))
    rows = [{"topic_uid": uid, "documents": size, "title": f"about {uid}"} for uid, size in topics]
    schema = pa.schema([("topic_uid", pa.string()), ("documents", pa.int32()), ("title", pa.string())])
    refs.append(write_table(f"{folder}/topics/topics.parquet", pa.Table.from_pylist(rows, schema=schema)))
    values = {
        "format": FORMAT,
        "generation": generation,
        "parent": None,
        "created": "2026-01-01T00:00:00+00:00",
        "encoder": {"fingerprint": "f" * 64},
        "corpus_digest": "",
        "configuration_digest": "",
        "configuration": {},
        "versions": {},
        "counts": {},
        "gates": [],
        "files": published_files(root, refs),
    }
    write_manifest(root, Manifest(**{**values, **fields}).with_digest())
    return open_generation(root, generation)


TEXTS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3)
DOCUMENTS = st.dictionaries(st.text(min_size=1, max_size=4), st.tuples(TEXTS, st.sampled_from([None, "x", "y"])), max_size=12)


@given(old=DOCUMENTS, new=DOCUMENTS, kept=st.sets(st.integers(0, 11)), parts=st.tuples(*[st.sampled_from([1, 2, 4])] * 2))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_documents_and_vectors_are_compared_as_sets_would(tmp_path, old, new, kept, parts):
    # Documents of both generations are what a night leaves mostly alone.
    new = {**new, **{doc_id: value for i, (doc_id, value) in enumerate(old.items()) if i in kept}}
    root = str(tmp_path)
    a, b = (publish(root, name, docs, parts=n) for name, docs, n in zip((FIRST, SECOND), (old, new), parts, strict=True))
    found = compare_generations(a, b, 100)
    both = old.keys() & new.keys()
    expected = {
        "added": new.keys() - old.keys(),
        "deleted": old.keys() - new.keys(),
        "changed": {doc_id for doc_id in both if old[doc_id][0] != new[doc_id][0]},
        "metadata_only": {doc_id for doc_id in both if old[doc_id][0] == new[doc_id][0] and old[doc_id][1] != new[doc_id][1]},
    }
    examples = found["documents"].pop("examples")
    assert {kind: set(ids) for kind, ids in examples.items()} == expected
    assert found["documents"] == {
        **{kind: len(ids) for kind, ids in expected.items()},
        "unchanged": sum(old[doc_id] == new[doc_id] for doc_id in both),
    }
    texts = [{text for texts, _ in docs.values() for text in texts} for docs in (old, new)]
    assert found["vectors"] == {
        "reused": len(texts[0] & texts[1]),
        "new": len(texts[1] - texts[0]),
        "dropped": len(texts[0] - texts[1]),
    }


def test_examples_are_few_and_counts_are_not(tmp_path):
    a = publish(str(tmp_path), FIRST, {})
    b = publish(str(tmp_path), SECOND, {f"d{i}": (["text"], None) for i in range(50)})
    found = compare_generations(a, b, 3)["documents"]
    assert (found["added"], len(found["examples"]["added"])) == (50, 3)
    assert compare_generations(a, b, 0)["documents"]["examples"]["added"] == []


def test_a_metadata_column_that_one_generation_lacks_counts_as_empty(tmp_path):
    a = publish(str(tmp_path), FIRST, {"a": (["x"], None), "b": (["y"], None)}, metadata=False)
    b = publish(str(tmp_path), SECOND, {"a": (["x"], None), "b": (["y"], "new")})
    found = compare_generations(a, b, 9)["documents"]
    assert (found["unchanged"], found["metadata_only"], found["examples"]["metadata_only"]) == (1, 1, ["b"])


def test_no_vector_is_reused_from_another_encoder(tmp_path):
    documents = {"a": (["x"], None), "b": (["y"], None)}
    a = publish(str(tmp_path), FIRST, documents)
    b = publish(str(tmp_path), SECOND, documents, encoder={"fingerprint": "e" * 64})
    assert compare_generations(a, b, 9)["vectors"] == {"reused": 0, "new": 2, "dropped": 2}


def test_a_generation_of_an_empty_corpus_may_lack_every_table(tmp_path):
    root = str(tmp_path)
    full = publish(root, FIRST, {"a": (["x"], None), "b": (["y"], None)}, pairs=[("a", "b", 0.9)], topics=[("u", 2)])
    empty = publish(root, SECOND, {}, files=[])
    found = compare_generations(full, empty, 5)
    assert (found["documents"]["deleted"], found["vectors"]["dropped"], found["pairs"]["gone"]) == (2, 2, 1)
    assert len(found["topics"]["gone"]) == 1
    back = compare_generations(empty, full, 5)
    assert (back["documents"]["added"], back["vectors"]["new"], back["pairs"]["new"]) == (2, 2, 1)
    assert compare_generations(empty, empty, 5)["documents"]["unchanged"] == 0


NAMES = st.sampled_from("abcdefghij")
PAIRS = st.dictionaries(st.tuples(NAMES, NAMES), st.floats(0.75, 1, width=32), max_size=20)
GROUPS = st.dictionaries(NAMES, st.sets(NAMES, min_size=1, max_size=4), max_size=6)


@given(pairs=st.tuples(PAIRS, PAIRS), groups=st.tuples(GROUPS, GROUPS), limit=st.integers(0, 4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pairs_and_groups_are_compared_as_sets_would(tmp_path, pairs, groups, limit):
    a, b = (
        publish(str(tmp_path), name, {}, pairs=[(*pair, c) for pair, c in found.items()], groups=of.items())
        for name, found, of in zip((FIRST, SECOND), pairs, groups, strict=True)
    )
    found = compare_generations(a, b, limit)
    old, new = pairs
    assert {kind: found["pairs"][kind] for kind in ("new", "gone", "kept")} == {
        "new": len(new.keys() - old.keys()),
        "gone": len(old.keys() - new.keys()),
        "kept": len(new.keys() & old.keys()),
    }
    for kind, only, table in (("new", new.keys() - old.keys(), new), ("gone", old.keys() - new.keys(), old)):
        shown = [pair["cosine"] for pair in found["pairs"]["examples"][kind]]
        assert shown == pytest.approx(sorted((table[pair] for pair in only), reverse=True)[:limit])
        assert {(pair["doc_id_a"], pair["doc_id_b"]) for pair in found["pairs"]["examples"][kind]} <= only

    def kind_of(kept):
        if kept not in groups[0] or kept not in groups[1]:
            return "new" if kept in groups[1] else "gone"
        return "same" if Counter(groups[0][kept]) == Counter(groups[1][kept]) else "changed"

    kinds = Counter(kind_of(kept) for kept in groups[0].keys() | groups[1].keys())
    assert {kind: found["groups"][kind] for kind in ("new", "gone", "same", "changed")} == {
        kind: kinds[kind] for kind in ("new", "gone", "same", "changed")
    }


def test_topics_numbers_and_settings(tmp_path):
    def gate(value):
        return Gate(name="recall_at_10", value=value, limit=0.9, passed=True, meaning="")

    a = publish(
        str(tmp_path), FIRST, {}, topics=[("u1", 5), ("u2", 9)], counts={"documents": 3, "old": 1}, gates=[gate(0.95)],
        configuration={"topics": {"seed": 1, "size": 5}, "gone": True}, encoder={"fingerprint": "a", "fidelity": {"mean": 1}},
        versions={"numpy": "1"},
    )  # fmt: skip
    b = publish(
        str(tmp_path), SECOND, {}, topics=[("u2", 7), ("u3", 4), ("u4", 6)], counts={"documents": 4}, gates=[],
        configuration={"topics": {"seed": 2, "size": 5}}, encoder={"fingerprint": "b"}, versions={"numpy": "2"},
    )  # fmt: skip
    found = compare_generations(a, b, 9)
    assert [(topic["topic_uid"], topic["documents"]) for topic in found["topics"]["born"]] == [("u4", 6), ("u3", 4)]
    assert found["topics"]["gone"] == [{"topic_uid": "u1", "documents": 5, "title": "about u1"}]
    assert found["topics"]["kept"] == [
        {
            "topic_uid": "u2", "documents": 7, "documents_before": 9, "title": "about u2", "title_before": "about u2",
            "event": "shrunk",
        }
    ]  # fmt: skip
    assert found["counts"] == [{"name": "documents", "a": 3, "b": 4}, {"name": "old", "a": 1, "b": None}]
    assert found["gates"] == [{"name": "recall_at_10", "a": {"value": 0.95, "limit": 0.9}, "b": None}]
    assert found["settings"] == [
        {"setting": "encoder.fingerprint", "a": "a", "b": "b"},
        {"setting": "gone", "a": True, "b": None},
        {"setting": "topics.seed", "a": 1, "b": 2},
        {"setting": "versions.numpy", "a": "1", "b": "2"},
    ]


@pytest.mark.parametrize(
    "name",
    [
        "documents/part-00000.parquet",
        "index/ids.parquet",
        "duplicates/pairs.parquet",
        "duplicates/groups.parquet",
        "topics/topics.parquet",
    ],
)
def test_a_changed_file_is_refused(tmp_path, name):
    root = str(tmp_path)
    publish(root, FIRST, {"a": (["x"], None)}, topics=[("u", 1)])
    publish(root, SECOND, {"a": (["y"], None)}, topics=[("u", 1)])
    path = Path(root, "generations", FIRST, name)
    data = path.read_bytes()
    path.write_bytes(data[:5] + bytes([data[5] ^ 1]) + data[6:])
    with pytest.raises(CorruptFileError, match=path.name):
        compare_generations(open_generation(root, FIRST), open_generation(root, SECOND), 3)


@given(a=st.sets(st.integers(0, 20)), b=st.sets(st.integers(0, 20)))
def test_merging_pairs_what_is_equal(a, b):
    merged = list(merge_sorted(sorted(a), sorted(b), lambda value: value))
    assert merged == [(x if x in a else None, x if x in b else None) for x in sorted(a | b)]
