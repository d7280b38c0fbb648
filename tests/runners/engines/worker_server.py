"""SDK workers for Flink's `environment_type=PROCESS`, in place of the boot program of Beam's containers.

Flink starts a program for each worker and each job: a dozen jobs on two TaskManagers are two dozen interpreters that import
Beam and PyTorch, minutes of two cores. This server has imported them and makes each worker by a fork; the program that Flink
starts (worker.py beside this file) only asks for one and waits for its end.
"""

import importlib
import json
import os
import signal
import socket
import sys
import threading

import grpc
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
from apache_beam.runners.worker.sdk_worker import SdkHarness

# What stages import, also when they first need it. None of it starts a thread before it is used, so that a fork has all of it.
_IMPORTED = ("tests.faults.warm", "sentence_transformers", "transformers.models.bert.modeling_bert", "aiobotocore.session")


def main() -> None:
    """Serve on the Unix socket named by the only argument until killed. A request is a line of JSON: [worker id, address]."""
    for module in _IMPORTED:
        importlib.import_module(module)
    # Ended workers need nobody to wait for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(sys.argv[1])
        server.listen(16)
        while True:
            client, _ = server.accept()
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _work(client)
            client.close()


def _work(client: socket.socket) -> None:
    worker_id, provision_endpoint = json.loads(client.makefile().readline())
    threading.Thread(target=_end_with, args=[client], daemon=True).start()
    try:
        # Flink's provision service knows the address that the worker serves.
        with grpc.insecure_channel(provision_endpoint) as channel:
            answer = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel).GetProvisionInfo(
                beam_provision_api_pb2.GetProvisionInfoRequest(), metadata=(("worker_id", worker_id),)
            )
        SdkHarness(answer.info.control_endpoint.url, worker_id=worker_id).run()
    except grpc.RpcError as error:
        print(f"worker {worker_id} has lost Flink: {error}", file=sys.stderr)
    finally:
        os._exit(0)


def _end_with(client: socket.socket) -> None:
    # Nothing more is sent: this returns when the program that Flink has started is gone, however it ended.
    client.recv(1)
    os._exit(0)


if __name__ == "__main__":
    main()
