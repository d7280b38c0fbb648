"""Query texts of a file, read as the corpus is."""

import pyarrow as pa

from transforms.corpus.errors import InputError
from transforms.corpus.options import CorpusOptions
from transforms.corpus.read import read_batches
from transforms.corpus.sources import plan_units
from transforms.corpus.validate import validate
from transforms.files import redact


def read_queries(path: str, options: CorpusOptions) -> list[str]:
    """The texts of a Parquet, JSON Lines or text file (a line each), or of several by a folder or pattern, in file order.

    Of the corpus's `options` only the name of the text column counts. Raises InputError for a file that is missing, cannot be
    read or has no text, and for a row that would go to quarantine: a query that is left out would not be missed by anybody.
    """
    # No ids are needed: the text is as good as any.
    update = {"input": [path], "format": "auto", "text_unit": "line", "id_column": options.text_column, "metadata_columns": []}
    options = options.model_copy(update=update | {"sample": None, "unreadable_files": "fail"})
    texts: list[str] = []
    try:
        for unit in plan_units(options):
            for batch in read_batches(unit, options):
                valid, rejected = validate(batch)
                if rejected.num_rows:
                    raise InputError(_rejected(rejected.slice(0, 1)))
                texts += valid["text"].to_pylist()
    except InputError as error:
        raise InputError(f"query file {redact(path)!r}: {str(error).replace('id_column', 'text_column')}") from error
    if not texts:
        raise InputError(f"query file {redact(path)!r} has no query: write one text on each line, or leave the setting out")
    return texts


def _rejected(table: pa.Table) -> str:
    row = {name: column[0] for name, column in table.to_pydict().items()}
    # The text stands in for the id.
    reason = row["reason"].replace("_id", "_text")
    return (
        f"row {row['row']} has no usable text ({reason}{': ' + row['detail'] if row['detail'] else ''}): correct or remove it"
    )
