"""Files are the interchange between stages: written whole or not at all, read with their checksums.

In: Arrow tables, bytes, JSON. Out: a `FileRef` (path, size, rows, sha256) that is small enough to be a Beam element.
Promises: a file appears under its final name only when it is complete; equal content gives equal bytes; a Parquet page that was
changed on disk is refused when it is read. Paths are local paths or any fsspec URL; credentials come from the
environment, never from here.
"""

from transforms.files.atomic import read_json, write_atomically, write_bytes, write_json
from transforms.files.barriers import STOP_AT, reached
from transforms.files.conditional import (
    ConflictError,
    UnconditionalError,
    Versioned,
    delete_if,
    has_conditional_writes,
    read_versioned,
    write_if,
)
from transforms.files.hashed import write_hashed
from transforms.files.parquet import (
    ROW_GROUP_ROWS,
    CorruptFileError,
    describe,
    open_parquet,
    read_table,
    write_batches,
    write_named_by_digest,
    write_table,
)
from transforms.files.paths import (
    filesystem_of,
    fsync_directory,
    holds_credentials,
    is_local,
    is_same,
    is_within,
    join,
    list_files,
    move_file,
    redact,
    remove,
)
from transforms.files.progress import Progress, read_progress
from transforms.files.refs import (
    CheckRecord,
    CheckTask,
    FileRef,
    check_files,
    check_tasks,
    digest_of,
    file_ref,
    is_whole,
    keep_only,
    sha256_of,
)

__all__ = [
    "ROW_GROUP_ROWS",
    "STOP_AT",
    "CheckRecord",
    "CheckTask",
    "ConflictError",
    "CorruptFileError",
    "FileRef",
    "Progress",
    "UnconditionalError",
    "Versioned",
    "check_files",
    "check_tasks",
    "delete_if",
    "describe",
    "digest_of",
    "file_ref",
    "filesystem_of",
    "fsync_directory",
    "has_conditional_writes",
    "holds_credentials",
    "is_local",
    "is_same",
    "is_whole",
    "is_within",
    "join",
    "keep_only",
    "list_files",
    "move_file",
    "open_parquet",
    "reached",
    "read_json",
    "read_progress",
    "read_table",
    "read_versioned",
    "redact",
    "remove",
    "sha256_of",
    "write_atomically",
    "write_batches",
    "write_bytes",
    "write_hashed",
    "write_if",
    "write_json",
    "write_named_by_digest",
    "write_table",
]
