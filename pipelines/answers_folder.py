"""The folder that `search --queries` writes its tables into, which may be a folder of the user's with other files in it."""

import contextlib
import uuid
from collections.abc import Iterator, Sequence

from pipelines.output_folder import check_output_folder, has_schema
from transforms.corpus import QUARANTINE_SCHEMA
from transforms.files import filesystem_of, join, list_files, move_file, remove
from transforms.search import HITS_SCHEMA

QUARANTINE = "quarantine.parquet"


def check_answers_folder(output: str, queries: Sequence[str]) -> None:
    """Raise ConfigurationError for a folder that has the queries in it, or a file of our names that is not ours.

    `queries` are paths and patterns, as the user gave them.
    """
    foreign = "is no table of answers and would be mixed up with them"
    check_output_folder(output, queries, "queries", _tables(output), foreign)


def publish_answers(finished: str, output: str) -> None:
    """Put the finished tables of a folder in `output` into the place of those of an earlier call, and of nothing else.

    Until now these stay, whatever fails. Where the moving itself fails no table stays: some answers would be taken for all.
    """
    try:
        _remove_answers(output)
        for path in list_files(finished, ".parquet"):
            fs, inner = filesystem_of(path)
            move_file(fs, inner, filesystem_of(join(output, path.rsplit("/", 1)[-1]))[1])
    except BaseException:
        with contextlib.suppress(OSError):
            _remove_answers(output)
        raise


def _remove_answers(output: str) -> None:
    for path, ours in list(_tables(output)):
        if ours:
            remove(path)


@contextlib.contextmanager
def work_folder(output: str) -> Iterator[str]:
    """A path in `output` for files of the job, where all of its workers can write; removed afterwards."""
    # No folder of the user's can have this name.
    work = join(output, f".corpusbeam-work-{uuid.uuid4().hex}")
    try:
        yield work
    finally:
        with contextlib.suppress(OSError):
            remove(work)


def _tables(output: str) -> Iterator[tuple[str, bool]]:
    """Each file there that has a name of ours or could be taken for one, and whether this command wrote it."""
    for path in list_files(output, ".parquet"):
        name = path.rsplit("/", 1)[-1]
        if name == QUARANTINE:
            yield path, has_schema(path, QUARANTINE_SCHEMA)
        elif name.startswith("part-"):
            yield path, has_schema(path, HITS_SCHEMA)
