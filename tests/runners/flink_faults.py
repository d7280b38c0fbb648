"""Faults in the SDK workers of a Flink cluster: what happens to each of them when it begins to embed is said by a file."""

import os
import time
from pathlib import Path

# Python runs this when the server of SDK workers starts; they are forked from it.
_SITECUSTOMIZE = '''
import os, sys

if "tests.runners.engines.worker_server" in sys.orig_argv:
    import pathlib, time
    from transforms.vectors import PartFiller

    add, folder = PartFiller.add, pathlib.Path(os.environ["FAULTS"])

    def faulty(filler, task):
        """Tell that embedding has begun in this process, then do what the file says now."""
        (folder / f"embedding-{os.getpid()}").touch()
        while (fault := (folder / "fault").read_text()) == "wait":
            time.sleep(0.05)
        if fault == "fail":
            raise RuntimeError("the disk of this worker is broken")
        return add(filler, task)

    PartFiller.add = faulty
'''

SECONDS = 180


class Faults:
    """The switch for the workers of one cluster, in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
        self.arm("none")

    @property
    def environment(self) -> dict[str, str]:
        """What the cluster's processes must be started with."""
        return {"PYTHONPATH": str(self._folder), "FAULTS": str(self._folder)}

    def arm(self, fault: str) -> None:
        """From now on a worker that begins a part waits ("wait"), raises ("fail") or works ("none"); nobody has begun yet."""
        self._write(fault)
        for marker in self._folder.glob("embedding-*"):
            marker.unlink()

    def go_on(self) -> None:
        """Let those that wait work."""
        self._write("none")

    def embedding(self) -> set[int]:
        """Process ids of the workers that have begun to embed."""
        return {int(marker.name.partition("-")[2]) for marker in self._folder.glob("embedding-*")}

    def wait_until_embedding(self, workers: int) -> None:
        """Return when so many workers embed."""
        deadline = time.monotonic() + SECONDS
        while len(self.embedding()) < workers:
            assert time.monotonic() < deadline, f"{len(self.embedding())} workers embed"
            time.sleep(0.05)

    def _write(self, fault: str) -> None:
        (self._folder / "next").write_text(fault)
        os.replace(self._folder / "next", self._folder / "fault")
