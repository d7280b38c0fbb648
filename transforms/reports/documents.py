"""Looking up passages in the published documents table: only what is shown is ever read."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from transforms.files import join, list_files, open_parquet

# Columns of the documents contract; every other column is metadata of the corpus.
CONTRACT_COLUMNS = frozenset({"doc_id", "passage_no", "content_key", "text", "source", "row", "state"})


# A passage: document id and number of the passage in it.
PassageId = tuple[str, int]


@dataclass(frozen=True)
class Document:
    """A passage of a document as the report shows it: `text` is an excerpt, None when the generation keeps no text."""

    doc_id: str
    text: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    passage_no: int = 0

    @property
    def label(self) -> str:
        """What the passage is called."""
        return passage_label(self.doc_id, self.passage_no)


def passage_label(doc_id: str, passage_no: int) -> str:
    """The document's id, with the number of the passage unless it is the first, as a whole document is."""
    return f"{doc_id} · passage {passage_no}" if passage_no else doc_id


def excerpt(text: str, characters: int) -> str:
    """The text in one line, at most `characters` long; an ellipsis says that something was cut."""
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: max(characters - 1, 0)].rstrip() + "…"


def keeps_text(folder: str) -> bool:
    """Whether the generation in `folder` holds the documents' texts."""
    parts = list_files(join(folder, "documents"), ".parquet")
    if not parts:
        return False
    with open_parquet(parts[0]) as parquet:
        return "text" in parquet.schema_arrow.names


def metadata_columns(folder: str) -> list[str]:
    """Names of the metadata columns of the documents in `folder`, in their order."""
    parts = list_files(join(folder, "documents"), ".parquet")
    if not parts:
        return []
    with open_parquet(parts[0]) as parquet:
        return [name for name in parquet.schema_arrow.names if name not in CONTRACT_COLUMNS]


def rows_of(folder: str, doc_ids: Collection[str], columns: list[str] | None, characters: int) -> Iterator[pa.Table]:
    """The rows of the documents table whose `doc_id` is wanted, in table order, a table per row group that has any.

    `columns` None means every column but keys and places. A column that the table lacks is left out. Texts are cut on
    the Arrow side, to four times `characters` (an excerpt collapses white space), so that a long text costs nothing.
    """
    if not doc_ids:
        return
    for part in list_files(join(folder, "documents"), ".parquet"):
        with open_parquet(part) as parquet:
            schema = parquet.schema_arrow
            wanted = pa.array(sorted(doc_ids), schema.field("doc_id").type)
            dropped = {"content_key", "source", "row", "state"}
            names = [name for name in schema.names if (name in columns if columns else name not in dropped)]
            for group in range(parquet.num_row_groups):
                mask = pc.is_in(parquet.read_row_group(group, columns=["doc_id"])["doc_id"], value_set=wanted)
                if not pc.any(mask).as_py():
                    continue
                table = parquet.read_row_group(group, columns=names).filter(mask)
                if "text" in names:
                    cut = pc.utf8_slice_codeunits(table["text"], 0, 4 * characters + 4)
                    table = table.set_column(table.schema.get_field_index("text"), "text", cut)
                yield table


def find_documents(folder: str, passages: Collection[PassageId], characters: int) -> dict[PassageId, Document]:
    """The wanted passages with excerpts and metadata; those that are not there are left out."""
    found: dict[PassageId, Document] = {}
    for table in rows_of(folder, {doc_id for doc_id, _ in passages}, None, characters):
        for row in table.to_pylist():
            passage = row["doc_id"], row["passage_no"]
            if passage not in passages:
                continue
            text = row.get("text")
            extra = tuple(
                (name, excerpt(str(value), 80))
                for name, value in row.items()
                if name not in CONTRACT_COLUMNS and value is not None
            )
            found[passage] = Document(passage[0], None if text is None else excerpt(text, characters), extra, passage[1])
    return found
