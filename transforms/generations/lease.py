"""The lease: one writer on a root at a time, and none that died in the way of the next.

`ROOT/LEASE` names its holder and the time until which it holds. The holder renews it by compare-and-set; whoever finds it
expired, or its process dead on this very machine, takes it over by compare-and-set. Expiry is read from the wall clock, so
clocks of machines that share a root must agree within a part of the lease's length. A writer that was paused while another
took over learns of it at its next `check`; should it be paused after that, the compare-and-set on CURRENT stops it.
"""

import contextlib
import json
import logging
import os
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import psutil

from transforms.files import (
    ConflictError,
    UnconditionalError,
    Versioned,
    delete_if,
    is_local,
    join,
    reached,
    read_versioned,
    redact,
    remove,
    write_if,
)

_log = logging.getLogger(__name__)

LEASE_NAME = "LEASE"
LEASE_SECONDS = 60.0

# Each failed try means that another process has just written, which the next look sees; so many in a row are a fault.
_TRIES = 20

_UNKNOWN = "unknown"


class RootInUseError(Exception):
    """Another process holds the lease on the root."""


class LeaseLostError(Exception):
    """The lease of this process has expired and another process has taken the root over."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease. `boot` and `namespace` tell whether `pid` and `started` mean anything on this machine."""

    host: str
    boot: str
    namespace: str
    pid: int
    started: str
    run: str


class Lease:
    """The lease that this process holds on a root, made by `hold_lease`. Its methods may be called from any thread."""

    def __init__(self, root: str, seconds: float, unconditional: bool) -> None:
        self.root, self.seconds, self.holder = root, seconds, this_process()
        self.path = join(root, LEASE_NAME)
        self._unconditional = unconditional
        self._acquired = datetime.now(UTC)
        self._version = ""
        self._lost = False
        self._lock = threading.Lock()

    def acquire(self) -> None:
        """Take the lease, or raise RootInUseError with who holds it and until when."""
        for _ in range(_TRIES):
            found = read_versioned(self.path)
            if found is not None and (reason := self._held_by(found)):
                raise RootInUseError(reason)
            with contextlib.suppress(ConflictError):
                self._version = self._write(None if found is None else found.version)
                self._check_store()
                return
        raise RootInUseError(f"the lease on root {redact(self.root)!r} changes hands all the time: run again later")

    @property
    def lost(self) -> bool:
        """Whether a renewal has found that another process took the lease: from then on every `check` raises."""
        return self._lost

    def check(self) -> None:
        """Prove that the lease is still held, by renewing it. Raises LeaseLostError when another process has taken it."""
        with self._lock:
            if not self._lost:
                try:
                    self._renew()
                    return
                except ConflictError:
                    self._lost = True
        raise LeaseLostError(
            f"this run was silent for more than {self.seconds:g} s and has lost its lease on root {redact(self.root)!r}: "
            "nothing was published; run again, with a longer publish.lease_seconds if this machine was only slow"
        )

    def release(self) -> None:
        """Give the lease back; one that was lost stays with its new holder.

        No error of its own: what the run has done is done, and a lease that stays is free when this process has ended.
        """
        with self._lock:
            if not self._lost:
                try:
                    self._delete()
                except Exception as error:
                    _log.info("the lease could not be given back: %s", type(error).__name__)

    def _renew(self) -> None:
        try:
            self._version = self._write(self._version)
        except ConflictError:
            self._version = self._write(self._version_of_own())

    def _delete(self) -> None:
        try:
            delete_if(self.path, self._version, unconditional=self._unconditional)
        except ConflictError:
            delete_if(self.path, self._version_of_own(), unconditional=self._unconditional)

    def _version_of_own(self) -> str:
        """The version of the lease if it names this holder; raises ConflictError if it does not.

        A renewal may be written and fail all the same, when the sync after it or the answer of the store does: the next
        one then meets its own lease under a version that it was never told.
        """
        found = read_versioned(self.path)
        if found is None or not self._is_own(found):
            raise ConflictError(f"the lease on root {redact(self.root)!r} is no longer that of this process")
        return found.version

    def _is_own(self, found: Versioned) -> bool:
        try:
            return bool(json.loads(found.data)["holder"]["run"] == self.holder.run)
        except (ValueError, TypeError, KeyError):
            return False

    def _write(self, version: str | None) -> str:
        now = datetime.now(UTC)
        values = {
            "holder": asdict(self.holder),
            "acquired": self._acquired.isoformat(),
            # With microseconds: every renewal has other bytes, hence another version.
            "renewed": now.isoformat(timespec="microseconds"),
            "expires": (now + timedelta(seconds=self.seconds)).isoformat(timespec="seconds"),
        }
        data = (json.dumps(values, indent=1, sort_keys=True) + "\n").encode()
        return write_if(self.path, data, version, unconditional=self._unconditional)

    def _check_store(self) -> None:
        """Some stores that speak S3 ignore conditions and overwrite: the lease and CURRENT would then protect nothing."""
        if is_local(self.root) or self._unconditional:
            return
        try:
            write_if(self.path, b"{}\n", None)
        except ConflictError:
            return
        remove(self.path)
        raise UnconditionalError(
            f"the store of root {redact(self.root)!r} ignores conditions of writes (If-None-Match), so that two runs at once "
            "could both publish: use a store that has them, or set publish.unconditional_writes to true and make sure yourself "
            "that only one runs"
        )

    def _held_by(self, found: Versioned) -> str | None:
        """Why the lease that was found keeps this process out; None when it may be taken over."""
        try:
            values = json.loads(found.data)
            holder, expires = Holder(**values["holder"]), datetime.fromisoformat(values["expires"])
            acquired, overdue = values["acquired"], expires < datetime.now(UTC)
        except (ValueError, TypeError, KeyError) as error:
            return (
                f"{redact(self.path)} is not a lease that this version can read ({error}): if no run is active on the root, "
                "delete the file"
            )
        who = f"process {holder.pid} on {holder.host}"
        if overdue:
            _log.info("the lease of %s has expired at %s: taking over", who, expires)
            return None
        if _has_died(holder, self.holder):
            _log.info("%s has died: taking over its lease", who)
            return None
        return (
            f"{who} is running on root {redact(self.root)!r} since {acquired[:19]}Z; its lease is valid until "
            f"{expires.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} and is renewed while it runs: wait for it to end"
        )


