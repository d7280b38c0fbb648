"""The points of the topic map: position, topic and a line of text for each passage, sampled above a limit."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from transforms.files import filesystem_of, join, open_parquet
from transforms.reports.documents import excerpt, rows_of

_COLUMNS = ["doc_id", "passage_no", "topic_id", "assigned_topic_id", "x", "y"]


@dataclass(frozen=True)
class MapPoints:
    """Points in the order in which they are drawn: noise first, so that it never covers a topic, then by hash.

    `x`, `y` float32 (n,); `topic_ids`, `assigned_ids` int32 (n,), −1 is noise; `texts` holds empty strings when the
    generation keeps no text. `total` counts all passages with a position, `unplaced` those without one.
    """

    doc_ids: tuple[str, ...] = ()
    passage_nos: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    x: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    y: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    topic_ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    assigned_ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    total: int = 0
    unplaced: int = 0

    def __len__(self) -> int:
        return len(self.doc_ids)

    @property
    def sampled(self) -> bool:
        """Whether the map shows fewer points than there are."""
        return len(self) < self.total


@dataclass
class _Sample:
    """The rows with the smallest hashes seen so far: a sample that depends on the ids alone, in bounded memory."""

    limit: int
    rows: list[tuple[int, str, int, int, int, float, float]] = field(default_factory=list)
    bound: int = 1 << 64

    def offer(self, row: tuple[int, str, int, int, int, float, float]) -> None:
        if row[0] < self.bound:
            self.rows.append(row)
            if len(self.rows) >= 2 * self.limit + 1024:
                self.cut()

    def cut(self) -> None:
        self.rows.sort()
        if len(self.rows) > self.limit:
            del self.rows[self.limit :]
            self.bound = self.rows[-1][0] if self.rows else 0


def read_points(folder: str, limit: int, characters: int) -> MapPoints:
    """Read at most `limit` points of the generation in `folder`: those whose sha256(doc_id, passage) is smallest."""
    path = join(folder, "topics/assignments.parquet")
    fs, inner = filesystem_of(path)
    if not fs.exists(inner):
        return MapPoints()
    sample, total, unplaced = _Sample(limit), 0, 0
    with open_parquet(path) as parquet:
        for batch in parquet.iter_batches(columns=_COLUMNS):
            ids, passages, topics, assigned = (batch.column(name).to_pylist() for name in _COLUMNS[:4])
            xs, ys = (batch.column(name).to_numpy(zero_copy_only=False).astype(np.float32) for name in ("x", "y"))
            placed = np.isfinite(xs) & np.isfinite(ys)
            total += int(placed.sum())
            unplaced += int((~placed).sum())
            for i in np.flatnonzero(placed).tolist():
                digest = hashlib.sha256(f"{passages[i] or 0}\0{ids[i]}".encode()).digest()
                noise = -1 if topics[i] is None else topics[i]
                near = noise if assigned[i] is None else assigned[i]
                sample.offer((int.from_bytes(digest[:8], "big"), ids[i], passages[i] or 0, noise, near, xs[i], ys[i]))
    sample.cut()
    rows = sorted(sample.rows, key=lambda row: (row[3] >= 0, row[0], row[1]))
    texts = _texts(folder, {row[1] for row in rows}, characters)
    return MapPoints(
        doc_ids=tuple(row[1] for row in rows),
        passage_nos=tuple(row[2] for row in rows),
        texts=tuple(texts.get((row[1], row[2]), "") for row in rows),
        x=np.array([row[5] for row in rows], np.float32),
        y=np.array([row[6] for row in rows], np.float32),
        topic_ids=np.array([row[3] for row in rows], np.int32),
        assigned_ids=np.array([row[4] for row in rows], np.int32),
        total=total,
        unplaced=unplaced,
    )


def _texts(folder: str, doc_ids: set[str], characters: int) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    if characters == 0:
        return found
    for table in rows_of(folder, doc_ids, ["doc_id", "passage_no", "text"], characters):
        if "text" not in table.schema.names:
            break
        columns = (table[name].to_pylist() for name in ("doc_id", "passage_no", "text"))
        for doc_id, passage, text in zip(*columns, strict=True):
            found[doc_id, passage] = excerpt(text or "", characters)
    return found
