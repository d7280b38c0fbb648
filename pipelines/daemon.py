"""Work in a thread that nobody has to wait for, so that the main thread is free for signals."""

import concurrent.futures
import threading
from collections.abc import Callable
from typing import TypeVar

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
