"""Faults in the SDK workers of a Flink cluster: what happens to them when they begin some work is said by a file."""

import os
import time
from pathlib import Path

# Python runs this when the server of SDK workers starts; they are forked from it.
_SITECUSTOMIZE = '''
import os, sys

if "tests.runners.engines.worker_server" in sys.orig_argv:
    import pathlib, time
    from transforms.corpus import beam
    from transforms.vectors import PartFiller

    folder = pathlib.Path(os.environ["FAULTS"])

    def faulty(work, call):
        def begin(*arguments):
            """Tell that the work has begun in this process, then do what the file says now."""
            began = None
            while True:
                armed, where, fault = (folder / "fault").read_text().split(" ")
                if began is None:
                    began = armed
                # One that waited for an earlier fault, whose job is being cancelled, is none of those that begin now.
                if where != work or armed != began:
                    return call(*arguments)
                (folder / f"begun-{armed}-{os.getpid()}").touch()
                if fault == "fail":
                    raise RuntimeError("the disk of this worker is broken")
                if fault == "work":
                    return call(*arguments)
                time.sleep(0.05)
        return begin

    beam.read_unit = faulty("read", beam.read_unit)
    PartFiller.add = faulty("embed", PartFiller.add)
'''

SECONDS = 240


class Faults:
    """The switch for the workers of one cluster, in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder, self._armed = folder, 0
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
        self.arm("nothing", "work")

    @property
    def environment(self) -> dict[str, str]:
        """What the cluster's processes must be started with."""
        return {"PYTHONPATH": str(self._folder), "FAULTS": str(self._folder)}

    def arm(self, work: str, fault: str) -> None:
        """From now on a worker that begins to "read" or "embed" waits ("wait") or raises ("fail"); nobody has begun yet."""
        self._armed += 1
        self.become(work, fault)

    def become(self, work: str, fault: str) -> None:
        """The fault changes, also for those that wait; with "work" they go on."""
        (self._folder / "next").write_text(f"{self._armed} {work} {fault}")
        os.replace(self._folder / "next", self._folder / "fault")

    def begun(self) -> set[int]:
        """Process ids of the workers that have begun."""
        return {int(marker.name.rpartition("-")[2]) for marker in self._folder.glob(f"begun-{self._armed}-*")}

    def wait_until_begun(self, workers: int) -> None:
        """Return when so many workers have begun."""
        deadline = time.monotonic() + SECONDS
        while len(self.begun()) < workers:
            assert time.monotonic() < deadline, f"{len(self.begun())} workers have begun"
            time.sleep(0.05)
