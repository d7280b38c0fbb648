"""Which rows can be used: exact text and id, or a reason code.

Reasons given here: null_id, empty_id, null_text, empty_text, blank_text, undecodable, lone_surrogate. Readers add:
invalid_json, not_an_object, missing_id, bad_id, missing_text, not_a_string, too_large, unparsable, unreadable_file. The
documents step adds: duplicate_id.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from transforms.corpus.keys import content_keys, doc_hashes
from transforms.corpus.rows import Row, RowBatch
from transforms.files import describe

EXCERPT_CHARACTERS = 200

QUARANTINE_SCHEMA = describe(
    pa.schema(
        [
            ("source", pa.string()),
            ("row", pa.int64()),
            ("doc_id", pa.string()),
            ("reason", pa.string()),
            ("detail", pa.string()),
            ("excerpt", pa.string()),
        ]
    ),
    {
        "source": "file that the row is in",
        "row": "row index in a Parquet file (from 0) or line number (from 1); null stands for the whole file",
        "doc_id": f"document id (at most {EXCERPT_CHARACTERS} characters of it), null when unknown",
        "reason": "reason code",
        "detail": "what exactly was wrong, null when the reason says it",
        "excerpt": f"first {EXCERPT_CHARACTERS} characters of the row or text, null when there is none",
    },
)

_REASONS = (
    None,
    "null_id",
    "empty_id",
    "null_text",
    "empty_text",
    "blank_text",
    "undecodable",
    "lone_surrogate",
)

# A text with no character other than white space, control and format characters (zero-width space, byte order mark, …)
# leaves the tokenizer nothing: all such texts would get one vector and be each other's paraphrases.
_VISIBLE = r"[^\s\p{Z}\p{Cc}\p{Cf}]"


def validate(batch: RowBatch) -> tuple[pa.Table, pa.Table]:
    """Split a batch into usable rows and quarantined rows.

    Returns a table with doc_hash, doc_id, content_key, text, source, row and the stored metadata columns, in input order,
    and a table of QUARANTINE_SCHEMA. Texts and ids are kept exactly.
    """
    doc_id, id_problem = _as_text(batch.doc_id)
    text, text_problem = _as_text(batch.text)
    reason = np.zeros(len(text), np.int8)  # positions in _REASONS; the first that applies stays
    for found in (
        _where("null_id", pc.is_null(batch.doc_id)),
        id_problem,
        _where("empty_id", pc.invert(is_visible(doc_id))),
        _where("null_text", pc.is_null(batch.text)),
        text_problem,
        _where("empty_text", pc.equal(text, "")),
        _where("blank_text", pc.invert(is_visible(text))),
    ):
        reason = np.where(reason == 0, found, reason)
    good, bad = pa.array(reason == 0), pa.array(reason != 0)
    doc_id_good, text_good = doc_id.filter(good), text.filter(good)
    valid = pa.table(
        {
            "doc_hash": doc_hashes(doc_id_good.to_pylist()),
            "doc_id": doc_id_good,
            "content_key": content_keys(text_good.to_pylist()),
            "text": text_good,
            "source": batch.source.filter(good),
            "row": batch.row.filter(good),
            **{name: column.filter(good) for name, column in batch.metadata.items()},
        }
    )
    rejected = [
        Row(source, row, doc_id, excerpt, (), _REASONS[code])
        for source, row, doc_id, excerpt, code in zip(
            batch.source.filter(bad).to_pylist(),
            batch.row.filter(bad).to_pylist(),
            doc_id.filter(bad).to_pylist(),
            batch.text.cast(pa.binary()).filter(bad).to_pylist(),
            reason[reason != 0],
            strict=True,
        )
    ]
    return valid, quarantine_table([*batch.refused, *rejected])


def is_visible(texts: pa.Array) -> pa.Array:
    """Which strings have a character that can be seen, bool; null where the string is."""
    return pc.match_substring_regex(texts, _VISIBLE)


def _where(reason: str, found: pa.Array) -> np.ndarray:
    """The reason's position in _REASONS where `found` is true, 0 where it is false or null: int8 (rows,)."""
    mask = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    return np.where(mask, _REASONS.index(reason), 0).astype(np.int8)


def quarantine_table(rows: Iterable[Row]) -> pa.Table:
    """Refused rows as a table of QUARANTINE_SCHEMA; what is not UTF-8 appears with escapes."""
    columns = [
        (row.source, row.row, printable(row.doc_id), row.reason, printable(row.detail), printable(row.text)) for row in rows
    ]
    names = QUARANTINE_SCHEMA.names
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in columns], schema=QUARANTINE_SCHEMA)


def without_excerpts(quarantine: pa.Table) -> pa.Table:
    """The same rows without what they said, for a corpus whose texts are not to be published."""
    column = QUARANTINE_SCHEMA.get_field_index("excerpt")
    return quarantine.set_column(column, QUARANTINE_SCHEMA.field(column), pa.nulls(quarantine.num_rows, pa.string()))


def printable(value: str | bytes | None) -> str | None:
    """The first characters of a value as a string that can be encoded."""
    if value is None:
        return None
    # No character takes more than four bytes, so this many bytes hold the excerpt.
    text = value if isinstance(value, str) else value[: 4 * EXCERPT_CHARACTERS].decode("utf-8", "backslashreplace")
    return text[:EXCERPT_CHARACTERS].encode("utf-8", "backslashreplace").decode("utf-8")


def _as_text(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """A column as strings, and per row the position in _REASONS of why it has none (0: it has, or is null)."""
    problems = np.zeros(len(array), np.int8)
    if pt.is_integer(array.type) or pt.is_null(array.type):
        return array.cast(pa.string()), problems
    raw = array.cast(pa.binary())
    try:
        return raw.cast(pa.string()), problems
    except pa.ArrowInvalid:
        pass  # some value is not UTF-8: find out which
    texts: list[str | None] = []
    for i, value in enumerate(raw.to_pylist()):
        text, problem = (None, None) if value is None else _decode(value)
        problems[i] = _REASONS.index(problem)
        texts.append(text)
    return pa.array(texts, pa.string()), problems


def _decode(value: bytes) -> tuple[str | None, str | None]:
    try:
        return value.decode("utf-8"), None
    except UnicodeDecodeError:
        pass
    try:
        value.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None, "undecodable"
    return None, "lone_surrogate"
