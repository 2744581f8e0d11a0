"""Headless Chromium for tests of pages."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt-get update && apt-get install -y chromium")


class Browser:
    """Headless Chromium, spoken to in its DevTools protocol over a pipe."""

    def __init__(self, to_browser, from_browser):
        self.to_browser, self.from_browser = to_browser, from_browser
        self.calls, self.session, self.requested = 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Runtime"):
            self.call(f"{domain}.enable")

    def message(self) -> dict:
        received = bytearray()
        while not received.endswith(b"\0"):
            byte = self.from_browser.read(1)
            assert byte, "Chromium ended"
            received += byte
        message = json.loads(received[:-1])
        if message.get("method") == "Network.requestWillBeSent":
            self.requested.append(message["params"]["request"]["url"])
        return message

    def call(self, method: str, **parameters: object) -> dict:
        self.calls += 1
        content = {"id": self.calls, "method": method, "params": parameters}
        content |= {"sessionId": self.session} if self.session else {}
        self.to_browser.write(json.dumps(content).encode() + b"\0")
        self.to_browser.flush()
        while (answer := self.message()).get("id") != self.calls:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def evaluate(self, expression: str) -> object:
        """Value of a JavaScript expression, once its promise is fulfilled."""
        options = {"awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def resize(self, *, width: int, height: int = 900) -> None:
        """Give the page a window of this size, in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def outside(self) -> list[str]:
        """Addresses that were asked for and are not in the page itself."""
        return [url for url in self.requested if not url.startswith(("file:", "data:", "blob:"))]

    def open(self, page: Path) -> None:
        self.call("Page.navigate", url=page.as_uri())
        while self.message().get("method") != "Page.loadEventFired":
            pass


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser that ends with the block."""
    (in_read, in_write), (out_read, out_write) = os.pipe(), os.pipe()

    def arrange_pipes() -> None:
        # Chromium reads descriptor 3 and writes descriptor 4; the copies keep them from overwriting each other.
        source, sink = os.dup2(in_read, 103), os.dup2(out_write, 104)
        os.dup2(source, 3)
        os.dup2(sink, 4)

    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(
        [CHROMIUM, *flags, "--window-size=1400,1000"], preexec_fn=arrange_pipes, close_fds=False, **quiet
    )
    os.close(in_read)
    os.close(out_write)
    with open(in_write, "wb") as to_browser, open(out_read, "rb", buffering=0) as from_browser:
        try:
            yield Browser(to_browser, from_browser)
        finally:
            process.terminate()
            process.wait(timeout=30)
