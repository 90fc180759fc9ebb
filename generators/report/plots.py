"""The report's pictures as SVG to embed in a page.

They have no external references, and no two of them share an id.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from generators.evaluation.align import DAY_MS, HOUR_MS, AlignedLog, ngrams

REAL, SYNTHETIC, INK = "#1f5f8b", "#d9731a", "#1c2430"
# The page's colours, which change in dark mode; each with its value outside a page.
PAGE_COLOURS = {
    REAL: f"var(--real,{REAL})",
    SYNTHETIC: f"var(--synthetic,{SYNTHETIC})",
    INK: "currentColor",
}
FUNNEL = ("view", "cart", "checkout", "payment", "purchase", "refund")
TOP = 12  # bars or cells a side; more cannot be read
WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Picture:
    """One figure: its SVG, and its caption."""

    svg: str
    caption: str


def pictures(real: AlignedLog, synthetic: AlignedLog) -> dict[str, Picture]:
    """Draw real beside synthetic: marginals, funnel, transitions, times, lengths, popularity."""
    drawn: dict[str, tuple[Callable[..., None], tuple[int, float], str]] = {
        "marginals": (
            _marginals,
            _marginals_size(real),
            "Shares of the values of each column; numbers from the 1st to the 99th percentile.",
        ),
        "funnel": (_funnel, (7, 2.6), "Share of users who ever reach each step."),
        "transitions": (
            _transitions,
            (12, 4.4),
            "Probability of the next event (columns) after an event (rows), and the difference.",
        ),
        "gaps": (_gaps, (7, 2.8), "Time between two rows of a user."),
        "lengths": (
            _lengths,
            (10, 2.8),
            "Share of users and of sessions with at least that many rows.",
        ),
        "cycles": (_cycles, (10, 2.8), "Rows by hour of the day (UTC) and by weekday."),
        "popularity": (
            _popularity,
            (7, 2.8),
            "Share of rows of the item at each rank, each log ranked by itself.",
        ),
    }
    if not any("item_id" in f.codes and (f.codes["item_id"] >= 0).any() for f in (real, synthetic)):
        del drawn["popularity"]
    out = {}
    for name, (draw, size, caption) in drawn.items():
        figure = _figure(size)
        with _style(name):
            draw(figure, real, synthetic)
            out[name] = Picture(_svg(figure, name, caption), caption)
    return out


# --- drawings -------------------------------------------------------------------------------------


def _marginal_columns(flat: AlignedLog) -> tuple[list[str], list[str]]:
    codes = [
        "event",
        *(
            n
            for n in flat.codes
            if n not in ("event", "item_id") and 1 < len(flat.levels[n]) <= 500
        ),
    ]
    return codes[:8], list(flat.numbers)[:4]


def _marginals_size(flat: AlignedLog) -> tuple[int, float]:
    return 12, 3.0 * -(-sum(map(len, _marginal_columns(flat))) // 3)


def _marginals(figure: Any, real: AlignedLog, synthetic: AlignedLog) -> None:
    codes, numbers = _marginal_columns(real)
    axes = np.atleast_1d(figure.subplots(-(-(len(codes) + len(numbers)) // 3), 3)).ravel()
    for ax, name in zip(axes, [*codes, *numbers], strict=False):
        if name in codes:
            shares = [
                np.bincount(f.codes[name][f.codes[name] >= 0], minlength=len(f.levels[name]))
                for f in (real, synthetic)
            ]
            a, b = (s / max(s.sum(), 1) for s in shares)
            top = np.argsort(-(a + b), kind="stable")[:TOP]
            _bars(ax, [str(real.levels[name][i]) for i in top], a[top], b[top])
        else:
            present = [f.numbers[name][np.isfinite(f.numbers[name])] for f in (real, synthetic)]
            _histogram(ax, present[0], present[1])
        ax.set_title(_short(name), fontsize=9)
    for ax in axes[len(codes) + len(numbers) :]:
        ax.set_axis_off()
    _legend(axes[0])


def _bars(ax: Any, names: list[str], a: np.ndarray, b: np.ndarray) -> None:
    at = np.arange(len(names))[::-1]
    ax.barh(at + 0.2, a, height=0.38, color=REAL, label="real")
    ax.barh(at - 0.2, b, height=0.38, color=SYNTHETIC, label="synthetic")
    ax.set_yticks(at, [_short(n) for n in names], fontsize=7)


def printable(text: str) -> str:
    """Return `text` on one line and without control characters.

    Some of them reverse the direction of the text around them.
    """
    return "".join(c if c.isprintable() else " " for c in text)


def _short(name: str) -> str:
    """Return a printable name, cut to the length of a label."""
    name = printable(name)
    return name if len(name) <= 22 else name[:21] + "…"


def _histogram(ax: Any, a: np.ndarray, b: np.ndarray, bins: int = 40) -> None:
    both = np.concatenate([a, b])
    low, high = np.percentile(both, [1, 99]) if len(both) else (0.0, 1.0)
    edges = np.linspace(low, max(high, low + 1e-9), bins + 1)
    for values, colour, label in ((a, REAL, "real"), (b, SYNTHETIC, "synthetic")):
        ax.stairs(
            np.histogram(values, edges)[0] / max(len(values), 1),
            edges,
            color=colour,
            label=label,
            linewidth=1.4,
        )


def _funnel(figure: Any, real: AlignedLog, synthetic: AlignedLog) -> None:
    ax = figure.subplots()
    reached = {
        role: [len(np.unique(f.user[f.is_role(role)])) / f.n_users for f in (real, synthetic)]
        for role in FUNNEL
    }
    shown = [role for role, shares in reached.items() if any(shares)]
    _bars(
        ax,
        shown,
        np.array([reached[r][0] for r in shown]),
        np.array([reached[r][1] for r in shown]),
    )
    _legend(ax)


def _transitions(figure: Any, real: AlignedLog, synthetic: AlignedLog) -> None:
    width = len(real.levels["event"])
    counts = [
        np.bincount(ngrams(f, 2)[0], minlength=width * width).reshape(width, width)
        for f in (real, synthetic)
    ]
    top = np.argsort(-(counts[0] + counts[1]).sum(axis=1), kind="stable")[:TOP]
    tables = [
        c[np.ix_(top, top)] / np.maximum(c[top].sum(axis=1, keepdims=True), 1) for c in counts
    ]
    names = [_short(str(real.levels["event"][i])) for i in top]
    axes = figure.subplots(1, 3)
    peak = max(float(np.max(tables, initial=0.0)), 1e-9)
    gap = max(float(np.abs(tables[1] - tables[0]).max(initial=0.0)), 0.05)
    for ax, table, title, span, colours in (
        (axes[0], tables[0], "real", (0, peak), "Blues"),
        (axes[1], tables[1], "synthetic", (0, peak), "Blues"),
        (axes[2], tables[1] - tables[0], "synthetic less real", (-gap, gap), "RdBu_r"),
    ):
        mesh = ax.pcolormesh(table[::-1], vmin=span[0], vmax=span[1], cmap=colours)
        ax.set_xticks(np.arange(len(names)) + 0.5, names, rotation=60, ha="right", fontsize=7)
        ax.set_yticks(
            np.arange(len(names)) + 0.5,
            names[::-1] if title == "real" else [""] * len(names),
            fontsize=7,
        )
        ax.set_title(title, fontsize=9)
        figure.colorbar(mesh, ax=ax, shrink=0.7)


def _gaps(figure: Any, real: AlignedLog, synthetic: AlignedLog) -> None:
    ax = figure.subplots()
    ours, made = (np.log10(1 + f.gap[np.isfinite(f.gap)]) for f in (real, synthetic))
    _histogram(ax, ours, made, bins=60)
    marks = {
        "1 s": 1,
        "10 s": 10,
        "1 min": 60,
        "10 min": 600,
        "1 h": 3600,
        "6 h": 21_600,
        "1 day": 86_400,
        "1 week": 604_800,
        "1 month": 2_592_000,
    }
    low, high = ax.get_xlim()
    shown = {k: np.log10(1 + v) for k, v in marks.items() if low <= np.log10(1 + v) <= high}
    ax.set_xticks(list(shown.values()), list(shown), fontsize=8)
    _legend(ax)


def _lengths(figure: Any, real: AlignedLog, synthetic: AlignedLog) -> None:
    axes = figure.subplots(1, 2)
    for flat, colour, label in ((real, REAL, "real"), (synthetic, SYNTHETIC, "synthetic")):
        sessions = np.diff(np.append(np.flatnonzero(flat.starts), flat.n_rows))
        for ax, sizes in zip(axes, (flat.lengths, sessions), strict=True):
            values, counts = np.unique(sizes, return_counts=True)
            ax.step(
                values,
                1 - (np.cumsum(counts) - counts) / counts.sum(),
                where="post",
                color=colour,
                label=label,
                linewidth=1.4,
            )
    for ax, title in zip(
        axes, ("rows per user, at least", "rows per session, at least"), strict=True
    ):
        _log_log(ax)
        ax.set_xlabel(title)
    _legend(axes[0])


def _cycles(figure: Any, real: AlignedLog, synthetic: AlignedLog) -> None:
    axes = figure.subplots(1, 2, width_ratios=[2, 1])
    for flat, colour, label in ((real, REAL, "real"), (synthetic, SYNTHETIC, "synthetic")):
        hour = np.bincount(flat.time // HOUR_MS % 24, minlength=24) / flat.n_rows
        # 1970-01-01 was a Thursday
        day = np.bincount((flat.time // DAY_MS + 3) % 7, minlength=7) / flat.n_rows
        axes[0].plot(np.arange(24), hour, color=colour, label=label, marker="o", markersize=3)
        axes[1].plot(np.arange(7), day, color=colour, label=label, marker="o", markersize=3)
    axes[0].set_xticks(np.arange(0, 24, 3), [f"{h:02d}:00" for h in range(0, 24, 3)], fontsize=8)
    axes[1].set_xticks(np.arange(7), list(WEEK), fontsize=8)
    for ax in axes:
        ax.set_ylim(bottom=0)
    _legend(axes[0])


def _popularity(figure: Any, real: AlignedLog, synthetic: AlignedLog) -> None:
    ax = figure.subplots()
    for flat, colour, label in ((real, REAL, "real"), (synthetic, SYNTHETIC, "synthetic")):
        item = flat.codes["item_id"]
        counts = np.sort(np.bincount(item[item >= 0]))[::-1]
        counts = counts[counts > 0]
        # Evenly spaced ranks on the log axis: a long tail drawn point by point would make the page
        # heavy.
        rank = (
            np.unique(np.geomspace(1, max(len(counts), 1), 200).astype(int))
            if len(counts)
            else np.zeros(0, dtype=int)
        )
        ax.plot(rank, counts[rank - 1] / max(counts.sum(), 1), color=colour, label=label)
    _log_log(ax)
    ax.set_xlabel("rank of the item")
    _legend(ax)


# --- SVG ------------------------------------------------------------------------------------------


def _figure(size: tuple[float, float]) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def _style(name: str) -> Any:
    """Return the style of the pictures: text as text, never as mathematics, and fixed ids."""
    import matplotlib

    return matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": name,
            "text.parse_math": False,
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "text.color": INK,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.titlecolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
        }
    )


def _log_log(ax: Any) -> None:
    """Set logarithmic axes with plain numbers; powers would need mathematics (see `_style`)."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")


def _legend(ax: Any) -> None:
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=8)


def _svg(figure: Any, name: str, caption: str) -> str:
    """Return the figure's <svg> element, with the page's colours and a transparent background.

    Its ids are prefixed with `name`. Metadata and namespaces, which HTML does not need, are gone.
    """
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # the reader's fonts draw the text; matplotlib's only measure it
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    # matplotlib names every group, some twice
    text = re.sub(r'\sid="([^"]*)"', lambda m: m[0] if m[1] in used else "", text)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    for colour, shown in PAGE_COLOURS.items():
        text = text.replace(colour, shown)
    # px: a small picture is not blown up to the width of the page
    wide = round(96 * figure.get_figwidth())
    tag = rf'<svg \g<1> style="max-width:{wide}px" role="img" aria-label="{caption}">'
    return re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', tag, text, count=1)
