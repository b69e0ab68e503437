"""Opens a study's HTML report in headless Chromium, clicks through all of it, and says what fails.

`python -m tests.report_in_chromium REPORT.html [SCREENSHOT.png]`. Exit code 1, and a line for
each, if an image does not load, a script fails, a category or result cannot be opened, or the page
asks for anything that is not in it. Chromium is driven through its own pipe (the DevTools
protocol), so that nothing needs to be installed but Chromium, and no name resolves.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

INSIDE = ("file:", "data:", "blob:", "about:", "chrome:", "javascript:")
SECONDS = 50.0
MENU = "[...document.querySelectorAll('nav li a')].find(a => a.innerText.trim() === %s)"
EYES = """[...document.querySelectorAll('nav tbody tr')]
  .map(row => row.querySelector('td:last-child a'))"""
SHOWN = "[...document.images].every(i => i.complete)"
BROKEN = """[...document.images].filter(i => i.complete && !i.naturalWidth)
  .map(i => i.src.slice(0, 60))"""


class Page:
    """A page of a Chromium of its own, and what it complained of."""

    def __init__(self, chromium: str, profile: str) -> None:
        read, self._out = os.pipe()
        self._in, write = os.pipe()
        flags = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--allow-file-access-from-files", "--disable-dev-shm-usage"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1400,1000"),
            *(f"--user-data-dir={profile}", "--remote-debugging-pipe"),
        ]
        # The protocol's pipe is file descriptors 3 and 4.
        redirect = f'exec "$@" 3<&{read} 4>&{write}'
        self.process = subprocess.Popen(
            ["bash", "-c", redirect, "bash", chromium, *flags, "about:blank"],
            pass_fds=(read, write), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self.problems: list[str] = []
        self.contexts: dict[int, str] = {}
        self._deadline = time.monotonic() + SECONDS
        self._sent, self._rest, self._session = 0, b"", ""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command; events that come before it are noted."""
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        for answer in self._messages():
            if answer.get("id") == self._sent:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer.get("result", {})
            self._note(answer)
        raise RuntimeError(f"{method}: Chromium ended")

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            *whole, self._rest = self._rest.split(b"\0")
            if whole:
                first, *others = whole
                self._rest = b"\0".join([*others, self._rest])
                yield json.loads(first)
                continue
            if time.monotonic() > self._deadline:
                raise RuntimeError(f"the report took more than {SECONDS:g} s")
            received = os.read(self._in, 1 << 20)
            if not received:
                return
            self._rest += received

    def _note(self, event: dict[str, Any]) -> None:
        match event:
            case {"method": "Network.requestWillBeSent", "params": {"request": {"url": url}}}:
                if not url.startswith(INSIDE):
                    self.problems.append(f"request that leaves the page: {url[:120]}")
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                text = details.get("exception", {}).get("description") or details["text"]
                self.problems.append(f"script fails: {text.splitlines()[0]}")
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error"} as entry}}:
                self.problems.append(f"error: {entry['text']}")
            case {"method": "Runtime.executionContextCreated", "params": {"context": context}}:
                self.contexts[context["id"]] = context["auxData"].get("frameId", "")
            case {"method": "Runtime.executionContextDestroyed", "params": gone}:
                self.contexts.pop(gone["executionContextId"], None)
            case {"method": "Runtime.executionContextsCleared"}:
                self.contexts.clear()

    def value(self, expression: str, context: int | None = None) -> Any:
        """What an expression comes to on the page, or in a frame of it."""
        where = {} if context is None else {"contextId": context}
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, **where)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return found["result"].get("value")

    def settle(self) -> None:
        """Wait until the page and its frames have loaded, and note images that did not."""
        ready = f"document.readyState === 'complete' && {SHOWN}"
        self.value("new Promise(r => requestAnimationFrame(() => setTimeout(r, 20)))")
        time.sleep(0.05)
        for context in [None, *self.contexts]:
            try:
                while not self.value(ready, context):
                    time.sleep(0.02)
                broken = self.value(BROKEN, context)
            except RuntimeError as error:
                if "context" in str(error):  # its frame has gone meanwhile
                    continue
                raise
            self.problems += [f"image does not load: {source}" for source in broken]


def check(report: Path, page: Page, screenshot: Path | None) -> tuple[int, int]:
    """Open everything that the report has; the numbers of categories and of results opened."""
    page.send("Page.navigate", url=report.resolve().as_uri())
    while not page.value("typeof app !== 'undefined' && document.readyState === 'complete'"):
        time.sleep(0.05)
    page.settle()
    if screenshot:
        time.sleep(1.0)  # for what fades in
        picture = page.send("Page.captureScreenshot", format="png")["data"]
        screenshot.write_bytes(base64.b64decode(picture))
    links = "document.querySelectorAll('.prose a')"
    for place in range(page.value(f"{links}.length")):
        page.value("app.setView({navbarMode: 'menu', content: 'rulegraph'})")
        page.settle()
        page.value(f"{links}[{place}].click()")
        page.settle()
    categories, opened = page.value("Object.keys(categories)"), set()
    for category in categories:
        page.value("app.setView({navbarMode: 'menu'})")
        page.settle()
        page.value(f"{MENU % json.dumps(category)}.click()")
        page.settle()
        for place in range(page.value(f"{EYES}.length")):
            file = page.value(f"{EYES}[{place}].download")
            if file:  # to be kept, not shown
                if not page.value(f"{EYES}[{place}].href.startsWith('data:')"):
                    page.problems.append(f"not in the page: {file}")
                opened.add(file)
                continue
            page.value(f"{EYES}[{place}].click()")
            page.settle()
            opened.add(page.value("app.state.resultPath"))
    return len(categories), len(opened - {None})


def main(arguments: list[str]) -> int:
    chromium = which("chromium") or which("chromium-browser") or which("google-chrome")
    if chromium is None:
        print("report_in_chromium: no chromium on the PATH")
        return 2
    report = Path(arguments[0])
    screenshot = Path(arguments[1]) if arguments[1:] else None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        page = Page(chromium, profile)
        try:
            categories, opened = check(report, page, screenshot)
            results = page.value("Object.keys(results).length")
        except RuntimeError as error:
            categories, opened, results = 0, 0, 0
            page.problems.append(str(error))
        finally:
            page.process.kill()
            page.process.wait()
    if opened < results:
        page.problems.append(f"{results} results, but {opened} could be opened")
    for problem in dict.fromkeys(page.problems):
        print(f"{report}: {problem}")
    print(f"{report}: {categories} categories, {opened} of {results} results opened")
    return 1 if page.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
