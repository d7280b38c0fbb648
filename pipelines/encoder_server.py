"""The process of pipelines/encoder_process.py: imports the libraries, loads an encoder when told to, and answers requests.

A request is `(name, arguments)`; its answer any number of `("batch", texts)` and then `("value", …)` or `("error", exception)`.
"""

import contextlib
import logging
import os
import pickle
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from pipelines.encoder_process import Loaded
from transforms.embedding import Encoded, Encoder, EncoderSpec, import_libraries, load_encoder


def main() -> None:
    """Serve the connection whose file descriptor is the first argument until the driver goes away."""
    if "--debug" in sys.argv:
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
    else:
        # Libraries warn of things that the driver tells in its own words. Native ones still reach stderr.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        logging.disable()
    threading.Thread(target=_end_with_driver, name="driver", daemon=True).start()
    connection = Connection(int(sys.argv[1]))
    with contextlib.suppress(Exception):  # loading a model will raise it again, for somebody who hears it
        import_libraries()
    with contextlib.suppress(EOFError, ConnectionError):  # the driver has ended
        _serve(connection)
    os._exit(0)


def _end_with_driver() -> None:
    # The end of input: the driver has ended, however it ended. Nothing that this process could still do is of use to anyone.
    os.read(sys.stdin.fileno(), 1)
    os._exit(0)


def _serve(connection: Connection) -> None:
    server = _Server(connection)
    while True:
        name, arguments = connection.recv()
        try:
            answer = "value", getattr(server, name)(*arguments)
        except Exception as error:
            answer = "error", _portable(error)
        connection.send(answer)


class _Server:
    """The requests, by name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._encoder: Encoder | None = None

    def load(self, spec: EncoderSpec, device: str | None, threads: int, tokens_per_batch: int | None) -> Loaded:
        """Load a model and compare it with the library's."""
        encoder = load_encoder(spec, device, threads)
        assert isinstance(encoder, Encoder)
        encoder.check(tokens_per_batch)
        self._encoder = encoder
        return self._loaded()

    def encode_documents(self, texts: Sequence[str], tokens_per_batch: int | None) -> tuple[Encoded, Loaded]:
        """Embed documents, telling how many are done."""
        assert self._encoder is not None
        encoded = self._encoder.encode_documents(texts, tokens_per_batch, lambda done: self._connection.send(("batch", done)))
        return _sent(encoded), self._loaded()

    def encode_queries(self, texts: Sequence[str], tokens_per_batch: int | None) -> tuple[Encoded, Loaded]:
        """Embed queries."""
        assert self._encoder is not None
        return _sent(self._encoder.encode_queries(texts, tokens_per_batch)), self._loaded()

    def _loaded(self) -> Loaded:
        assert self._encoder is not None
        return Loaded(self._encoder.dim, self._encoder.max_tokens, self._encoder.fidelity)


def _sent(encoded: Encoded) -> Encoded:
    failed = {i: _portable(error) for i, error in encoded.failed.items()}
    return Encoded(encoded.vectors, encoded.truncated, encoded.tokens, encoded.padded_tokens, failed)


def _portable(error: Exception) -> Any:
    """The error if it can be sent, else one that says the same: exceptions of native libraries often cannot."""
    try:
        same = pickle.loads(pickle.dumps(error))
    except Exception:
        same = None
    return error if type(same) is type(error) else RuntimeError(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
