"""A page in headless Chromium, driven over the pipe of its DevTools protocol with the standard library alone."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_browser():
    """Its path, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One tab. `events` are what it has told, as (method, parameters)."""

    def __init__(self, path, folder, seconds=120):
        to_child, self._write = os.pipe()
        self._read, from_child = os.pipe()
        # Chromium reads commands from 3 and answers on 4: neither number may be the other's pipe before it is moved.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_child, from_child)]
        for end in (to_child, from_child):
            os.close(end)

        def move():
            for number, end in zip((3, 4), ends):
                os.dup2(end, number)

        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # it refuses to have one as root
        command = [path, "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--remote-debugging-pipe",
                   f"--user-data-dir={folder}", *sandbox, "about:blank"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL, pass_fds=(3, 4), preexec_fn=move)
        for end in ends:
            os.close(end)
        self._seconds, self._number, self._rest, self._session, self.events = seconds, 0, b"", None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in (self._write, self._read):
            os.close(end)
        self._process.terminate()
        self._process.wait(30)

    def _message(self, until):
        while b"\0" not in self._rest:
            if not select.select([self._read], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise EOFError("the browser is gone")
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(message)
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message

    def call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + self._seconds
        while (answer := self._message(until)).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, path, width, height=900, scheme="light"):
        """Loads a file in a window of that size and colour scheme, and forgets earlier events."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url="file://" + os.path.abspath(path))
        until = time.monotonic() + self._seconds
        while not any(method == "Page.loadEventFired" for method, _ in self.events):
            self._message(until)

    def value(self, expression):
        """What an expression of JavaScript is, as JSON holds it."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def faults(self):
        """What the console and the log have of errors since the page was opened."""
        found = []
        for method, what in self.events:
            if method == "Runtime.exceptionThrown" or (method == "Runtime.consoleAPICalled"
                                                       and what["type"] in ("error", "assert")):
                found.append(str(what))
            elif method == "Log.entryAdded" and what["entry"]["level"] == "error":
                found.append(what["entry"]["text"])
        return found

    def requests(self):
        """Every address that the page has asked for."""
        return [what["request"]["url"] for method, what in self.events if method == "Network.requestWillBeSent"]

    def picture(self, path):
        """The whole page as PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
