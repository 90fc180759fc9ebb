"""The page: what stands in it, and in a real browser that its tables sort (skipped where there is no Chromium)."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmark.page import render

LINES = [
    "# Leaderboard", "", "Made with:", "", "    python -m benchmark run --models a<b", "", "## Log `shop`", "", "### Churn on `shop`", "",
    "| tier | model | auc [95 %] | costs |", "|---|---|---|---|", "| 1 | good *one* | 0.9000 [0.8, 1.0] | 1,200 |",
    "| 2 | middle | 0.8000 [0.7, 0.9] | – |", "| 3 | bad | 0.1000 [0.0, 0.2] | 90 |", "", "- left out: **fraud** [why](why.md)",
]
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)


def test_the_text_is_all_there_and_escaped(tmp_path: Path) -> None:
    page = render(LINES, [], tmp_path)
    assert "a&lt;b" in page
    assert '<a href="#churn-on-shop">Churn on shop</a>' in page
    assert "<b>fraud</b> <a href=\"../why.md\">why</a>" in page
    assert page.count("<tr>") == 4
    assert "http" not in re.sub(r"http://www.w3.org", "", page)  # it needs nothing from anywhere


def test_drawings_are_inside_and_share_no_id(tmp_path: Path) -> None:
    for name in "ab":
        drawing = '<svg><path id="p"/><use xlink:href="#p"/><g clip-path="url(#p)"/></svg>'
        (tmp_path / f"{name}.svg").write_text('<?xml version="1.0"?>' + drawing)
    page = render(["![a plot](a.svg)", "![b plot](b.svg)"], [], tmp_path)
    assert 'aria-label="a plot"' in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) == 2
    assert page.count('href="#a-p"') == page.count("url(#a-p)") == 1


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_click_on_a_head_sorts_and_a_second_turns_the_order(tmp_path: Path) -> None:
    def order_after(clicks: str) -> list[str]:
        path = tmp_path / "page.html"
        path.write_text(render(LINES, [], tmp_path).replace("</html>", f"<script>{clicks}</script></html>"))
        done = subprocess.run([str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
                               "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
        body = done.stdout[done.stdout.index("<tbody>"):]
        return [html.unescape(re.sub("<.*?>", "", row.split("</td>")[1])) for row in re.findall(r"<tr>(.*?)</tr>", body)]

    head = "const heads = document.querySelectorAll('th button');"
    assert order_after("") == ["good one", "middle", "bad"]
    assert order_after(f"{head} heads[2].click()") == ["bad", "middle", "good one"]
    assert order_after(f"{head} heads[2].click(); heads[2].click()") == ["good one", "middle", "bad"]
    assert order_after(f"{head} heads[3].click()") == ["bad", "good one", "middle"]  # 90 before 1,200; what is missing last
    assert order_after(f"{head} heads[1].click()") == ["bad", "good one", "middle"]  # text
