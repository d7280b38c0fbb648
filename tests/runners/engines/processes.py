"""Processes of a test: started in the background with a log, waited for, and ended without trace."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

_GUARD = Path(__file__).with_name("guard.py")
_SECONDS_BETWEEN_LOOKS = 0.1
# Four JVMs that start side by side on two busy cores took 33 s.
READY_SECONDS = 180.0
_LINES_SHOWN, _CHARACTERS_SHOWN = 25, 300


@dataclass
class Started:
    """A process that runs, its log, and the guard that ends it when this process is gone."""

    name: str
    pid: int
    log: Path
    _guard: subprocess.Popen[bytes]

    @property
    def alive(self) -> bool:
        return self._guard.poll() is None

    def stop(self) -> None:
        """Kill it and all that it has started, and wait until they are gone."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()
        assert self._guard.stdout is not None
        self._guard.stdout.close()

    def kill(self) -> None:
        """SIGKILL to the process alone, as the kernel does when memory runs out; its children are killed a moment later."""
        os.kill(self.pid, 9)
        self._guard.wait()


class ProcessGroup:
    """The processes of one engine in one folder: logs in `folder`, temporary files in `folder/tmp`."""

    def __init__(self, folder: Path, environment: Mapping[str, str] = {}) -> None:
        self.folder, self.tmp = folder, folder / "tmp"
        self.tmp.mkdir(parents=True)
        self._environment = {**os.environ, "TMPDIR": str(self.tmp), **environment}
        self._started: list[Started] = []

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] = {}) -> Started:
        """Start a command in the background; its output goes to `folder/NAME.log`."""
        log = self.folder / f"{name}.log"
        guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD), str(log), *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for pytest, which then closes the pipe
            env={**self._environment, **environment},
            cwd=self.folder,
        )
        assert guard.stdout is not None
        started = Started(name, int(guard.stdout.readline()), log, guard)
        self._started.append(started)
        return started

    def wait(self, what: str, ready: Callable[[], bool], needed: Sequence[Started] | None = None) -> None:
        """Return when `ready` says so. Raises AssertionError with the logs when a `needed` process ends or time is up."""
        needed = self._started if needed is None else needed
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if ended := [process.name for process in needed if not process.alive]:
                raise AssertionError(f"{ended[0]} has ended while waiting for {what}\n{self.logs()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what} in {READY_SECONDS:.0f} s\n{self.logs()}")
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def logs(self) -> str:
        """The ends of all logs in the folder, that of what the processes have started themselves included."""
        return "\n".join(last_lines(log) for log in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        """End all processes, the last started first, and remove their temporary files; logs stay."""
        for process in reversed(self._started):
            process.stop()
        shutil.rmtree(self.tmp, ignore_errors=True)


@contextmanager
def process_group(folder: Path, environment: Mapping[str, str] = {}) -> Iterator[ProcessGroup]:
    """Processes that end with the block. After an error, the ends of their logs are printed, for pytest to show."""
    group = ProcessGroup(folder, environment)
    try:
        yield group
    except BaseException:
        print(group.logs())
        raise
    finally:
        group.stop()


def last_lines(log: Path) -> str:
    """The end of a log, for messages."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join([f"--- the end of {log}", *(line[:_CHARACTERS_SHOWN] for line in lines[-_LINES_SHOWN:])])


def free_ports(count: int) -> list[int]:
    """TCP ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def accepts(port: int) -> bool:
    """Whether a server accepts connections on this port of this machine."""
    try:
        socket.create_connection(("localhost", port), timeout=1).close()
    except OSError:
        return False
    return True
