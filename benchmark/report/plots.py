"""Draw the leaderboard's plots as SVG; the same results give the same bytes.

Quality against cost and critical differences for each task, and the utility of each generator.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.evaluation import statistics
from benchmark.report.aggregate import HISTORY, Board, curves
from eventlog._runtime.files import new_file

NEAR_X, NEAR_Y = 0.22, 0.06  # shares of the axes within which two names would cover each other
STYLE: Any = {
    "svg.hashsalt": "shoptwin",
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(boards: Sequence[Board], folder: Path) -> dict[str, list[str]]:
    """Draw all plots into `folder`, and return file names by "log/task" and by "log"."""
    made: dict[str, list[str]] = {}
    with plt.rc_context(STYLE):
        for board in boards:
            if any(r.records and not r.reference for r in board.real) and board.facts:
                made[f"{board.log}/{board.task}"] = [
                    _save(_quality(board), folder, f"{board.log}-{board.task}-quality-and-cost")
                ]
            if board.facts and any(curves(row) for row in board.real):
                made.setdefault(f"{board.log}/{board.task}", []).append(
                    _save(_curves(board), folder, f"{board.log}-{board.task}-learning-curves")
                )
            if len(board.values) > 2 and not board.one_fit:
                made.setdefault(f"{board.log}/{board.task}", []).append(
                    _save(_ranks(board), folder, f"{board.log}-{board.task}-critical-differences")
                )
        for log in dict.fromkeys(b.log for b in boards):
            here = [
                b for b in boards if b.log == log and b.facts and set(b.sources) - set(b.copiers)
            ]
            if here:
                made[log] = [_save(_utility(here), folder, f"{log}-utility-of-generators")]
    return made


def _quality(board: Board) -> Figure:
    rows = [r for r in board.real if r.records and not r.reference]
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for row in rows:
        value, (low, high) = row.mean(board.headline), board.interval(row, board.headline)
        cost = max(row.cost("fit_cpu_s"), 1e-3)
        axes.errorbar(
            cost, value, yerr=[[max(value - low, 0)], [max(high - value, 0)]], fmt="o", capsize=3
        )
    for row in board.real:
        if row.reference and row.records:
            axes.axhline(
                row.mean(board.headline),
                linestyle="--" if row.name == HISTORY else ":",
                color="grey",
                linewidth=1,
            )
            place = (1.0, row.mean(board.headline))
            axes.annotate(
                _plain(row.title),
                place,
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                color="grey",
            )
    axes.set_xscale("log")
    axes.set_xlabel("CPU seconds of training")
    axes.set_ylabel(_plain(board.headline))
    axes.set_title(_plain(f"{board.task} on {board.log}"))
    _label(axes, {r.name: (max(r.cost("fit_cpu_s"), 1e-3), r.mean(board.headline)) for r in rows})
    return figure


def _label(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write names beside their points, the highest first.

    One that would cover another moves down, with a line to its point.
    """
    taken: list[tuple[float, float]] = []
    for name, point in sorted(points.items(), key=lambda pair: -pair[1][1]):
        x, y = axes.transAxes.inverted().transform(axes.transData.transform(point))
        left = x > 0.75  # no room on the right
        at = y
        while any(abs(x - other) < NEAR_X and abs(at - height) < NEAR_Y for other, height in taken):
            at -= NEAR_Y / 4
        taken.append((x, at))
        axes.annotate(
            _plain(name),
            point,
            xytext=(x + (-0.02 if left else 0.02), at),
            textcoords="axes fraction",
            fontsize=9,
            ha="right" if left else "left",
            va="center",
            arrowprops={"arrowstyle": "-", "color": "grey", "linewidth": 0.6} if at != y else None,
        )


def _ranks(board: Board) -> Figure:
    """Draw the critical-difference plot (Demšar 2006) of one task.

    Ranks with their intervals; a bar joins models that the test does not separate.
    """
    names = board.names
    figure, axes = plt.subplots(figsize=(7, 1.1 + 0.28 * len(names)), layout="constrained")
    place = {name: -i for i, name in enumerate(names)}
    for name, (low, high) in board.rank_intervals.items():
        rank = board.ranks[name]
        axes.errorbar(
            rank,
            place[name],
            xerr=[[rank - low], [high - rank]],
            fmt="o",
            capsize=3,
            color="C0",
        )
    for k, (first, last) in enumerate(statistics.cliques(names, board.found)):
        x = len(names) + 0.8 + 0.3 * k
        axes.plot(
            [x, x],
            [place[first] + 0.2, place[last] - 0.2],
            color="black",
            linewidth=3,
            solid_capstyle="butt",
        )
    axes.set_yticks(list(place.values()), [_plain(name) for name in names])
    axes.set_xticks(range(1, len(names) + 1))
    axes.set_xlabel(
        "rank; all 95 % intervals hold together\na bar joins models that are not told apart"
    )
    axes.set_title(_plain(f"{board.task} on {board.log}: {board.headline}"))
    return figure


def _curves(board: Board) -> Figure:
    """Draw validation scores over the steps of training, a line a fit; a dot is what was kept."""
    rows = [row for row in board.real if curves(row)]
    figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
    for k, row in enumerate(rows):
        for i, curve in enumerate(curves(row)):
            color, best = f"C{k % 10}", curve["best"]
            label = _plain(row.title) if i == 0 else None
            axes.plot(curve["steps"], curve["values"], color=color, linewidth=1, label=label)
            axes.plot(curve["steps"][best], curve["values"][best], "o", color=color, markersize=4)
    axes.set_xscale("symlog", linthresh=10)
    axes.set_xlabel("step of training")
    measures = dict.fromkeys(str(c["measure"]) for row in rows for c in curves(row))
    axes.set_ylabel(_plain(", ".join(measures)))
    axes.set_title(_plain(f"{board.task} on {board.log}: validation"))
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def _utility(boards: Sequence[Board]) -> Figure:
    sources = list(dict.fromkeys(s for b in boards for s in b.sources if s not in b.copiers))
    figure, axes = plt.subplots(
        figsize=(7, 0.6 + 0.45 * len(sources) * len(boards)), layout="constrained"
    )
    places, labels = [], []
    for i, board in enumerate(boards):
        for j, source in enumerate(sources):
            place = -(i * (len(sources) + 1) + j)
            shares = [
                s for r in board.rows.get(source, {}).values() if math.isfinite(s := board.share(r))
            ]
            axes.scatter(shares, [place] * len(shares), s=22, alpha=0.7, color=f"C{j}")
            places.append(place)
            labels.append(_plain(f"{board.task}: {source}"))
    axes.axvline(1.0, color="grey", linewidth=1, linestyle="--")
    axes.set_yticks(places, labels)
    axes.set_xlabel("share of the utility of the real log, a dot a model")
    return figure


def _plain(text: str) -> str:
    """Return a text that matplotlib draws as it is: a dollar would begin a formula."""
    return " ".join("".join(c for c in text if c.isprintable()).split()).replace("$", r"\$")


def _save(figure: Figure, folder: Path, name: str) -> str:
    # A log may be called anything; the names of files are letters, digits and dashes.
    plain_name = re.sub(r"[^\w.-]+", "-", name)
    if plain_name != name:
        name = f"{plain_name}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    # Whole at once, because another run on the same folder may be reading it.
    with new_file(folder / f"{name}.svg") as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    plt.close(figure)
    return f"{name}.svg"
