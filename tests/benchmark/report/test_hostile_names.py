"""Names from data are text: they forge no row, no markup, no formula, and break no plot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fixtures.board_records import Results
from markdown_it import MarkdownIt

from benchmark.report import leaderboard
from benchmark.report.markdown import code, plain

HOSTILE = [
    "prices_$1",
    "a$b_$c^{",
    '[x]("onmouseover=alert(1))',
    "![x](http://evil/x.png)",
    "<img src=x onerror=alert(1)>",
    "row |\n| 1 | forged | 1.0000 |",
    "back`tick``s",
    "*bold* _it_ \\",
    "\u202eturned\u2028line",
    "a/b/../c",
]


def render(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_as_it_is(name: str) -> None:
    shown = " ".join(re.sub(r"[\u202e\u2028\n]", " ", name).split())
    for made in (plain(name), code(name)):
        cells = re.findall(
            "<td>(.*?)</td>", render(f"| a |\n|---|\n| {made} |\n") if made == plain(name) else ""
        )
        html = render(made)
        assert not re.search(r"<(img|a|em|strong|b)\b", html)
        text = re.sub("<[^>]+>", "", html)
        text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
        assert " ".join(text.replace("&amp;", "&").split()) == shown
        assert len(cells) <= 1


@pytest.mark.parametrize("name", HOSTILE)
def test_a_page_with_such_names_is_whole(name: str, tmp_path: Path) -> None:
    results = Results()
    curve = {"measure": name, "steps": [0, 1], "values": [0.1, 0.2], "best": 1}
    models = {"base_rate": [0.5] * 2, name: [0.8, 0.81], "other": [0.7, 0.71]}
    results.board(
        models,
        log=name,
        task=name,
        more={name: {"flags": [name], "curve": curve}, "other": {"curve": curve}},
        suspected=[name],
    )
    path = leaderboard.write(results.store(tmp_path / "r"), tmp_path / "out")
    text = path.read_text()
    html = (tmp_path / "out" / "leaderboard" / "index.html").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 3  # head, rule, three models
    assert not any(line.startswith("| 1 | forged") for line in rows)
    rendered = render(text)
    for page in (rendered, html):
        assert "<img src=x" not in page
        assert "http://evil" not in re.sub(r"!?\[x\]\(http://evil/x.png\)", "", page)
        assert not re.search(r"<[^>]+\sonmouseover=", page)
    assert len(re.findall("<tr>", rendered)) == 4


def test_a_log_on_which_every_cell_failed_has_a_page(tmp_path: Path) -> None:
    results = Results()
    results.board({"base_rate": [0.5], "a": [0.7], "b": [0.7]})
    for record in results.records:
        if record["kind"] == "model":
            record.update(status="error", error="no luck")
    path = leaderboard.write(results.store(tmp_path), tmp_path / "out")
    assert "error: no luck" in path.read_text()


def test_a_page_of_cells_that_never_ran_and_of_none_at_all(tmp_path: Path) -> None:
    results = Results()
    results.board({"base_rate": [0.5], "a": [0.7]})
    results.records.clear()
    assert (
        "prepared" in leaderboard.write(results.store(tmp_path / "a"), tmp_path / "b").read_text()
    )
    assert leaderboard.write(Results().store(tmp_path / "c"), tmp_path / "d").exists()
