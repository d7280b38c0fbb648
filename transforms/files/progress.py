"""Progress of a running stage, as small files: visible from the driver whatever runner does the work."""

import time
import uuid

from transforms.files.atomic import write_bytes
from transforms.files.paths import filesystem_of, join, list_files

# Often enough for a progress bar, rare enough to cost nothing on an object store.
_SECONDS_BETWEEN_WRITES = 2.0


class Progress:
    """Counts units of work of one task in its own file under `directory`; None makes every call free."""

    def __init__(self, directory: str | None) -> None:
        self._path = None if directory is None else join(directory, f"{uuid.uuid4().hex}.progress")
        self._done = 0
        self._written_at = 0.0

    def add(self, units: int) -> None:
        """Count `units` more as done."""
        self._done += units
        if self._path is not None and time.monotonic() - self._written_at >= _SECONDS_BETWEEN_WRITES:
            self.flush()

    def flush(self) -> None:
        """Write the count now."""
        if self._path is not None:
            write_bytes(self._path, str(self._done).encode(), durable=False)
            self._written_at = time.monotonic()


def read_progress(directory: str) -> int:
    """Units done by all tasks that report under `directory`."""
    total = 0
    for path in list_files(directory, ".progress"):
        fs, inner = filesystem_of(path)
        total += int(fs.cat_file(inner) or 0)
    return total
