"""What monitoring sees of a run: `last_run.json` under the root, and a textfile for Prometheus."""

import math
import signal
import sys
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pipelines import stopped
from pipelines.errors import EXIT_FAILED, EXIT_IN_USE, EXIT_REFUSED, exit_code, message
from pipelines.prometheus import prometheus_text
from pipelines.stage import Run
from pipelines.stopped import Stopped, received
from transforms.files import join, read_json, redact, write_bytes, write_json
from transforms.reports import safe_text

if TYPE_CHECKING:
    from pipelines.reindex import Outcome

LAST_RUN = "last_run.json"


class LastRun:
    """Context manager around a run that holds its root: however it ends, what it did is written for monitoring.

    The run says how it ended in `outcome`; an exception says it otherwise. Nothing is written for a run that finds its root
    taken by another one, whose files these are then. That a file cannot be written is a warning: the run ends as it would.
    """

    def __init__(self, run: Run, *, dry_run: bool = False) -> None:
        self._run, self._dry_run = run, dry_run
        self.outcome: Outcome | None = None

    def __enter__(self) -> "LastRun":
        self._started, self._clock = datetime.now(UTC), time.monotonic()
        stopped.published = None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Exception) and exit_code(error) == EXIT_IN_USE:
            return
        path, textfile = join(self._run.root, LAST_RUN), self._run.config.monitoring.prometheus_file
        try:
            found = self._found(error, _last_success(path))
            write_json(path, found)
            if textfile is not None:
                write_bytes(textfile, prometheus_text(found).encode())
        except Exception as problem:  # a store of objects has errors of its own
            sys.stderr.write(f"corpusbeam: warning: the run was not recorded for monitoring: {message(problem)}\n")

    def _found(self, error: BaseException | None, last_success: float | None) -> dict[str, Any]:
        finished = datetime.now(UTC)
        ended, code, said = self._ended(error)
        if ended in ("published", "no_change") and not self._dry_run:
            last_success = finished.timestamp()
        run, metrics = self._run, {} if self.outcome is None else self.outcome.metrics
        return {
            **run.facts,
            "stages": run.metrics,
            **metrics,
            "root": redact(run.root),
            "outcome": ended,
            "dry_run": self._dry_run,
            "exit_code": code,
            "message": said,
            "generation": self._generation(),
            "started": self._started.isoformat(timespec="seconds"),
            "finished": finished.isoformat(timespec="seconds"),
            "finished_timestamp": finished.timestamp(),
            "last_success_timestamp": last_success,
            "seconds": round(time.monotonic() - self._clock, 3),
        }

    def _generation(self) -> str | None:
        return stopped.published if self.outcome is None else self.outcome.generation

    def _ended(self, error: BaseException | None) -> tuple[str, int, str | None]:
        """The outcome, the exit code and what the command line says, without secrets."""
        if isinstance(error, KeyboardInterrupt) or (error is not None and received):
            stop = error if isinstance(error, Stopped) else received[0] if received else Stopped(signal.SIGINT)
            return "failed" if stopped.published is None else "published", stop.exit_code, str(stop)
        if isinstance(error, Exception):
            code = exit_code(error)
            return "refused" if code == EXIT_REFUSED else "failed", code, safe_text(redact(message(error)))
        if error is not None or self.outcome is None:
            return "failed", EXIT_FAILED, type(error).__name__
        if self.outcome.refused:
            return "refused", EXIT_REFUSED, safe_text(redact(self.outcome.refused))
        if self._dry_run:
            return "dry_run", 0, None
        return "published" if self.outcome.published else "no_change", 0, None


def _last_success(path: str) -> float | None:
    """When the last run ended that published or found no change, in seconds since 1970, as the run before wrote it."""
    try:
        found = read_json(path)["last_success_timestamp"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Absent, or not what a run writes: a success is not invented from it.
        return None
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None
