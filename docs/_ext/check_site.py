"""Check a built site: every link inside it leads somewhere, and no page fetches from the net.

Usage: ``python docs/_ext/check_site.py build/docs``. Exit code 1 with a line per fault.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {"img": "src", "script": "src", "link": "href", "iframe": "src"}


class Page(HTMLParser):
    """The anchors, the links and what a page loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect from one tag."""
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in FETCHED and FETCHED[tag] in given and given.get("rel") != "canonical":
            self.loads.append(given[FETCHED[tag]])


def faults(site: Path) -> list[str]:
    """Return a sentence for each broken link and each thing that is fetched from elsewhere."""
    pages = {p.resolve(): Page(p.read_text(encoding="utf-8")) for p in site.rglob("*.html")}
    found = []
    for path, page in pages.items():
        where = path.relative_to(site.resolve())
        for target in page.loads:
            if urlsplit(target).netloc:
                found.append(f"{where} fetches {target}")
        for target in [*page.links, *page.loads]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not file.exists():
                found.append(f"{where} links to {target}, which does not exist")
            elif (
                parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].ids
            ):
                found.append(f"{where} links to {target}, which has no such place")
    return found


if __name__ == "__main__":
    problems = faults(Path(sys.argv[1]))
    print("\n".join(problems))
    sys.exit(1 if problems else 0)
