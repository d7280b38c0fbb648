"""A published Parquet file of which a reader wants a few rows at a time, again and again."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.files import CorruptFileError, filesystem_of

# Decoded row groups that stay in memory, of each file: with 4,096 rows of ids some 200 KB, of texts a few MB.
_KEPT_BYTES = 64 << 20


class RowGroups:
    """Row groups are read when they are first asked for, and the last used ones stay in memory. Safe to share between threads.

    The file stays open: on a local disk it is read to the end even when its generation is collected meanwhile.
    """

    def __init__(self, path: str, columns: Sequence[str], kept_bytes: int = _KEPT_BYTES) -> None:
        """Open the file. Of `columns` those that it lacks are left out; empty takes none."""
        self._path, self._kept_bytes = path, kept_bytes
        fs, inner = filesystem_of(path)
        with self._told():
            self._file = pq.ParquetFile(fs.open(inner, "rb"), page_checksum_verification=True)
        names = self._file.schema_arrow.names
        self.columns = [name for name in columns if name in names]
        metadata = self._file.metadata
        counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        # The first row of each group, and the number of all rows.
        self.starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, pa.Table] = OrderedDict()
        self._size = 0

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return int(self.starts[-1])

    @property
    def groups(self) -> int:
        """Row groups of the file."""
        return len(self.starts) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of the row groups that are in memory."""
        return self._size

    def bounds(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest value of a column of integers in each group: int64 (groups,) each."""
        if not self.rows:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        metadata = self._file.metadata
        at = [metadata.row_group(0).column(i).path_in_schema for i in range(metadata.num_columns)].index(column)
        statistics = [metadata.row_group(group).column(at).statistics for group in range(self.groups)]
        return np.array([one.min for one in statistics], np.int64), np.array([one.max for one in statistics], np.int64)

    def read(self, group: int) -> pa.Table:
        """The columns of one group. Raises CorruptFileError where a page is not what was written."""
        with self._lock:
            if group not in self._kept:
                with self._told():
                    table = self._file.read_row_group(group, columns=self.columns).combine_chunks()
                self._kept[group] = table
                self._size += table.nbytes
                while self._size > self._kept_bytes and len(self._kept) > 1:
                    self._size -= self._kept.popitem(last=False)[1].nbytes
            self._kept.move_to_end(group)
            return self._kept[group]

    def row(self, number: int) -> dict[str, object]:
        """One row by its number in the file."""
        group = int(np.searchsorted(self.starts, number, side="right")) - 1
        return self.read(group).slice(number - int(self.starts[group]), 1).to_pylist()[0]

    def _told(self) -> "_Told":
        return _Told(self._path)


class _Told:
    """Turns what pyarrow says of a damaged file into an error with its path."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        if isinstance(value, pa.ArrowInvalid | OSError) and not isinstance(value, FileNotFoundError | PermissionError):
            raise CorruptFileError(f"{self._path} cannot be read as Parquet ({value}); run `corpusbeam verify`") from value
