"""The explorer: its data, its plots, and that it filters and links in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from fixtures.board_records import Results

from baselines import names
from benchmark.report import charts, frame, leaderboard

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explorer")
    results = Results()
    results.board({"base_rate": [0.5], "lstm": [0.8, 0.82], "</script>": [0.7, 0.6]})
    leaderboard.write(results.store(folder), folder)
    return folder / "leaderboard" / "index.html"


def test_the_data_beside_the_page_are_the_rows_of_the_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    rows = json.loads(re.search('id="rows">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    assert [row["model"] for row in rows] == ["lstm", "</script>", "base_rate"]
    table = pd.read_parquet(page.with_name("leaderboard.parquet"))
    assert list(table["model"]) == [row["model"] for row in rows]
    assert list(pd.read_csv(page.with_name("leaderboard.csv"))) == list(table)
    same = frame.leaderboard(page.parents[1])
    pd.testing.assert_frame_equal(same, table, check_dtype=False)
    assert same["value"].iloc[0] == pytest.approx(0.81)


def test_every_installed_model_has_a_colour_of_its_own() -> None:
    colours = [charts.colour(name) for name in names()]
    assert len(set(colours)) == len(colours) or len(colours) > len(charts.PALETTE)
    assert charts.colour("mine") == charts.colour("mine")


def test_no_model_lies_above_the_pareto_line() -> None:
    points = [
        {"cost": c, "value": v} for c, v in [(1, 0.5), (2, 0.4), (3, 0.9), (1, 0.6), (5, 0.9)]
    ]
    assert charts._pareto(points) == [{"cost": 1, "value": 0.6}, {"cost": 3, "value": 0.9}]


def test_pictures_have_no_background_of_their_own(page: Path) -> None:
    for picture in page.parent.glob("*.svg"):
        text = picture.read_text(encoding="utf-8")
        assert 'fill="white"' not in text
        assert 'fill="#fff' not in text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_filters_stand_in_the_address_and_come_back_from_it(page: Path, tmp_path: Path) -> None:
    script = """
      const say = [], rows = () => [...document.querySelectorAll("#explorer tbody tr")];
      const form = document.querySelector("#explorer form");
      say.push(rows().length);
      form.q.value = "LST"; form.q.dispatchEvent(new Event("input", { bubbles: true }));
      say.push(rows().map(r => r.cells[0].textContent));
      const link = document.getElementById("permalink").getAttribute("href");
      form.reset(); setTimeout(() => {
        say.push(rows().length);
        document.querySelector("#explorer thead [data-column=value]").click();
        say.push(rows()[0].cells[0].textContent);
        location.hash = link;
        setTimeout(() => {
          say.push(rows().length, form.q.value, typeof vegaEmbed);
          document.querySelector("output").textContent = "found: " + JSON.stringify(say);
        }, 200);
      }, 50);"""
    changed = page.with_name("test.html")
    text = page.read_text(encoding="utf-8")
    changed.write_text(
        text.replace(
            "</html>", f"<script>addEventListener('load', () => {{{script}}})</script></html>"
        )
    )
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu",
            "--virtual-time-budget=4000", f"--user-data-dir={tmp_path}", "--dump-dom",
            changed.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    said = re.search(r"found: (\[.*?\])</output>", html.unescape(done.stdout))
    assert said is not None
    assert json.loads(said[1]) == [3, ["lstm"], 3, "base_rate", 1, "LST", "function"]
