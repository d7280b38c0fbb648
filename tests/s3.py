"""moto's S3 over HTTP on this machine: real requests and answers, no account."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

# A marker that must not be found anywhere a run writes.
SECRET = "Zq9secretZq9marker"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class S3Server:
    """The server's address, and the requests that it has answered as (method, path)."""

    url: str
    server: Any
    requests: list[tuple[str, str]] = field(default_factory=list)

    def stop(self) -> None:
        self.server.shutdown()


def start_s3() -> S3Server:
    """Serve S3 until `stop`.

    One request at a time: moto looks at a condition and writes in two steps, which S3 does in one.
    """
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any) -> None:
            pass

    app, lock, requests = DomainDispatcherApplication(create_backend_app), threading.Lock(), []

    def one_at_a_time(environ: dict, start_response: Callable) -> Iterable[bytes]:
        requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        with lock:
            return list(app(environ, start_response))

    server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return S3Server(f"http://127.0.0.1:{server.server_port}", server, requests)
