"""A headless Chromium driven through chromedriver's HTTP interface (W3C WebDriver), with nothing but the standard library."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
]  # fmt: skip


class Browser:
    """One browser window."""

    def __init__(self, url: str) -> None:
        self._url = url

    def call(self, method: str, path: str, body: dict | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, path: Path) -> None:
        self.call("POST", "/url", {"url": path.as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a script's `return`; a promise is awaited."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def frame(self) -> None:
        """Wait until what was asked for has been drawn."""
        self.run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))")

    def log(self, kind: str) -> list[dict]:
        return self.call("POST", "/se/log", {"type": kind})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def mouse(self, x: float, y: float, *actions: str) -> None:
        """Move the pointer to a place of the window, then `down`, `up`."""
        steps: list[dict] = [{"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}]
        steps += [{"type": "pointer" + action.capitalize(), "button": 0} for action in actions]
        self.call("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": steps}]})

    def wheel(self, x: float, y: float, delta: int) -> None:
        scroll = {"type": "scroll", "x": round(x), "y": round(y), "deltaX": 0, "deltaY": delta, "duration": 0}
        self.call("POST", "/actions", {"actions": [{"type": "wheel", "id": "wheel", "actions": [scroll]}]})


@contextmanager
def browser(width: int = 1280, height: int = 900) -> Iterator[Browser]:
    """A fresh browser with an empty profile, closed at the end."""
    assert CHROMIUM
    assert DRIVER
    with tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout
            line = next(line for line in process.stdout if "on port" in line and "started" in line)
            port = line.split("on port ")[1].split(".")[0]
            root = f"http://127.0.0.1:{port}/session"
            options = {
                "binary": CHROMIUM,
                "args": [*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"],
            }
            wanted = {
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            }
            session = Browser(root).call("POST", "", {"capabilities": {"alwaysMatch": wanted}})
            window = Browser(f"{root}/{session['sessionId']}")
            try:
                yield window
            finally:
                window.call("DELETE", "")
                time.sleep(0.1)  # the browser still writes its profile for a moment
        finally:
            process.terminate()
            process.wait(10)
            process.stdout.close()  # type: ignore[union-attr]
