"""An encoder in a process of its own, which starts early: importing torch and sentence-transformers takes seconds.

A night embeds few texts. What it waits for are these imports, and a thread could not spare it that, since they hold the
interpreter. So the command starts this process before anything else. The process imports, loads the model once it is
known that something has changed, and then stands for the encoder wherever this process asks for it.
"""

import contextlib
import logging
import multiprocessing
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pipelines.processes import WorkerDiedError, death, start_module

if TYPE_CHECKING:
    # The process starts before this one has imported anything that takes time.
    from transforms.embedding import EmbeddingOptions, Encoded, EncoderSpec, Fidelity

_log = logging.getLogger(__name__)

# A connection breaks a moment before the process that held it is gone.
_SECONDS_FROM_BROKEN_CONNECTION_TO_END = 2.0


@dataclass(frozen=True)
class Loaded:
    """What the process says of the encoder that it has loaded and checked."""

    dim: int
    max_tokens: int
    fidelity: "Fidelity | None"


class EncoderProcess:
    """A `TextEncoder` whose model is in another process. As a context manager it leaves no process behind.

    It starts with `start`, or with `load` when that comes first or after `close`.

    The other process ends with this one, however this one ends: its standard input is a pipe that nobody else holds.
    Every method that asks it for something raises WorkerDiedError when it has ended, and otherwise what was raised there.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._provided: tuple[EncoderSpec, str | None] | None = None
        # Of the last `load`: whether its answer is still to come, and what that was.
        self._loading = False
        self._loaded: Loaded | None = None
        self._failed: Exception | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> "EncoderProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Let the process import its libraries. It loads no model yet."""
        self._connection, other = multiprocessing.Pipe()
        with other:
            arguments = [str(other.fileno()), *(["--debug"] if _log.isEnabledFor(logging.INFO) else [])]
            self._process = start_module("pipelines.encoder_server", arguments, pass_fds=(other.fileno(),))

    def load(self, spec: "EncoderSpec", options: "EmbeddingOptions", threads: int) -> None:
        """Let it load a model and run the canary, without waiting for that; from now on `load_encoder` gives this encoder.

        What goes wrong there is raised by whoever needs the encoder, until it is told to load again.
        """
        from transforms.embedding import provide_encoder

        if self._loading:
            # Nobody waits for that answer any more, and it must not be taken for the next one.
            self.close()
        if self._process is None:
            self.start()
        self._withdraw()
        self._loading, self._loaded, self._failed = True, None, None
        self._send("load", spec, options.device, threads, options.tokens_per_batch)
        self._provided = spec, options.device
        provide_encoder(spec, options.device, self)

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return self._when_loaded().dim

    @property
    def max_tokens(self) -> int:
        """Tokens that the model takes."""
        return self._when_loaded().max_tokens

    @property
    def fidelity(self) -> "Fidelity | None":
        """As `Encoder.fidelity`."""
        return self._when_loaded().fidelity

    def encode_documents(
        self, texts: Sequence[str], tokens_per_batch: int | None = None, on_batch: Callable[[int], None] | None = None
    ) -> "Encoded":
        """As `Encoder.encode_documents`."""
        return self._encode("encode_documents", texts, tokens_per_batch, on_batch)

    def encode_queries(self, texts: Sequence[str], tokens_per_batch: int | None = None) -> "Encoded":
        """As `Encoder.encode_queries`."""
        return self._encode("encode_queries", texts, tokens_per_batch, None)

    def close(self) -> None:
        """End the process now, whatever it is doing: it holds nothing that anybody needs."""
        self._withdraw()
        self._loading, self._loaded = False, None
        if self._process is not None:
            self._process.kill()
            with self._process:  # closes the pipe and waits
                pass
            self._process = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _withdraw(self) -> None:
        if self._provided is not None:
            from transforms.embedding import withdraw_encoder

            withdraw_encoder(*self._provided)
            self._provided = None

    def _encode(
        self, name: str, texts: Sequence[str], tokens_per_batch: int | None, on_batch: Callable[[int], None] | None
    ) -> "Encoded":
        encoded: Encoded
        with self._lock:
            self._when_loaded()
            self._send(name, list(texts), tokens_per_batch)
            encoded, self._loaded = self._answer(on_batch)
        return encoded

    def _when_loaded(self) -> Loaded:
        with self._lock:
            if self._failed is not None:
                raise self._failed
            if self._loaded is None:
                try:
                    self._loaded = self._answer(None)
                except Exception as error:
                    self._failed = error
                    raise
                finally:
                    self._loading = False
            return self._loaded

    def _send(self, name: str, *arguments: Any) -> None:
        assert self._connection is not None
        try:
            self._connection.send((name, arguments))
        except OSError as error:
            raise self._died() from error

    def _answer(self, on_batch: Callable[[int], None] | None) -> Any:
        """The value of the request that was sent last; raises what it raised."""
        assert self._connection is not None
        try:
            while (answer := self._connection.recv())[0] == "batch":
                if on_batch is not None:
                    on_batch(answer[1])
        except (EOFError, ConnectionError) as error:
            raise self._died() from error
        except BaseException:
            # The rest of this answer would be taken for that of the next request.
            self.close()
            raise
        kind, value = answer
        if kind == "error":
            raise value
        return value

    def _died(self) -> WorkerDiedError:
        assert self._process is not None
        process = self._process
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_FROM_BROKEN_CONNECTION_TO_END)
        self.close()
        code = process.returncode
        advice = (
            "most likely the machine ran out of memory; use a smaller embedding.tokens_per_batch"
            if code == -signal.SIGKILL
            else "see what it wrote with --debug"
        )
        return WorkerDiedError(
            f"the process that embeds (process {process.pid}) {death(code)}: {advice}. "
            "Then run again: finished work is taken over"
        )
