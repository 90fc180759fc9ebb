"""The page: what is in it, and that its tables sort in a real browser, where Chromium is there."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmark.report.html import render

LINES = [
    "# Leaderboard",
    "",
    "Made with:",
    "",
    "    python -m benchmark run --models a<b",
    "",
    "## Log `shop`",
    "",
    "### Churn on `shop`",
    "",
    "| tier | model | auc [95 %] | costs |",
    "|---|---|---|---|",
    "| 1 | good *one* | 0.9000 [0.8, 1.0] | 1,200 |",
    "| 2 | middle | 0.8000 [0.7, 0.9] | – |",
    "| 3 | bad | 0.1000 [0.0, 0.2] | 90 |",
    "",
    "- left out: **fraud** [why](why.md), [how](../how.md)",
]
CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)


def test_the_text_is_all_there_and_escaped(tmp_path: Path) -> None:
    page = render(LINES, [], tmp_path)
    assert "a&lt;b" in page
    assert '<a href="#churn-on-shop">Churn on shop</a>' in page
    assert '<strong>fraud</strong> <a href="../why.md">why</a>' in page
    assert '<a href="../../how.md">how</a>' in page
    assert page.count("<tr>") == 4
    assert "http" not in re.sub(r"http://www.w3.org", "", page)  # it needs nothing from anywhere


def test_rows_are_marked_by_family(tmp_path: Path) -> None:
    lines = ["| model | family |", "|---|---|", "| a | sequence |", "| b | <i> |", "| c | – |"]
    page = render(lines, [], tmp_path)
    assert re.findall(r"<tr( class=[^>]*)?><td", page) == [' class="sequence"', "", ""]


def test_headings_of_one_text_have_anchors_of_their_own(tmp_path: Path) -> None:
    page = render(["## Log `a`", "### Generators", "## Log `b`", "### Generators"], [], tmp_path)
    assert re.findall(r'<h3 id="([^"]+)">', page) == ["generators", "generators-2"]
    assert '<a href="#generators-2">Generators</a>' in page


def test_what_comes_from_data_is_never_markup(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)> `<b>` [x](javascript:alert(1))"
    page = render([f"## {hostile}", "", hostile, "", f"| {hostile} |", "|---|"], [], tmp_path)
    assert "<img" not in page
    assert "<b>" not in page
    assert 'href="javascript' not in page


def test_drawings_are_inside_and_share_no_id(tmp_path: Path) -> None:
    for name in "ab":
        drawing = '<svg><path id="p"/><use xlink:href="#p"/><g clip-path="url(#p)"/></svg>'
        (tmp_path / f"{name}.svg").write_text('<?xml version="1.0"?>' + drawing)
    page = render(["![a plot](a.svg)", "![b plot](b.svg)"], [], tmp_path)
    assert 'aria-label="a plot"' in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) == 2
    assert page.count('href="#a-p"') == page.count("url(#a-p)") == 1


def opened(folder: Path, script: str, *, width: int = 1200, lines: list[str] = LINES) -> str:
    """The document as a browser holds it after `script`, in a frame of `width` pixels."""
    page, frame = folder / "page.html", folder / "frame.html"
    page.write_text(
        render(lines, [], folder).replace("</html>", f"<script>{script}</script></html>")
    )
    frame.write_text(
        f'<iframe src="page.html" width="{width}" height="800"></iframe><pre></pre><script>'
        "addEventListener('message', e => { document.querySelector('pre').textContent = e.data "
        "})</script>"
    )
    done = subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=2000",
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            frame.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return html.unescape(done.stdout)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_click_on_a_head_sorts_and_a_second_turns_the_order(tmp_path: Path) -> None:
    """In one start of the browser: each order is asked for of a fresh copy of the table."""
    said = opened(
        tmp_path,
        """
        const first = document.querySelector("tbody").innerHTML, found = [];
        const heads = document.querySelectorAll("th button");
        for (const clicks of [[], [2], [2, 2], [3], [1]]) {
          document.querySelector("tbody").innerHTML = first;
          for (const head of document.querySelectorAll("th")) head.removeAttribute("aria-sort");
          for (const place of clicks) heads[place].click();
          const rows = [...document.querySelectorAll("tbody tr")];
          found.push(rows.map(row => row.cells[1].textContent).join(", "));
        }
        const all = [...document.querySelectorAll("th")];
        found.push(all.map(head => head.getAttribute("aria-sort")).join(", "));
        parent.postMessage("orders: " + found.join("; ") + ".", "*");""",
    )
    assert re.search("orders: (.*?)[.]", said)[1].split("; ") == [  # type: ignore[index]
        "good one, middle, bad",
        "bad, middle, good one",
        "good one, middle, bad",
        "bad, good one, middle",  # 90 before 1,200; what is missing last
        "bad, good one, middle",  # text
        ", ascending, , ",
    ]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_reaches_beyond_the_window(width: int, tmp_path: Path) -> None:
    """A wide table, a long command and a drawing move sideways within their own box; the names of
    models stay in sight.
    """
    (tmp_path / "a.svg").write_text(
        '<svg width="900" height="300" viewBox="0 0 900 300"><path id="p"/></svg>'
    )
    wide = [
        "# Wide",
        "    python -m benchmark run " + "--models x " * 60,
        "",
        "![a plot](a.svg)",
        "",
        "| tier | model | " + " | ".join(f"metric_{i}" for i in range(40)) + " |",
        "|" + "---|" * 42,
        "| 1 | lstm |" + " 0.5000 [0.4, 0.6] |" * 40,
    ]
    said = opened(
        tmp_path,
        """
        const box = document.querySelector(".wide"); box.scrollLeft = 500;
        const name = document.querySelector("td.name").getBoundingClientRect();
        const whole = document.documentElement.scrollWidth;
        const found = [whole, innerWidth, box.scrollLeft, Math.round(name.left)];
        parent.postMessage(`widths: ${found.join(" ")}.`, "*");
        """,
        width=width,
        lines=wide,
    )
    whole, window, moved, left = map(
        int, re.search(r"widths: (\d+) (\d+) (\d+) (\d+)[.]", said).groups()
    )  # type: ignore[union-attr]
    assert whole <= window == width
    assert moved == 500
    assert 0 <= left < 60