@contextlib.contextmanager
def hold_lease(root: str, seconds: float = LEASE_SECONDS, unconditional: bool = False) -> Iterator[Lease]:
    """Be the only writer on `root`: acquire its lease, renew it every third of `seconds` in a thread, give it back.

    Raises RootInUseError at once when another process holds it, UnconditionalError when the root's file system has no
    conditional writes and `unconditional` does not allow to do without, OSError when the root cannot be written.
    """
    lease = Lease(root, seconds, unconditional)
    lease.acquire()
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(lease, stop), name="lease", daemon=True)
    heart.start()
    try:
        reached("holding_lease")
        yield lease
    finally:
        stop.set()
        heart.join()
        lease.release()


def _beat(lease: Lease, stop: threading.Event) -> None:
    while not stop.wait(lease.seconds / 3):
        try:
            lease.check()
        except LeaseLostError:
            # The run ends at its next check; there is nothing left to renew.
            _log.warning("another process has taken the lease on root %s: this run ends soon", redact(lease.root))
            return
        except Exception as error:
            # A disk that is full for a moment, a network that is away: the next beat tries again, the run's own checks fail.
            _log.info("the lease could not be renewed: %s", type(error).__name__)


def this_process() -> Holder:
    """This process as the holder of a lease, with a run id of its own."""
    pid = os.getpid()
    return Holder(socket.gethostname(), _boot_id(), _pid_namespace(), pid, _started(pid) or _UNKNOWN, uuid.uuid4().hex)


def _has_died(holder: Holder, here: Holder) -> bool:
    """Whether the holder's process is gone for certain: it ran on this machine, since this boot, where its pid can be seen.

    What is not known of it proves nothing: two unknown namespaces need not be one.
    """
    if not holder.boot or not holder.namespace or holder.started == _UNKNOWN:
        return False
    if (holder.host, holder.boot, holder.namespace) != (here.host, here.boot, here.namespace):
        return False
    return _started(holder.pid) != holder.started


def _started(pid: int) -> str | None:
    """When a process started, in a form that only serves to be compared; None when it is gone or only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name in parentheses may hold anything, parentheses too. Then state, and start in clock ticks since boot.
            fields = file.read().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else fields[19].decode()
    except (FileNotFoundError, ProcessLookupError):
        if os.path.isdir("/proc/self"):
            return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.NoSuchProcess:
        return None


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return f"{psutil.boot_time():.0f}"


def _pid_namespace() -> str:
    """Containers of one machine share its boot and may share its name, but not its process ids. Empty: it is not known."""
    if sys.platform == "darwin":
        return "none"  # macOS has one table of processes; containers there run in a virtual machine with a boot of its own.
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
