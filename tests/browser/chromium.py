"""Headless Chromium over its DevTools protocol, https://chromedevtools.github.io/devtools-protocol/.

Spoken directly: a page needs a handful of its commands, and the locked `websockets` carries them. Playwright downloads
browsers of its own, Selenium needs a driver of the browser's very version beside it.
"""

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.servers import wait_until

Json = dict[str, Any]

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en-US",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no test leaves the machine, whatever the page does
)

_KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, "")}
"""By name: what old pages know it by, and what it types."""


_MIDDLE = """(selector) => {
    const it = document.querySelector(selector);
    it.scrollIntoView({ block: "center" });
    const box = it.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
}"""


def find_chromium() -> str | None:
    """The path of a browser, or None on a machine without one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """The connection to a browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.events: list[Json] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Json:
        """The result of a command; what happened meanwhile is added to `events`. Raises `RuntimeError` if it failed."""
        number = next(self._numbers)
        of_tab = {"sessionId": session} if session else {}
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters} | of_tab))
        while (message := json.loads(self._socket.recv(timeout=60))).get("id") != number:
            self.events.append(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        result: Json = message["result"]
        return result


class Page:
    """One tab with cookies, storage and downloads of its own."""

    def __init__(self, browser: Browser, downloads: Path) -> None:
        self.downloads = downloads
        self._browser = browser
        self._context = browser.call("Target.createBrowserContext")["browserContextId"]
        target = browser.call("Target.createTarget", url="about:blank", browserContextId=self._context)["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        browser.call(
            "Browser.setDownloadBehavior",
            behavior="allow",
            downloadPath=str(downloads),
            browserContextId=self._context,
        )
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Json:
        return self._browser.call(method, self._session, **parameters)

    def close(self) -> None:
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """Its value, awaited. Raises `RuntimeError` when it throws."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, condition: str, *, seconds: float = 20.0) -> None:
        """Until a condition in JavaScript holds. Raises `TimeoutError` that shows the page's text."""
        deadline = time.monotonic() + seconds
        while not self._holds(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds:g} s for {condition} in:\n{self.text}")
            time.sleep(0.02)

    def wait_for(self, text: str, *, within: str = "body") -> None:
        self.wait(f"document.querySelector({json.dumps(within)}).innerText.includes({json.dumps(text)})")

    @property
    def text(self) -> str:
        """What can be seen."""
        return str(self.evaluate("document.body.innerText"))

    def click(self, selector: str) -> None:
        """With the mouse in its middle, so that nothing that lies above it goes unseen."""
        x, y = self.evaluate(f"({_MIDDLE})({json.dumps(selector)})")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        code, text = _KEYS[key]
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **typed)

    def emulate(self, *, width: int, scheme: str = "light", height: int = 800) -> None:
        """A screen of so many CSS pixels, for readers who like it `light` or `dark`."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self) -> bytes:
        """All of the page as PNG."""
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(picture["data"])

    def events(self, method: str) -> list[Json]:
        """The parameters of all such events of this tab until now."""
        self.evaluate("0")
        return [
            event["params"]
            for event in self._browser.events
            if event.get("sessionId") == self._session and event["method"] == method
        ]

    def faults(self) -> list[str]:
        """Exceptions that nobody caught, and what the page's own policy refused."""
        thrown = [event["exceptionDetails"] for event in self.events("Runtime.exceptionThrown")]
        entries = [event["entry"] for event in self.events("Log.entryAdded")]
        return [
            *(detail.get("exception", {}).get("description", detail["text"]) for detail in thrown),
            *(entry["text"] for entry in entries if entry["source"] in ("security", "violation", "javascript")),
        ]

    def forgive(self) -> None:
        """Forgets what happened until now, for a test that provoked it."""
        self._browser.events.clear()

    def _holds(self, condition: str) -> bool:
        with suppress(RuntimeError):  # between two documents there may be nothing to ask
            return bool(self.evaluate(condition))
        return False


@contextmanager
def running_browser(executable: str, directory: Path) -> Iterator[Browser]:
    port_file = directory / "DevToolsActivePort"
    process = subprocess.Popen(
        [executable, *_FLAGS, f"--user-data-dir={directory}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that its own processes end with it
    )
    try:
        wait_until(lambda: port_file.exists() and port_file.read_text().count("\n"), what="Chromium to listen")
        port, path = port_file.read_text().split("\n")
        # No pings: their thread would draw from `random` while Hypothesis, which forbids that, is at work.
        address = f"ws://127.0.0.1:{port}{path}"
        with connect(address, max_size=None, proxy=None, ping_interval=None) as socket:
            yield Browser(socket)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
