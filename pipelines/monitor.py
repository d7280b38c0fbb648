"""What a stage costs while it runs: seconds, peak memory of the process tree, and a progress bar on terminals."""

import sys
import threading
import time
from types import TracebackType

import psutil
from tqdm import tqdm

from pipelines.memory import high_water_mark_mb, reset_high_water_mark
from transforms.files import read_progress

_SECONDS_BETWEEN_SAMPLES = 0.2
_MEGABYTE = 1 << 20


class StageMonitor:
    """Context manager around one stage. After it, `seconds`, `peak_rss_mb` and `driver_peak_rss_mb` hold what was measured.

    The driver is this process alone. The other figure is the resident size of this process and its children together, sampled
    five times a second; a shorter spike of this process itself is still seen, through the kernel's own high-water mark. Work
    on other machines is not seen.
    """

    def __init__(self, name: str, total: int | None = None, unit: str = "", progress: str | None = None) -> None:
        self.name, self.seconds, self.peak_rss_mb, self.driver_peak_rss_mb = name, 0.0, 0.0, 0.0
        self._total, self._unit, self._progress = total, unit, progress
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
        process = psutil.Process()
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
                if self._progress is not None and not bar.disable:
                    bar.n = read_progress(self._progress)
                bar.refresh()


def _tree_rss_mb(process: psutil.Process) -> float:
    total = process.memory_info().rss
    for child in process.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:
            continue
    return total / _MEGABYTE
