"""Opens every page of a site in one headless Chromium: what is asked for, and what the
pages show.
"""

import json
import shutil
import subprocess
import threading
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

OPENER = "__open_all.html"

# One frame at a time; the results are left in the document for --dump-dom.
SCRIPT = """<!doctype html><title>opener</title>
<link rel="icon" href="data:,"><pre id="seen"></pre><script>
const pages = %s, seen = [];
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
async function open_page(page) {
  const frame = document.createElement("iframe");
  frame.style = "width: 1200px; height: 900px";
  const loaded = new Promise((done) => { frame.onload = done; });
  frame.src = page;
  document.body.append(frame);
  await loaded;
  const view = frame.contentWindow, body = view.document;
  const searching = () =>
    page.includes("search.html") && !body.querySelector("#search-results li");
  for (let i = 0; i < 40 && searching(); i++) await pause(100);
  if (view.MathJax && view.MathJax.startup) await view.MathJax.startup.promise;
  await pause(50);
  seen.push({
    page: page,
    formulas: body.querySelectorAll("mjx-container").length,
    bad_formulas: [...body.querySelectorAll("mjx-merror")].map((e) => e.textContent),
    broken_images: [...body.images]
      .filter((i) => i.complete && !i.naturalWidth)
      .map((i) => i.src),
    found: body.querySelectorAll("#search-results li").length,
  });
  frame.remove();
}
(async () => {
  for (const page of pages) await open_page(page);
  document.getElementById("seen").textContent = JSON.stringify(seen);
})();
</script>"""


@dataclass
class Visit:
    """What a browser saw on a site.

    Attributes:
        pages: For each page its formulas, bad formulas, broken images and search
            results.
        elsewhere: Addresses outside the site that a page asked for.
        missing: Addresses on the site that were asked for and are not there.
    """

    pages: list[dict[str, Any]]
    elsewhere: list[str]
    missing: list[str]


def visit(chromium: str, site: Path, pages: list[str], scratch: Path) -> Visit:
    """Open pages one after the other in a Chromium that finds no host but this one."""
    missing: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing: pytest shows what is missing."""

        def send_error(self, code: int, *words: Any, **more: Any) -> None:
            missing.append(self.path)
            super().send_error(code, *words, **more)

        def do_GET(self) -> None:
            if self.path == f"/{OPENER}":
                text = (SCRIPT % json.dumps(pages)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(text)
            else:
                super().do_GET()

    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(site))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    log = scratch / "net-log.json"
    home = f"http://127.0.0.1:{server.server_port}"
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
    ]
    command += [
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
    ]
    command += [f"--user-data-dir={scratch / 'profile'}", f"--log-net-log={log}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    command += ["--virtual-time-budget=200000", "--dump-dom", f"{home}/{OPENER}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=900, check=False
        )
    finally:
        server.shutdown()
        server.server_close()
        shutil.rmtree(scratch / "profile", ignore_errors=True)
    seen = _Text("seen")
    seen.feed(done.stdout)
    if not seen.text:
        raise RuntimeError(f"Chromium showed nothing: {done.stderr[-2000:]}")
    return Visit(json.loads(seen.text), _elsewhere(log, home), missing)


def _elsewhere(log: Path, home: str) -> list[str]:
    """Return the addresses that pages of the site asked for and that are not on it.

    What the browser asks for by itself (updates and the like) has no page as its
    initiator.
    """
    recorded = json.loads(log.read_text())
    kinds = recorded["constants"]["logEventTypes"]
    asked = []
    for event in recorded["events"]:
        parameters = event.get("params", {})
        if (
            event["type"] == kinds["URL_REQUEST_START_JOB"]
            and parameters.get("initiator") == home
        ):
            url = parameters["url"]
            if urlsplit(url).scheme in (
                "http",
                "https",
                "ws",
                "wss",
            ) and not url.startswith(f"{home}/"):
                asked.append(url)
    return asked


class _Text(HTMLParser):
    """Collects the text of the element with an id."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.inside, self.text = name, False, ""

    def handle_starttag(
        self, tag: str, attributes: list[tuple[str, str | None]]
    ) -> None:
        self.inside = ("id", self.name) in attributes

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.text += data
