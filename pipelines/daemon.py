"""Threads beside the main one, which stays free for signals: work that nobody waits for, and what threads may not print."""

import concurrent.futures
import functools
import threading
from collections.abc import Callable
from typing import TypeVar

import grpc

Value = TypeVar("Value")


def in_daemon_thread(call: Callable[[], Value]) -> concurrent.futures.Future[Value]:
    """Like an executor, but the interpreter does not wait for the thread when it ends."""
    future: concurrent.futures.Future[Value] = concurrent.futures.Future()

    def run() -> None:
        try:
            value = call()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(value)

    threading.Thread(target=run, name="pipeline", daemon=True).start()
    return future


@functools.cache
def ignore_lost_connections() -> None:
    """Keep Beam's threads from printing a traceback when a connection breaks: whoever watches the job tells of it."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if not isinstance(arguments.exc_value, grpc.RpcError):
            before(arguments)

    threading.excepthook = hook
