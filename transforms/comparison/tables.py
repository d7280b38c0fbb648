"""Tables that a generation may lack: one of an empty corpus has no index and no neighbours."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from transforms.files import open_parquet
from transforms.generations import Generation

_ROWS = 65_536


def batches_of(generation: Generation, name: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Batches of a published table, checked before; none when the generation was published without it.

    Raises CorruptFileError when the file is missing though it was published, or is not what was published.
    """
    published = f"generations/{generation.id}/{name}"
    for file in generation.manifest.files:
        if file.path == published:
            with open_parquet(generation.checked(file)) as parquet:
                yield from parquet.iter_batches(_ROWS, columns=list(columns))
