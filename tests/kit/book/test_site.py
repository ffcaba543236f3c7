"""The site reads with the network cut: nothing comes from elsewhere, nothing is
missing, search works.
"""

import fcntl
import importlib.util
import os
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from notebooks.kit.build import build_pages, chapters, stage

PROJECT = Path(__file__).resolve().parents[3]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)


def load(name: str):  # type: ignore[no-untyped-def]
    """Import a helper that stands beside this file (pytest's importlib mode adds no
    path).
    """
    spec = importlib.util.spec_from_file_location(
        name, Path(__file__).with_name(f"{name}.py")
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


browser = load("site_in_browser")


@pytest.fixture(scope="session", params=["pages", "built"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The book as it would be built now, notebooks not executed (once a test run); and
    the one built last.
    """
    if request.param == "built":
        sites = [path.parent for path in PROJECT.glob("book/_build/**/html/.key")]
        if not sites:
            pytest.skip(
                "no book with executed notebooks has been built yet (make book)"
            )
        return max(sites, key=lambda path: (path / ".key").stat().st_mtime)
    own = tmp_path_factory.getbasetemp()
    shared = (
        own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    )  # one for all of xdist's workers
    html = shared / "site" / "_build" / "html"
    with open(shared / "site.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not html.is_dir():
            source = shared / "source"
            stage(
                PROJECT,
                source,
                {notebook.name: notebook.node for notebook in chapters(PROJECT)},
            )
            build_pages(source, shared / "site", strict=False)
    return html


def pages(site: Path) -> list[str]:
    return sorted(
        path.relative_to(site).as_posix()
        for path in site.rglob("*.html")
        if "_static" not in path.parts
    )


@pytest.fixture(scope="session")
def visit(site: Path, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: the pages were scanned, not opened")
    return browser.visit(
        CHROMIUM,
        site,
        [*pages(site), "search.html?q=non-local"],
        tmp_path_factory.mktemp("chromium"),
    )


def test_a_browser_asks_for_nothing_elsewhere_and_misses_nothing(
    site: Path, visit
) -> None:  # type: ignore[no-untyped-def]
    assert len(visit.pages) == len(pages(site)) + 1
    assert visit.elsewhere == []
    assert visit.missing == []
    assert [
        page["broken_images"] for page in visit.pages if page["broken_images"]
    ] == []


def test_formulas_are_set_and_search_finds(visit) -> None:  # type: ignore[no-untyped-def]
    by_name = {page["page"]: page for page in visit.pages}
    assert by_name["notation.html"]["formulas"] > 50
    assert [page["bad_formulas"] for page in visit.pages if page["bad_formulas"]] == []
    assert by_name["search.html?q=non-local"]["found"] > 0


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_browser_test_sees_what_it_should_refuse(tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text(
        '<img src="http://example.org/image.png"><script src="https://example.org/script.js"></script>'
        '<link rel="stylesheet" href="//example.org/style.css"><img src="missing.png">'
    )
    (tmp_path / "good.html").write_text(
        '<a href="https://example.org">a link is no request</a>'
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    seen = browser.visit(CHROMIUM, tmp_path, ["good.html", "bad.html"], scratch)
    assert sorted(seen.elsewhere) == [
        "http://example.org/image.png",
        "http://example.org/style.css",
        "https://example.org/script.js",
    ]
    assert seen.missing == ["/missing.png"]


LOADING = {"src", "srcset", "poster", "data"}
LOADING_LINKS = {
    "stylesheet",
    "preload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "modulepreload",
    "icon",
    "manifest",
}
ELSEWHERE = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
IN_STYLES = re.compile(
    r"(?:@import\s+|url\()\s*[\"']?\s*((?:https?:)?//[^\"')\s]+)", re.IGNORECASE
)
IN_SCRIPTS = re.compile(
    r"(?:fetch|import|importScripts|open)\(\s*[\"'](?:GET[\"'],\s*[\"'])?((?:https?:)?//[^\"']+)"
)


class Addresses(HTMLParser):
    """Collects what a page loads, and where it links."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(
        self, tag: str, attributes: list[tuple[str, str | None]]
    ) -> None:
        values = {name: value or "" for name, value in attributes}
        self.loaded += [values[name] for name in LOADING & values.keys() if tag != "a"]
        if tag == "link" and LOADING_LINKS & set(values.get("rel", "").lower().split()):
            self.loaded.append(values.get("href", ""))
        elif tag == "a" and "href" in values:
            self.linked.append(values["href"])
        self.loaded += IN_STYLES.findall(values.get("style", ""))


def addresses(page: Path) -> Addresses:
    found = Addresses()
    found.feed(page.read_text())
    return found


def test_the_files_name_nothing_elsewhere_to_load(site: Path) -> None:
    loaded = []
    for path in site.rglob("*"):
        if path.suffix == ".html" and "_static" not in path.parts:
            loaded += [
                (path.name, address)
                for address in addresses(path).loaded
                if ELSEWHERE.match(address)
            ]
        if path.suffix in (".css", ".html"):
            loaded += [
                (path.name, address) for address in IN_STYLES.findall(path.read_text())
            ]
        if (
            path.suffix in (".js", ".html")
            and "vendor" not in path.parts
            and "mathjax" not in path.parts
        ):
            loaded += [
                (path.name, address) for address in IN_SCRIPTS.findall(path.read_text())
            ]
    assert loaded == []


def test_links_and_files_within_the_site_are_there(site: Path) -> None:
    dead = []
    for name in pages(site):
        page = site / name
        found = addresses(page)
        for address in found.loaded + found.linked:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or not parts.path:
                continue
            if not (page.parent / unquote(parts.path)).exists():
                dead.append((name, address))
    assert dead == []


def test_the_scan_sees_what_it_should_refuse(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        '<img src="//example.org/a.png"><link rel="stylesheet" href="https://example.org/b.css">'
        '<div style="background: url(http://example.org/c.png)"></div><a href="https://example.org">fine</a>'
    )
    assert [
        address for address in addresses(page).loaded if ELSEWHERE.match(address)
    ] == [
        "//example.org/a.png",
        "https://example.org/b.css",
        "http://example.org/c.png",
    ]
    assert IN_STYLES.findall("@import 'https://example.org/d.css';") == [
        "https://example.org/d.css"
    ]
    assert IN_SCRIPTS.findall('fetch("https://example.org/e.json")') == [
        "https://example.org/e.json"
    ]
