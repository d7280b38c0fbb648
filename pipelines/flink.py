"""Flink's own REST API: for what Beam's job server does not do, cancelling a batch job on the cluster.

The job server waits for a batch job in a thread. Asked to cancel, it ends its waiting and reports CANCELLED, but the job goes
on in the cluster (seen with Beam 2.54 on Flink 1.16).
"""

import json
import time
import urllib.parse
import urllib.request
from typing import Any

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_ANSWER = 10.0
# A job server first uploads Beam's own code, 11 to 14 s for 167 MB, while it already says that it has the job.
_SECONDS_TO_APPEAR = 20.0
_ENDED = ("CANCELED", "FAILED", "FINISHED")


def cancel_job(address: str, name: str, deadline: float) -> str:
    """Cancel the job of that name in the cluster whose REST API is at `address`, wait until it has ended, and return its state.

    A job that is there is asked to end even when `deadline`, a time of `time.monotonic`, has passed; its state is then what it
    was last. One that is not there may be on its way, so it is waited for: "unknown" stands for one that has not come.
    Raises OSError when the cluster does not answer.
    """
    asked, appears_until = False, min(deadline, time.monotonic() + _SECONDS_TO_APPEAR)
    while True:
        jobs = [job for job in _ask(address, "jobs/overview")["jobs"] if job["name"] == name]
        if jobs:
            job = max(jobs, key=lambda job: job["start-time"])
            if job["state"] in _ENDED:
                return str(job["state"])
            if not asked:
                _ask(address, f"jobs/{job['jid']}?mode=cancel", "PATCH")
                asked = True
            if time.monotonic() > deadline:
                return str(job["state"])
        elif time.monotonic() > appears_until:
            return "unknown"
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _ask(address: str, path: str, method: str = "GET") -> Any:
    request = urllib.request.Request(f"{address.rstrip('/')}/{path}", method=method)
    if urllib.parse.urlsplit(request.full_url).scheme not in ("http", "https"):
        raise OSError(f"--flink_master {address!r} is no address of a REST API")
    with urllib.request.urlopen(request, timeout=_SECONDS_TO_ANSWER) as answer:
        return json.loads(answer.read() or b"{}")
