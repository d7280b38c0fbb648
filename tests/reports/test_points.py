import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.reports.generation import write_assignments, write_documents
from transforms.reports.points import MapPoints, read_points

ROWS = [(f"d{i}", i % 4 - 1, i % 3, float(i), float(-i)) for i in range(3000)]


def in_order_of_hash(ids: list[str]) -> list[str]:
    return sorted(ids, key=lambda doc_id: hashlib.sha256(b"0\0" + doc_id.encode()).digest()[:8])


def test_all_points_below_the_limit_keep_their_position_topic_and_text(tmp_path: Path) -> None:
    texts = {f"d{i}": f"words of\n {i}" for i in range(0, 3000, 2)}
    write_documents(tmp_path, texts)
    write_assignments(tmp_path, ROWS)
    points = read_points(str(tmp_path), 5000, 100)
    assert (len(points), points.total, points.sampled, points.unplaced) == (3000, 3000, False, 0)
    by_id = {row[0]: row for row in ROWS}
    for i, doc_id in enumerate(points.doc_ids):
        row = (doc_id, points.topic_ids[i], points.assigned_ids[i], points.x[i], points.y[i])
        assert row == by_id[doc_id]
        assert points.texts[i] == " ".join(texts.get(doc_id, "").split())


def test_noise_is_drawn_first(tmp_path: Path) -> None:
    write_assignments(tmp_path, ROWS)
    noise = read_points(str(tmp_path), 5000, 0).topic_ids < 0
    assert noise.sum() == 750
    assert noise[:750].all()


@pytest.mark.parametrize("limit", [0, 1, 40, 2999])
def test_the_sample_is_the_smallest_hashes_whatever_the_order_of_rows(tmp_path: Path, limit: int) -> None:
    expected = set(in_order_of_hash([row[0] for row in ROWS])[:limit])
    for name, rows in (("a", ROWS), ("b", ROWS[::-1])):
        write_assignments(tmp_path / name, rows)
    a, b = (read_points(str(tmp_path / name), limit, 0) for name in "ab")
    assert set(a.doc_ids) == expected
    assert a.doc_ids == b.doc_ids
    assert np.array_equal(a.x, b.x)
    assert a.sampled
    assert a.total == 3000


def test_points_without_a_position_are_counted_not_drawn(tmp_path: Path) -> None:
    write_assignments(tmp_path, [("a", 0, 0, 1.0, 2.0), ("b", 0, 0, None, None), ("c", 0, 0, float("nan"), 1.0)])
    points = read_points(str(tmp_path), 10, 10)
    assert (points.doc_ids, points.total, points.unplaced) == (("a",), 1, 2)


def test_no_assignments(tmp_path: Path) -> None:
    points = read_points(str(tmp_path), 10, 10)
    assert isinstance(points, MapPoints)
    assert (len(points), points.total) == (0, 0)
