"""A real browser for tests: Chromium without a window, driven through its DevTools pipe."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions --mute-audio"
)


class Page:
    """One page: opened, asked, clicked, looked at. Script errors and requests are collected in `errors`, `requests`."""

    def __init__(self, width=1200, height=1000):
        self._folder = tempfile.mkdtemp()
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        arguments = f"{FLAGS} --user-data-dir={self._folder} --remote-debugging-pipe about:blank"
        self._process = subprocess.Popen(  # Chromium reads from 3 and writes to 4
            ["bash", "-c", f"exec {CHROMIUM} {arguments} 3<&{theirs_in} 4>&{theirs_out}"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in), os.close(theirs_out)
        self._number, self._session, self._left = 0, None, b""
        self.errors, self.requests = [], []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._ask(f"{domain}.enable")
        self.size(width, height)

    def close(self):
        """End the browser."""
        with contextlib.suppress(OSError):
            os.close(self._out), os.close(self._in)
        self._process.terminate()
        self._process.wait(20)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _ask(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _next(self):
        while b"\0" not in self._left:
            part = os.read(self._in, 1 << 16)
            if not part:
                raise RuntimeError("Chromium has gone")
            self._left += part
        message, _, self._left = self._left.partition(b"\0")
        told = json.loads(message)
        match told.get("method"):
            case "Runtime.exceptionThrown":
                self.errors.append(told["params"]["exceptionDetails"]["text"])
            case "Log.entryAdded":
                self.errors.append(told["params"]["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(told["params"]["request"]["url"])
        return told

    def size(self, width, height=1000):
        """Set the size of the window, in pixels."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def media(self, **features):
        """Pretend to another medium, such as `media="print"` or `prefers_color_scheme="dark"`."""
        medium = features.pop("media", "")
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self._ask("Emulation.setEmulatedMedia", media=medium, features=wanted)

    def open(self, address):
        """Load a page and wait until it is there."""
        self._ask("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script):
        """Return the value of a script."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, script, seconds=60):
        """Wait until a script's value is true."""
        deadline = time.monotonic() + seconds
        while not self.run(script):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{script}; the page says {self.text()[:500]!r}")
            time.sleep(0.1)

    def text(self):
        """Return the page as it is read."""
        return self.run("document.body.innerText")

    def _place(self, selector):
        found = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{found}.scrollIntoView({{block: 'center'}})")
        box = self.run(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({found}.getBoundingClientRect())")
        return {"x": box[0], "y": box[1]}

    def move(self, x, y):
        """Move the mouse to a place in the window."""
        self._ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def hover(self, selector):
        """Point the mouse at an element."""
        self.move(**self._place(selector))

    def click(self, selector):
        """Click on an element."""
        place = self._place(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def key(self, name):
        """Press a key and let it go."""
        text = {"text": "\r"} if name == "Enter" else {}
        code = {"Enter": 13, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "End": 35, "Home": 36}[
            name
        ]
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **text)

    def screenshot(self, path, whole=False):
        """Save what is seen, or the whole page, as PNG."""
        picture = self._ask(
            "Page.captureScreenshot", captureBeyondViewport=whole, **({} if not whole else self._whole())
        )
        Path(path).write_bytes(base64.b64decode(picture["data"]))

    def _whole(self):
        size = self._ask("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def pdf(self, path):
        """Print the page to a file."""
        Path(path).write_bytes(base64.b64decode(self._ask("Page.printToPDF")["data"]))
