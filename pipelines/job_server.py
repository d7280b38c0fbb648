"""Does a job server answer? Asked before a run begins, because Beam waits for minutes and then says little."""

import concurrent.futures
import time

import grpc
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from pipelines.remote import RemoteJobError

_SECONDS_BETWEEN_LOOKS = 0.5


def check_answers(address: str, seconds: float) -> frozenset[str]:
    """The names of the options that the Beam job service at `address`, HOST:PORT, knows.

    Raises RemoteJobError unless it answers within `seconds`.
    """
    deadline = time.monotonic() + seconds
    advice = (
        "check the address in --job_endpoint, that the job server runs there and listens to other machines, and that no "
        "firewall is between"
    )
    with grpc.insecure_channel(address) as channel:
        ready = grpc.channel_ready_future(channel)
        while True:
            try:
                ready.result(timeout=_SECONDS_BETWEEN_LOOKS)
                break
            except (grpc.FutureTimeoutError, concurrent.futures.TimeoutError):
                if time.monotonic() > deadline:
                    ready.cancel()
                    raise RemoteJobError(
                        f"no job server has answered at {address} within {seconds:g} s (runner.answer_seconds): {advice}"
                    ) from None
        stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
        try:
            described = stub.DescribePipelineOptions(
                beam_job_api_pb2.DescribePipelineOptionsRequest(), timeout=max(1.0, deadline - time.monotonic())
            )
        except grpc.RpcError as error:
            raise RemoteJobError(
                f"what answers at {address} is no Beam job server that works ({error.code().name}: {error.details()}): {advice}"
            ) from error
        return frozenset(option.name for option in described.options)
