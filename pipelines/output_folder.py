"""Folders that a command writes tables into, which may be a user's with other files in them."""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from pipelines.config import ConfigurationError
from transforms.files import CorruptFileError, is_within, open_parquet, redact


def check_output_folder(output: str, inputs: Sequence[str], what: str, files: Iterable[tuple[str, bool]], foreign: str) -> None:
    """Raise ConfigurationError for a folder that has an input in it, or a file that is not ours where ours would be.

    `inputs` are paths and patterns of `what`, as the user gave them; `files` are those there that have names of ours, each with
    whether this command wrote it; `foreign` says what is wrong with one that it did not write.
    """
    if inside := [path for path in inputs if is_within(path, output)]:
        raise ConfigurationError(
            f"--output {redact(output)} has the {what} {redact(inside[0])} in it, and tables there are replaced: "
            "give a folder of its own"
        )
    for path, ours in files:
        if not ours:
            raise ConfigurationError(f"--output {redact(output)} has {redact(path)}, which {foreign}: give a folder of its own")


def has_schema(path: str, schema: pa.Schema) -> bool:
    """Whether a file is a Parquet file with exactly this schema."""
    try:
        with open_parquet(path) as file:
            return bool(file.schema_arrow.equals(schema))
    except CorruptFileError:
        return False
