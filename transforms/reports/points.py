"""The points of the topic map: position, topic and a line of text for each passage, sampled above a limit."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, filesystem_of, join, open_parquet
from transforms.reports.colouring import Colouring, colour_by, colour_by_change
from transforms.reports.documents import PassageId, excerpt, metadata_columns, rows_of

_COLUMNS = ["doc_id", "passage_no", "topic_id", "assigned_topic_id", "x", "y", "theme_id"]
# Metadata columns that the map is coloured by unless some are named.
_MOST_COLUMNS = 8


@dataclass(frozen=True)
class MapPoints:
    """Points in the order in which they are drawn: noise first, so that it never covers a topic, then by hash.

    `x`, `y` float32 (n,); `topic_ids`, `assigned_ids` int32 (n,), −1 is noise; `theme_ids` int32 (n,), −1 where there are no
    themes; `texts` holds empty strings when the generation keeps no text. `total` counts all passages with a position,
    `unplaced` those without one. `colourings` are what else the points can be coloured by, `without_colour` metadata columns
    that say nothing in colours, or that are not there, `more_columns` those that nobody asked for by name.
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
    theme_ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    colourings: tuple[Colouring, ...] = ()
    without_colour: tuple[str, ...] = ()
    more_columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.doc_ids)

    @property
    def sampled(self) -> bool:
        """Whether the map shows fewer points than there are."""
        return len(self) < self.total


# Hash, document, passage, topic, assigned topic, x, y, theme.
_Row = tuple[int, str, int, int, int, float, float, int]


@dataclass
class _Sample:
    """The rows with the smallest hashes seen so far: a sample that depends on the ids alone, in bounded memory."""

    limit: int
    rows: list[_Row] = field(default_factory=list)
    bound: int = 1 << 64

    def offer(self, row: _Row) -> None:
        if row[0] < self.bound:
            self.rows.append(row)
            if len(self.rows) >= 2 * self.limit + 1024:
                self.cut()

    def cut(self) -> None:
        self.rows.sort()
        if len(self.rows) > self.limit:
            del self.rows[self.limit :]
            self.bound = self.rows[-1][0] if self.rows else 0


def read_points(
    folder: str, limit: int, characters: int, columns: Sequence[str] | None = None, parent: Sequence[FileRef] = ()
) -> MapPoints:
    """Read at most `limit` points of the generation in `folder`: those whose sha256(doc_id, passage) is smallest.

    They are coloured by the metadata `columns`, None for the first eight that there are, and by what has changed since the
    generation whose documents parts are `parent`.
    """
    path = join(folder, "topics/assignments.parquet")
    fs, inner = filesystem_of(path)
    if not fs.exists(inner):
        return MapPoints()
    sample, total, unplaced = _Sample(limit), 0, 0
    with open_parquet(path) as parquet:
        # An earlier version published no themes.
        names = [name for name in _COLUMNS if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(columns=names):
            ids, passages, topics, assigned = (batch.column(name).to_pylist() for name in _COLUMNS[:4])
            xs, ys = (batch.column(name).to_numpy(zero_copy_only=False).astype(np.float32) for name in ("x", "y"))
            themes = batch.column("theme_id").fill_null(-1).to_pylist() if "theme_id" in names else [-1] * batch.num_rows
            placed = np.isfinite(xs) & np.isfinite(ys)
            total += int(placed.sum())
            unplaced += int((~placed).sum())
            for i in np.flatnonzero(placed).tolist():
                digest = hashlib.sha256(f"{passages[i] or 0}\0{ids[i]}".encode()).digest()
                noise = -1 if topics[i] is None else topics[i]
                near = noise if assigned[i] is None else assigned[i]
                order = int.from_bytes(digest[:8], "big")
                sample.offer((order, ids[i], passages[i] or 0, noise, near, xs[i], ys[i], themes[i]))
    sample.cut()
    rows = sorted(sample.rows, key=lambda row: (row[3] >= 0, row[0], row[1]))
    shown = [(row[1], row[2]) for row in rows]
    there = metadata_columns(folder)
    wanted = there[:_MOST_COLUMNS] if columns is None else [name for name in columns if name in there]
    texts, keys, values = _details(folder, shown, wanted, characters)
    coloured = {name: colour_by(name, values[name]) for name in wanted}
    change = colour_by_change(shown, keys, parent)
    return MapPoints(
        doc_ids=tuple(row[1] for row in rows),
        passage_nos=tuple(row[2] for row in rows),
        texts=tuple(texts),
        x=np.array([row[5] for row in rows], np.float32),
        y=np.array([row[6] for row in rows], np.float32),
        topic_ids=np.array([row[3] for row in rows], np.int32),
        assigned_ids=np.array([row[4] for row in rows], np.int32),
        total=total,
        unplaced=unplaced,
        theme_ids=np.array([row[7] for row in rows], np.int32),
        colourings=tuple(found for found in (change, *coloured.values()) if found is not None),
        without_colour=(
            *(name for name, found in coloured.items() if found is None and rows),
            *(name for name in columns or () if name not in there),
        ),
        more_columns=tuple(there[_MOST_COLUMNS:]) if columns is None else (),
    )


def _details(
    folder: str, shown: Sequence[PassageId], columns: Sequence[str], characters: int
) -> tuple[list[str], list[bytes | None], dict[str, pa.Array]]:
    """Excerpt, content key and the values of some columns for each passage, in order."""
    place = {passage: i for i, passage in enumerate(shown)}
    texts = [""] * len(shown)
    keys: list[bytes | None] = [None] * len(shown)
    taken: dict[str, list[pa.ChunkedArray]] = {name: [] for name in columns}
    found = [np.empty(0, np.int64)]
    names = ["doc_id", "passage_no", "content_key", *columns, *(["text"] if characters else [])]
    for table in rows_of(folder, {doc_id for doc_id, _ in shown}, names, characters):
        at = np.array([place.get(p, -1) for p in zip(*(table[n].to_pylist() for n in names[:2]), strict=True)], np.int64)
        table, at = table.filter(pa.array(at >= 0)), at[at >= 0]
        found.append(at)
        for i, key in zip(at.tolist(), table["content_key"].to_pylist(), strict=True):
            keys[i] = key
        for name in columns:
            taken[name].append(table[name])
        if "text" in table.schema.names:
            for i, text in zip(at.tolist(), table["text"].to_pylist(), strict=True):
                texts[i] = excerpt(text or "", characters)
    order = np.full(len(shown), -1)
    order[np.concatenate(found)] = np.arange(sum(map(len, found)))
    rows = pa.array(order, mask=order < 0)
    chunks = {name: [chunk for column in parts for chunk in column.chunks] for name, parts in taken.items()}
    values = {name: pa.concat_arrays(own).take(rows) if own else pa.nulls(len(shown)) for name, own in chunks.items()}
    return texts, keys, values
