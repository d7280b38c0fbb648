"""What a topic or theme keeps from the parent generation: its uid, since when it is known, and its title."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, open_parquet


@dataclass(frozen=True)
class Known:
    """The topics, or the themes of a layer, of one generation by number: what outlives it, with the terms that decide it.

    `first_seen`: the generation in which the uid was seen first, None for the one that the topics are of; `generations`: in how
    many in a row it was, this one included.
    """

    uids: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    terms: tuple[tuple[str, ...], ...] = ()
    first_seen: tuple[str | None, ...] = ()
    generations: tuple[int, ...] = ()


def read_known(table: FileRef, number: str, uid: str, layer: int | None = None) -> Known:
    """The rows of a published table, of one layer of themes, in order of the column `number`.

    A table of an earlier version says nothing of the past: its topics count as new there.
    """
    wanted = [number, uid, "title", "found_title", "terms", "first_seen", "generations", *([] if layer is None else ["layer"])]
    with open_parquet(table.path) as parquet:
        rows = parquet.read(columns=[name for name in wanted if name in parquet.schema_arrow.names]).to_pylist()
    rows = sorted((row for row in rows if layer is None or row["layer"] == layer), key=lambda row: int(row[number]))
    return Known(
        tuple(row[uid] for row in rows),
        # A label of the user's is no title to carry on.
        tuple(row.get("found_title") or row["title"] or "" for row in rows),
        tuple(tuple(row["terms"] or ()) for row in rows),
        tuple(row.get("first_seen") for row in rows),
        tuple(row.get("generations") or 1 for row in rows),
    )


def carry_on(now: Known, before: Known, matched: np.ndarray, generation: str, taken: Iterable[str]) -> Known:
    """The topics of `now`, whose uids are digests of their members, with what they carry on from those of `before`.

    `matched` int (now,): a topic of the parent, -1 for none. `generation` is the parent's. `taken` are uids that no new topic
    may get: all of the parent's, and those given already.
    """
    taken = {*taken, *before.uids}
    uids: list[str] = []
    titles: list[str] = []
    first_seen: list[str | None] = []
    generations: list[int] = []
    for number, old in enumerate(matched.tolist()):
        if old < 0:
            uids.append(unused_uid(now.uids[number], taken))
            taken.add(uids[-1])
            titles.append(now.titles[number])
            first_seen.append(None)
            generations.append(1)
        else:
            uids.append(before.uids[old])
            same = keeps_title(before.titles[old], before.terms[old], now.terms[number])
            titles.append(before.titles[old] if same else now.titles[number])
            first_seen.append(before.first_seen[old] or generation)
            generations.append(before.generations[old] + 1)
    return Known(tuple(uids), tuple(titles), now.terms, tuple(first_seen), tuple(generations))


def unused_uid(uid: str, taken: set[str]) -> str:
    """A digest of members, or where another topic is called so already, because it had these members once, a digest of it."""
    while uid in taken:
        uid = hashlib.sha256(f"corpusbeam another {uid}".encode()).hexdigest()[:16]
    return uid


def keeps_title(title: str, before: Sequence[str], now: Sequence[str]) -> bool:
    """Whether a topic keeps its title: half of the parent's terms are among those of now, one of which is in the title."""
    shared = set(before) & set(now)
    return 0 < len(before) <= 2 * len(shared) and not set(title.split(", ")).isdisjoint(now)


def with_known(table: pa.Table, uid: str, known: Known) -> pa.Table:
    """A table of topics or themes with what they carry on, in the same order."""
    columns = {
        uid: known.uids,
        "title": known.titles,
        "found_title": known.titles,
        "first_seen": known.first_seen,
        "generations": known.generations,
    }
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        field = table.schema.field(at)
        table = table.set_column(at, field, pa.array(values, field.type))
    return table
