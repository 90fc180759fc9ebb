"""The leaderboard's plots as Vega-Lite specifications: what a page shows and a picture is made of.

A model has one colour in all plots of all pages: it depends on its name alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from benchmark.evaluation import statistics
from benchmark.report.aggregate import Board, Row, curves
from benchmark.report.markdown import one_line
from eventlog._runtime import plugins

Spec = dict[str, Any]
WIDTH, HEIGHT = 560, 300
GREY = "#8a8f98"  # of what is no model; it can be read on white and on black
PALETTE = (  # colours that can be seen on white and on black: fifteen hues, then their relatives
    "#4c78a8", "#f58518", "#54a24b", "#e45756", "#b279a2", "#2aa3a3", "#d8a31a", "#d67195",
    "#9d755d", "#7a8cff", "#2f9ad6", "#a0a63a", "#c05bd6", "#17a673", "#ff7f6b",
    "#1f5fa8", "#c2630a", "#2f7d3a", "#b0282b", "#86508a", "#0f7c7c", "#a67c00", "#a83f66",
    "#6f4e37", "#5160e0", "#1673a8", "#7a8020", "#9434ad", "#0c7a53", "#d0563f",
)  # fmt: skip
NEAR_X, NEAR_Y = 0.2, 0.055  # shares of the axes within which two names would cover each other
LEAST_S = 1e-3  # CPU seconds; what costs less is drawn there


def of_board(board: Board) -> dict[str, Spec]:
    """Return the plots of one task on one log, by what they show."""
    if not board.facts:
        return {}
    made: dict[str, Spec] = {}
    if any(r.records and not r.reference for r in board.real):
        made["quality-and-cost"] = quality(board)
    if any(r.records and r.reference for r in board.real):
        made["ceilings"] = ladder(board)
    if any(curves(row) for row in board.real):
        made["learning-curves"] = learning(board)
    if len(board.values) > 2 and not board.one_fit:
        made["critical-differences"] = differences(board)
    return made


def colour(name: str) -> str:
    """Return the colour of a model: by its place among those installed, or by its name."""
    place = _places().get(name)
    if place is None:
        place = int(hashlib.sha256(name.encode()).hexdigest(), 16)
    return PALETTE[place % len(PALETTE)]


@cache
def _places() -> dict[str, int]:
    return {name: i for i, name in enumerate(plugins.names("baselines.models"))}


def quality(board: Board) -> Spec:
    """Draw quality against the cost of training, with the line that no model lies above."""
    rows = [r for r in board.real if r.records and not r.reference]
    points = [
        {
            "model": one_line(row.title),
            "cost": max(row.cost("fit_cpu_s"), LEAST_S) if row.cost("fit_cpu_s") >= 0 else LEAST_S,
            **_value(board, row),
        }
        for row in rows
    ]
    best = _pareto(points)
    ceilings = [
        {"name": one_line(r.title), "value": r.mean(board.headline)}
        for r in board.real
        if r.records and r.reference
    ]
    x: Spec = {"field": "cost", "type": "quantitative", "scale": {"type": "log"}}
    x["title"] = "CPU seconds of training"
    y = _y(board)
    tips = _tips(("model", "nominal"), ("value", "quantitative"), ("low", "quantitative"))
    tips += _tips(("high", "quantitative"), ("cost", "quantitative"))
    layers: list[Spec] = [
        {
            "data": {"values": best},
            "mark": {"type": "line", "interpolate": "step-after", "color": GREY, "opacity": 0.6},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": points},
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {"x": x, "y": _y(board, "low"), "y2": {"field": "high"}, **_model(points)},
        },
        {
            "data": {"values": points},
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
            "encoding": {"x": x, "y": y, "tooltip": tips, **_model(points)},
        },
        *_names(points, [*ceilings, *points], x),
        *_levels(ceilings, board),
    ]
    return _chart(f"{board.task} on {board.log}: quality and cost", layers)


def ladder(board: Board) -> Spec:
    """Draw the models between the trivial one and what the history, the slate and truth allow."""
    values = [
        {
            "model": one_line(row.title),
            "ceiling": row.reference,
            **_value(board, row),
        }
        for row in board.real
        if row.records
    ]
    names = [v["model"] for v in values]
    y = {"field": "model", "type": "nominal", "sort": names, "title": None}
    tips = _tips(("model", "nominal"), ("value", "quantitative"), ("low", "quantitative"))
    tips += _tips(("high", "quantitative"))
    colours = {
        "color": {
            "field": "model",
            "type": "nominal",
            "legend": None,
            "scale": {
                "domain": names,
                "range": [GREY if v["ceiling"] else colour(str(v["model"])) for v in values],
            },
        }
    }
    x = {"field": "value", "type": "quantitative", "title": one_line(board.headline)}
    layers: list[Spec] = [
        {"mark": {"type": "bar", "height": {"band": 0.7}}, "encoding": {"x": x, "tooltip": tips}},
        {
            "mark": {"type": "rule", "color": GREY, "strokeWidth": 1.5},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}},
        },
    ]
    layers[0]["encoding"] |= colours
    spec = _chart(f"{board.task} on {board.log}: how far to what is possible", layers)
    spec["height"] = {"step": 22}
    return {**spec, "data": {"values": values}, "encoding": {"y": y}}


def learning(board: Board) -> Spec:
    """Draw validation scores over the steps of training, a line a fit; a dot is what was kept."""
    lines, kept = [], []
    measures: dict[str, None] = {}
    for row in board.real:
        for fit, curve in enumerate(curves(row)):
            measures[str(curve["measure"])] = None
            made = [
                {"model": one_line(row.title), "fit": fit, "step": step, "value": value}
                for step, value in zip(curve["steps"], curve["values"], strict=True)
            ]
            lines += made
            kept.append(made[curve["best"]])
    x: Spec = {"field": "step", "type": "quantitative", "title": "step of training"}
    x["scale"] = {"type": "symlog", "constant": 10}
    y = {"field": "value", "type": "quantitative", "scale": {"zero": False}}
    y["title"] = one_line(", ".join(measures))
    legend = _model(lines, legend={"orient": "bottom", "columns": 5, "title": None})
    tips = _tips(("model", "nominal"), ("fit", "ordinal"), ("step", "quantitative"))
    tips += _tips(("value", "quantitative"))
    layers: list[Spec] = [
        {
            "data": {"values": lines},
            "mark": {"type": "line", "strokeWidth": 1.5},
            "encoding": {"x": x, "y": y, "detail": {"field": "fit"}, **legend},
        },
        {
            "data": {"values": kept},
            "mark": {"type": "point", "filled": True, "size": 50, "opacity": 1},
            "encoding": {"x": x, "y": y, "tooltip": tips, **legend},
        },
    ]
    return _chart(f"{board.task} on {board.log}: validation", layers)


def differences(board: Board) -> Spec:
    """Draw ranks with their intervals; a bar joins models that the test does not tell apart.

    After Demšar 2006.
    """
    shown = [one_line(name) for name in board.names]
    ranks = [
        {"model": one_line(name), "rank": board.ranks[name], "low": low, "high": high}
        for name, (low, high) in board.rank_intervals.items()
    ]
    bars = [
        {"model": one_line(name), "rank": len(shown) + 0.7 + 0.35 * k, "clique": k}
        for k, (first, last) in enumerate(statistics.cliques(board.names, board.found))
        for name in board.names[board.names.index(first) : board.names.index(last) + 1]
    ]
    y = {"field": "model", "type": "nominal", "sort": shown, "title": None}
    x: Spec = {"type": "quantitative", "title": "rank; all 95 % intervals hold together"}
    x |= {"scale": {"zero": False}, "axis": {"values": list(range(1, len(shown) + 1))}}
    tips = _tips(("model", "nominal"), ("rank", "quantitative"), ("low", "quantitative"))
    tips += _tips(("high", "quantitative"))
    layers: list[Spec] = [
        {
            "data": {"values": ranks},
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {
                "x": {**x, "field": "low"},
                "x2": {"field": "high"},
                "y": y,
                **_model(ranks),
            },
        },
        {
            "data": {"values": ranks},
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
            "encoding": {"x": {**x, "field": "rank"}, "y": y, "tooltip": tips, **_model(ranks)},
        },
        {
            "data": {"values": bars},
            "mark": {"type": "line", "strokeWidth": 5, "color": GREY},
            "encoding": {"x": {**x, "field": "rank"}, "y": y, "detail": {"field": "clique"}},
        },
    ]
    title = f"{board.task} on {board.log}: a bar joins models that are not told apart"
    return {**_chart(title, layers), "height": {"step": 24}}


def utility(boards: Sequence[Board]) -> Spec:
    """Draw what models reach that learnt from a generated log, as a share of the real one."""
    values = [
        {
            "source": one_line(f"{board.task}: {source}"),
            "model": one_line(name),
            "share": board.share(row),
        }
        for board in boards
        for source in board.sources
        if source not in board.copiers
        for name, row in board.rows[source].items()
        if math.isfinite(board.share(row))
    ]
    y = {"field": "source", "type": "nominal", "sort": None, "title": None}
    tips = _tips(("source", "nominal"), ("model", "nominal"), ("share", "quantitative"))
    x: Spec = {"field": "share", "type": "quantitative", "axis": {"format": "%"}}
    x["title"] = "share of what the same model reaches on the real log"
    legend = _model(values, legend={"orient": "bottom", "columns": 5, "title": None})
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "color": GREY, "strokeDash": [4, 3]},
            "encoding": {"x": {"datum": 1}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 0.9},
            "encoding": {"x": x, "y": y, "tooltip": tips, **legend},
        },
    ]
    spec = _chart("trained on generated logs, tested on the real one", layers)
    return {**spec, "data": {"values": values}, "height": {"step": 24}}


# --- parts ----------------------------------------------------------------------------------------


def _chart(title: str, layers: list[Spec]) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        # two lines, which fit a telephone: the table, and what is drawn
        "title": {"text": one_line(title).rsplit(": ", 1), "anchor": "start", "fontSize": 13},
        "width": WIDTH,
        "height": HEIGHT,
        "layer": layers,
    }


def _value(board: Board, row: Row) -> dict[str, float | None]:
    """Return the headline of a row with its interval, which may be missing."""
    value, (low, high) = row.mean(board.headline), board.interval(row, board.headline)
    known = math.isfinite(low) and math.isfinite(high)
    return {"value": value, "low": low if known else None, "high": high if known else None}


def _y(board: Board, field: str = "value") -> Spec:
    axis: Spec = {"field": field, "type": "quantitative", "title": one_line(board.headline)}
    return {**axis, "scale": {"zero": False}}


def _model(rows: Sequence[Mapping[str, Any]], *, legend: Spec | None = None) -> Spec:
    """Return the encoding of a model's own colour."""
    names = list(dict.fromkeys(str(row["model"]) for row in rows))
    scale = {"domain": names, "range": [colour(name) for name in names]}
    return {"color": {"field": "model", "type": "nominal", "scale": scale, "legend": legend}}


