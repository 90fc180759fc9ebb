"""Draw the leaderboard's plots as SVG; the same results give the same bytes.

The pictures have no background and one grey for text and axes, so that they can be read on a white
page and on a black one. `charts` says what is in them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import vl_convert

from benchmark.report import charts
from benchmark.report.aggregate import Board
from eventlog._runtime.files import new_file

GREY = "#7a7f87"
CONFIG = {
    "background": None,
    "view": {"stroke": None},
    "style": {"guide-label": {"fill": GREY}, "guide-title": {"fill": GREY}},
    "title": {"color": GREY},
    "text": {"color": GREY},
    "legend": {"labelColor": GREY},
    "axis": {"gridColor": "#7a7f8733", "domainColor": GREY, "tickColor": GREY},
}
SCRIPT = "vega.js"
SHOWS = "window.vegaEmbed = vegaEmbed;"  # what the page calls


def draw(boards: Sequence[Board], folder: Path) -> dict[str, dict[str, charts.Spec]]:
    """Draw all plots into `folder`: "log/task" or "log" -> file name -> specification."""
    made: dict[str, dict[str, charts.Spec]] = {}
    for board in boards:
        for what, spec in charts.of_board(board).items():
            name = _save(spec, folder, f"{board.log}-{board.task}-{what}")
            made.setdefault(f"{board.log}/{board.task}", {})[name] = spec
    for log in dict.fromkeys(b.log for b in boards):
        here = [b for b in boards if b.log == log and b.facts and set(b.sources) - set(b.copiers)]
        if here:
            spec = charts.utility(here)
            made[log] = {_save(spec, folder, f"{log}-utility-of-generators"): spec}
    return made


def write_script(folder: Path) -> None:
    """Write the library that shows the plots on the page, so that the page needs no network."""
    with new_file(folder / SCRIPT) as temporary:
        temporary.write_text(vl_convert.javascript_bundle(SHOWS), encoding="utf-8")


def _save(spec: charts.Spec, folder: Path, name: str) -> str:
    # A log may be called anything; the names of files are letters, digits and dashes.
    plain_name = re.sub(r"[^\w.-]+", "-", name)
    if plain_name != name:
        name = f"{plain_name}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    svg = vl_convert.vegalite_to_svg(spec, config=CONFIG)
    # Whole at once, because another run on the same folder may be reading it.
    with new_file(folder / f"{name}.svg") as temporary:
        temporary.write_text(svg, encoding="utf-8")
    return f"{name}.svg"
