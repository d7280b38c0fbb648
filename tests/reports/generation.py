"""A small staged generation in the contract's schemas, whose every number a test can recompute."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from transforms.files import write_json, write_table

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028\u0000\u202e"


def key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def number_of(text: str) -> int:
    return int.from_bytes(key(text)[:8], "big") >> 1


def write_documents(folder: Path, texts: dict[str, str], *, keep_text: bool = True, parts: int = 2, **metadata: object) -> None:
    """documents/part-*.parquet: sorted by the hash of the id, each part an equal range of it.

    Metadata are one value, or one for each id.
    """
    ids = sorted(texts, key=lambda doc_id: (hashlib.sha256(doc_id.encode()).digest()[:8], doc_id))
    for part in range(parts):
        own = [i for i in ids if hashlib.sha256(i.encode()).digest()[0] * parts // 256 == part]
        columns = {
            "doc_id": pa.array(own, pa.string()),
            "passage_no": pa.array([0] * len(own), pa.int32()),
            "content_key": pa.array([key(texts[i]) for i in own], pa.binary(32)),
            "text": pa.array([texts[i] for i in own], pa.string()),
            "source": pa.array(["in.parquet"] * len(own), pa.string()),
            "row": pa.array(range(len(own)), pa.int64()),
            **{name: values_of(value, own) for name, value in metadata.items()},
        }
        if not keep_text:
            del columns["text"]
        # Row groups of three, so that reading only some of them is tried.
        write_table(f"{folder}/documents/part-{part:05d}.parquet", pa.table(columns), row_group_rows=3)


def values_of(value: object, ids: list[str]) -> pa.Array:
    if isinstance(value, dict):
        return pa.array([value[doc_id] for doc_id in ids], pa.array(list(value.values())).type)
    return pa.array([value] * len(ids), pa.string())


def write_assignments(folder: Path, rows: Sequence[tuple[str, int, int, float | None, float | None]]) -> None:
    """topics/assignments.parquet from (doc_id, topic_id, assigned_topic_id, x, y)."""
    table = pa.table(
        {
            "doc_id": pa.array([r[0] for r in rows], pa.string()),
            "passage_no": pa.array([0] * len(rows), pa.int32()),
            "topic_id": pa.array([r[1] for r in rows], pa.int32()),
            "assigned_topic_id": pa.array([r[2] for r in rows], pa.int32()),
            "topic_uid": pa.array([f"uid{r[2]}" if r[2] >= 0 else None for r in rows], pa.string()),
            "theme_id": pa.array([int(r[1] >= 0) for r in rows], pa.int32()),
            "strength": pa.array([1.0] * len(rows), pa.float32()),
            "x": pa.array([r[3] for r in rows], pa.float32()),
            "y": pa.array([r[4] for r in rows], pa.float32()),
        }
    )
    write_table(f"{folder}/topics/assignments.parquet", table)


def write_topics(folder: Path, topics: Sequence[dict]) -> None:
    schema = pa.schema(
        [
            ("topic_id", pa.int32()), ("topic_uid", pa.string()), ("documents", pa.int32()), ("title", pa.string()),
            ("theme_id", pa.int32()),
            ("terms", pa.list_(pa.string())), ("term_weights", pa.list_(pa.float32())),
            ("representative_doc_ids", pa.list_(pa.string())),
            ("representative_passage_nos", pa.list_(pa.int32())), ("x", pa.float32()), ("y", pa.float32()),
            ("boundary_doc_ids", pa.list_(pa.string())), ("boundary_passage_nos", pa.list_(pa.int32())),
            ("boundary_other_ids", pa.list_(pa.int32())),
        ]
    )  # fmt: skip
    rows = [
        {
            "representative_passage_nos": [0] * len(topic["representative_doc_ids"] or []),
            "boundary_passage_nos": [0] * len(topic.get("boundary_doc_ids") or []),
            **topic,
        }
        for topic in topics
    ]
    write_table(f"{folder}/topics/topics.parquet", pa.Table.from_pylist(rows, schema=schema))


def write_groups(folder: Path, groups: Sequence[tuple[int, str, Sequence[tuple[str, float]]]]) -> None:
    """duplicates/groups.parquet from (group_id, kept id, [(doc_id, cosine)]); the kept document is the first row."""
    rows = [
        (group_id, doc_id, 0, kept, 0, cosine, 1 + len(members), group_id)
        for group_id, kept, members in groups
        for doc_id, cosine in [(kept, 1.0), *members]
    ]
    names = ["group_id", "doc_id", "passage_no", "kept_doc_id", "kept_passage_no", "cosine_to_kept", "size", "component_id"]
    types = [pa.int64(), pa.string(), pa.int32(), pa.string(), pa.int32(), pa.float32(), pa.int32(), pa.int64()]
    columns = [pa.array([row[i] for row in rows], type) for i, type in enumerate(types)]
    write_table(f"{folder}/duplicates/groups.parquet", pa.table(columns, names))


def write_pairs(folder: Path, cosines: Sequence[float], relations: Sequence[str]) -> None:
    n = len(cosines)
    table = pa.table(
        {
            "doc_id_a": [f"a{i}" for i in range(n)],
            "doc_id_b": [f"b{i}" for i in range(n)],
            "cosine": pa.array(cosines, pa.float32()),
            "relation": pa.array(relations, pa.string()),
            "id_a": pa.array(range(n), pa.int64()),
            "id_b": pa.array(range(n), pa.int64()),
        }
    )
    write_table(f"{folder}/duplicates/pairs.parquet", table)


def write_recall(folder: Path) -> None:
    table = pa.table(
        {
            "query_set": ["file", "corpus", "corpus"],
            "k": pa.array([10, 10, 1], pa.int32()),
            "recall": [0.95, 0.9912, 0.998],
            "recall_low": [0.9, 0.987, 0.994],
            "recall_high": [0.98, 0.994, 0.9995],
            "queries": pa.array([40, 500, 500], pa.int32()),
        }
    )
    write_table(f"{folder}/index/recall.parquet", table)


def write_quarantine(folder: Path, rows: Sequence[tuple], part: int = 0) -> None:
    """quarantine/part-*.parquet from (source, row, doc_id, reason, detail, excerpt)."""
    names = ["source", "row", "doc_id", "reason", "detail", "excerpt"]
    types = [pa.string(), pa.int64(), *[pa.string()] * 4]
    columns = [pa.array([row[i] for row in rows], type) for i, type in enumerate(types)]
    write_table(f"{folder}/quarantine/part-{part:05d}.parquet", pa.table(columns, names))


def worker(name: str, tasks: int, texts: int) -> dict:
    """What metrics.json says of one process in a stage."""
    return {"worker": name, "tasks": tasks, "seconds": 70.5, "peak_rss_mb": 812.0, "counts": {"texts_embedded": texts}}


def metrics(**counts: int) -> dict:
    return {
        "stages": {
            "topics": {"seconds": 31.0, "peak_rss_mb": 1710.4, "topics": 2},
            "embed": {"seconds": 148.2, "peak_rss_mb": 900.0, "texts_embedded": 1234567, "texts_reused": 0},
            "corpus": {"seconds": 0.125, "peak_rss_mb": 410.0, "documents": 12},
        },
        "counts": counts,
        "started": "2026-11-23T20:10:04+00:00",
        "finished": "2026-11-23T21:13:27+01:00",
        "encoder": {"model": "/models/all-MiniLM-L6-v2", "dimension": 384},
    }


def write_themes(folder: Path, themes: Sequence[dict]) -> None:
    """topics/themes.parquet, also with a layer that no topics are in."""
    schema = pa.schema(
        [
            ("layer", pa.int32()), ("theme_id", pa.int32()), ("documents", pa.int32()), ("topics", pa.int32()),
            ("title", pa.string()), ("terms", pa.list_(pa.string())),
        ]
    )  # fmt: skip
    rows = [{"layer": 0, "theme_id": 0, "documents": 40, "topics": None, "title": "all", "terms": ["all"]}, *themes]
    write_table(f"{folder}/topics/themes.parquet", pa.Table.from_pylist(rows, schema=schema))


def write_tables(folder: Path, rows: Sequence[tuple]) -> None:
    """topics/tables.parquet from (kind, topic_id, column, unit, value, documents, share, lift)."""
    names = ["kind", "topic_id", "column", "unit", "value", "documents", "share", "lift"]
    types = [pa.string(), pa.int32(), pa.string(), pa.string(), pa.string(), pa.int64(), pa.float32(), pa.float32()]
    columns = [pa.array([row[i] for row in rows], type) for i, type in enumerate(types)]
    write_table(f"{folder}/topics/tables.parquet", pa.table(columns, names))


def write_generation(folder: Path, *, evil: bool = False) -> dict:
    """A whole generation of forty documents in two topics and noise; returns its metrics, also in metrics.json."""
    tail = EVIL if evil else ""
    texts = {f"doc{i:02d}{tail}": f"Text number {i} about {('cats', 'boats')[i % 2]} {tail}" for i in range(40)}
    ids = list(texts)
    texts[ids[8]] = texts[ids[6]]  # an exact copy
    marks = {doc_id: 5 * i for i, doc_id in enumerate(ids)}
    kinds = {doc_id: None if i % 4 == 3 else f"{('red', 'green', 'red')[i % 4]}{tail}" for i, doc_id in enumerate(ids)}
    write_documents(folder, texts, section=f"pets{tail}", marks=marks, **{f"kind{tail}": kinds})
    rows = []
    for i, doc_id in enumerate(ids):
        topic = -1 if i % 5 == 4 else i % 2
        rows.append((doc_id, topic, i % 2, 10.0 * (i % 2) + i / 20, (i * 7 % 13) / 4))
    write_assignments(folder, rows)
    write_topics(
        folder,
        [
            {
                "topic_id": t, "topic_uid": f"uid{t}", "documents": sum(r[1] == t for r in rows), "title": name + tail,
                "terms": [name + tail, "number"], "term_weights": [0.5, 0.25],
                "representative_doc_ids": [ids[t], ids[t + 2], ids[t + 6], ids[t + 8]], "x": 10.0 * t + 1, "y": 1.5,
                "boundary_doc_ids": [ids[t + 2], ids[t + 10]], "boundary_other_ids": [1 - t, 1 - t], "theme_id": 1,
            }
            for t, name in enumerate(["cats", "boats"])
        ],
    )  # fmt: skip
    themes = [(0, 12, "rest"), (1, 28, f"pets and ships{tail}")]
    write_themes(
        folder,
        [
            {"layer": 1, "theme_id": i, "documents": size, "topics": 2 * i, "title": title, "terms": [title, "number"]}
            for i, size, title in themes
        ],
    )
    write_tables(
        folder,
        [
            ("topic", 0, f"section{tail}", "value", f"pets{tail}", 12, 0.75, 1.5),
            ("topic", 0, f"section{tail}", "value", None, 4, 0.25, 0.5),
            ("topic", 0, f"day{tail}", "month", "2024-01", 4, 0.25, 1.0),
            ("topic", 0, f"day{tail}", "month", "2024-04", 12, 0.75, 1.0),
            ("topic", 1, f"section{tail}", "value", "sea", 16, 1.0, 2.0),
            ("topic", 1, f"day{tail}", "month", None, 16, 1.0, 2.0),
            ("theme", 0, f"section{tail}", "value", "rest", 12, 1.0, 1.0),
        ],
    )
    write_groups(folder, [(7, ids[6], [(ids[8], 1.0), (ids[10], 0.91), (ids[12], 0.85)])])
    write_pairs(folder, [0.76, 0.855, 0.91, 1.0000001], ["paraphrase", "paraphrase", "near", "near"])
    write_recall(folder)
    write_quarantine(folder, [(f"s3://me:hunter2@b/x{tail}", 3, f"q{tail}", f"empty-text{tail}", f"why{tail}", f"ex{tail}")])
    values = metrics(
        documents=40, passages=40, distinct_texts=39, quarantined=1, pairs=4, groups=1, duplicate_documents=3, topics=2,
        noise_documents=8,
    )  # fmt: skip
    values["warnings"] = [f"the model is not for this{tail}"]
    write_json(f"{folder}/metrics.json", values)
    return values
