"""How much of the pairs is shown or written, and how a pair looks in a terminal: for all that `corpusbeam duplicates` does."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from transforms.files import join, remove, write_table
from transforms.reports import clean, fit, passage_label

_SHOWN = 20

# All tables that a use of the verb may write.
_TABLES = ("pairs", "groups", "matches", "quarantine")


@dataclass(frozen=True)
class Excerpt:
    """`max_pairs` of the ranked pairs are shown and written; None shows 20 and writes all.

    They are written to the folder `output` when it is given.
    """

    max_pairs: int | None = None
    output: str | None = None

    def of(self, pairs: pa.Table) -> pa.Table:
        """What is written of ranked pairs."""
        return pairs if self.max_pairs is None else pairs.slice(0, self.max_pairs)

    def shown(self, rows: pa.Table) -> pa.Table:
        """What is shown of ranked rows."""
        return rows.slice(0, _SHOWN if self.max_pairs is None else self.max_pairs)

    def write(self, pairs: pa.Table, **others: pa.Table) -> None:
        """Write `pairs.parquet`, of which `max_pairs`, and other tables to the folder; nothing when there is none.

        Tables that an earlier use of the verb left there and this one does not have are removed: they would be taken for its.
        """
        if self.output is None:
            return
        tables = {"pairs": self.of(pairs), **others}
        for name in _TABLES:
            if name not in tables:
                remove(join(self.output, f"{name}.parquet"))
        for name, table in tables.items():
            write_table(join(self.output, f"{name}.parquet"), table)

    def facts(self, pairs: pa.Table) -> dict[str, Any]:
        """What a reader must know of this excerpt."""
        written = None if self.output is None else self.of(pairs).num_rows
        return {"max_pairs": self.max_pairs, "output": self.output, "pairs_written": written}


def pair_facts(pairs: pa.Table) -> dict[str, Any]:
    """How many pairs there are in all, and of each relation."""
    counts = {row["values"]: row["counts"] for row in pc.value_counts(pairs["relation"]).to_pylist()}
    return {"pairs": pairs.num_rows, "relations": {name: counts[name] for name in sorted(counts, key=str)}}


def pairs_heading(found: dict[str, Any]) -> str:
    """A line above the list that says how much of everything it is."""
    relations = ", ".join(f"{count:,} {name or 'of unknown relation'}" for name, count in found["relations"].items())
    total, shown = found["pairs"], len(found["shown"])
    if not total:
        return "no pairs"
    if shown == total:
        return f"{total:,} pairs ({relations})"
    if found["max_pairs"] is not None:
        return f"{total:,} pairs ({relations}), of which the best {shown:,} (--max-pairs)"
    return f"{total:,} pairs ({relations}), of which the best {shown:,}: --max-pairs N shows N, --output DIR writes all"


def output_lines(found: dict[str, Any]) -> list[str]:
    """A line that says where the tables are, and how much of the pairs; none when they were not written."""
    if found["output"] is None:
        return []
    only = f"; pairs.parquet has the best {found['pairs_written']:,}" if found["pairs_written"] < found["pairs"] else ""
    return [f"tables written to {found['output']}{only}"]


def pair_lines(pairs: list[dict[str, Any]], width: int) -> list[str]:
    """Pairs with `text_a` and `text_b`, each on three lines no wider than `width`."""
    lines = []
    for pair in pairs:
        differ = ", ".join(pair["differences"] or [])
        lines.append(f"  {pair['cosine']:.3f}  {pair['relation'] or ''}{f', other {differ}' if differ else ''}")
        for side in "ab":
            label = clean(passage_label(pair[f"doc_id_{side}"], pair[f"passage_no_{side}"]))
            text = pair[f"text_{side}"]
            lines.append(" " * 9 + fit(label if text is None else f"{label}: {text}", width - 9))
    return lines