def _tips(*fields: tuple[str, str]) -> list[Spec]:
    return [
        {"field": name, "type": kind, **({"format": ".4g"} if kind == "quantitative" else {})}
        for name, kind in fields
    ]


def _pareto(points: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the points than which none is both cheaper and better, the cheapest first."""
    best: list[dict[str, Any]] = []
    for point in sorted(points, key=lambda p: (p["cost"], -p["value"])):
        if not best or point["value"] > best[-1]["value"]:
            best.append({"cost": point["cost"], "value": point["value"]})
    return best


def _levels(ceilings: Sequence[Mapping[str, Any]], board: Board) -> list[Spec]:
    """Return a dashed line and a name for each ceiling."""
    if not ceilings:
        return []
    data = {"values": list(ceilings)}
    text = {"type": "text", "align": "right", "baseline": "bottom", "dy": -2, "color": GREY}
    return [
        {
            "data": data,
            "mark": {"type": "rule", "strokeDash": [4, 3], "color": GREY},
            "encoding": {"y": _y(board)},
        },
        {
            "data": data,
            "mark": text,
            "encoding": {"x": {"value": WIDTH}, "y": _y(board), "text": {"field": "name"}},
        },
    ]


def _names(points: Sequence[Mapping[str, Any]], levels: Sequence[Any], x: Spec) -> list[Spec]:
    """Write names beside their points; one that would cover another moves down."""
    low = min(p["value"] for p in levels)
    high = max(p["value"] for p in levels)
    height = (high - low) or 1.0
    first, last = (f(math.log10(p["cost"]) for p in points) for f in (min, max))
    width = (last - first) or 1.0
    taken: list[tuple[float, float]] = []
    placed = []
    for point in sorted(points, key=lambda p: -p["value"]):
        across = (math.log10(point["cost"]) - first) / width
        at = (point["value"] - low) / height
        while any(abs(across - a) < NEAR_X and abs(at - b) < NEAR_Y for a, b in taken):
            at -= NEAR_Y / 2
        taken.append((across, at))
        left = across > 0.75
        placed.append({**point, "left": left, "at": low + at * height})
    y = {"field": "at", "type": "quantitative", "scale": {"zero": False}}
    return [
        {
            "data": {"values": [p for p in placed if p["left"] == left]},
            "mark": {"type": "text", "align": side, "dx": shift, "dy": -3, "baseline": "bottom"},
            "encoding": {"x": x, "y": y, "text": {"field": "model"}},
        }
        for left, side, shift in ((False, "left", 9), (True, "right", -9))
    ]
