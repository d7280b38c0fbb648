"""A worker process of pipelines/pool.py: serves one Beam job after another until the driver goes away."""

import json
import logging
import os
import sys
import threading


def main() -> None:
    """Read one line of JSON for each job, `[worker id, address of the job's control server]`, and serve the job in a thread."""
    if "--debug" in sys.argv:
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
    else:
        # Beam prints and logs every traceback that it also sends to the driver. Native libraries still reach stderr.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        logging.disable()
    for line in sys.stdin:
        threading.Thread(target=_serve, args=json.loads(line), name="job", daemon=True).start()
    # End of input: the driver has ended, however it ended. Nothing that this process could still do is of use to anyone.
    os._exit(0)


def _serve(worker_id: str, control_address: str) -> None:
    import grpc
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    try:
        SdkHarness(control_address, worker_id=worker_id).run()
    except (grpc.RpcError, grpc.FutureTimeoutError):
        logging.getLogger(__name__).exception("lost the driver")
        # Without its worker the job would wait for ever; the driver sees that a process has ended, not that a thread has.
        os._exit(1)


if __name__ == "__main__":
    main()
