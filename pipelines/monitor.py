"""What a stage costs while it runs: seconds, peak memory of the process tree, and a progress bar on terminals."""

import contextlib
import sys
import threading
import time
from types import TracebackType

import psutil
from tqdm import tqdm

from pipelines.memory import high_water_mark_mb, reset_high_water_mark
from transforms.files import read_progress

_SECONDS_BETWEEN_SAMPLES = 0.2
SECONDS_BETWEEN_LINES = 30.0
# Tasks report every other second, and each question lists a folder that may be an object store's.
_SECONDS_BETWEEN_QUESTIONS = 1.0
_MEGABYTE = 1 << 20


class StageMonitor:
    """Context manager around one stage. After it, `seconds`, `peak_rss_mb` and `driver_peak_rss_mb` hold what was measured.

    The driver is this process alone. The other figure is the resident size of this process and its children together, sampled
    five times a second; a shorter spike of this process itself is still seen, through the kernel's own high-water mark. Work
    on other machines is not seen.

    Where there is no terminal, `lines` tells of the progress of a stage with a `total` in a line every half minute.
    """

    def __init__(
        self, name: str, total: int | None = None, unit: str = "", progress: str | None = None, *, lines: bool = False
    ) -> None:
        self.name, self.seconds, self.peak_rss_mb, self.driver_peak_rss_mb = name, 0.0, 0.0, 0.0
        self._total, self._unit, self._progress = total, unit, progress
        # With a bar nobody needs lines too.
        self._lines = lines and progress is not None and total is not None and not sys.stderr.isatty()
        self._seen = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"monitor-{name}", daemon=True)

    def __enter__(self) -> "StageMonitor":
        self._started = time.monotonic()
        reset_high_water_mark()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self.seconds = time.monotonic() - self._started
        self.driver_peak_rss_mb = high_water_mark_mb()
        self.peak_rss_mb = max(self.peak_rss_mb, self.driver_peak_rss_mb)

    def _watch(self) -> None:
        process, told, asked = psutil.Process(), self._started, self._started
        with tqdm(
            total=self._total,
            desc=f"{self.name:<10}",
            unit=f" {self._unit}" if self._unit else "",
            disable=not sys.stderr.isatty(),
            leave=False,
            bar_format=None if self._total else "{desc} {elapsed}",
            delay=1.0,
        ) as bar:
            while not self._stop.wait(_SECONDS_BETWEEN_SAMPLES):
                self.peak_rss_mb = max(self.peak_rss_mb, _tree_rss_mb(process))
                if not bar.disable and time.monotonic() - asked >= _SECONDS_BETWEEN_QUESTIONS:
                    asked, bar.n = time.monotonic(), self._done()
                bar.refresh()
                if self._lines and time.monotonic() - told >= SECONDS_BETWEEN_LINES:
                    told = time.monotonic()
                    self._tell(told - self._started)

    def _done(self) -> int:
        """Units that the tasks say are done."""
        if self._progress is not None:
            # A file system that does not answer for a moment is not what the stage would fail of.
            with contextlib.suppress(OSError):
                self._seen = read_progress(self._progress)
        # Work that an engine begins again is reported again.
        return self._seen if self._total is None else min(self._seen, self._total)

    def _tell(self, seconds: float) -> None:
        assert self._total is not None
        done = self._done()
        sys.stderr.write(f"corpusbeam: {self.name}: {done:,} of {self._total:,} {self._unit} after {seconds:.0f} s\n")


def _tree_rss_mb(process: psutil.Process) -> float:
    total = process.memory_info().rss
    for child in process.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:
            continue
    return total / _MEGABYTE
