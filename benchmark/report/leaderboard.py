"""Write results as leaderboard.md and leaderboard/index.html with its plots, or as a table.

Everything is taken from the results folder, so the pages can be made again from it at any time,
byte for byte. They name no folder of the machine that made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.execution.plan import Cell
from benchmark.execution.results import Store
from benchmark.report import (
    closed_loop_section,
    frame,
    generated_section,
    overview,
    task_section,
)
from benchmark.report.aggregate import COSTS, Board, boards
from benchmark.report.generated import generated
from benchmark.report.markdown import code, each
from benchmark.report.paths import without_folders
from eventlog._runtime.files import new_file
from eventlog._runtime.text import one_line

if TYPE_CHECKING:
    import pandas as pd

HEADROOM = (
    "Headroom: 0 % is the trivial model, 100 % what the history alone allows; the ceilings above "
    "it also know the slate that was shown, or all that the simulator knows. "
)


def write(
    store: Store,
    out: Path,
    *,
    found: Sequence[Board] | None = None,
    plots: bool = True,
    costs: bool = True,
) -> Path:
    """Write `out`/leaderboard.md and the page `out`/leaderboard/index.html with its data.

    Args:
        store: the results.
        out: the folder to write to.
        found: the boards of the results, where they are at hand.
        plots: write the page with its plots too, and not only the Markdown.
        costs: show what depends on the machine's speed.

    Returns the path of the Markdown. Raises InputError where there are no results.
    """
    plan = store.plan()
    all_boards = boards(store, plan["cells"]) if found is None else found
    pictures: dict[str, dict[str, Any]] = {}
    if plots:
        from benchmark.report.plots import draw, write_script

        pictures = draw(all_boards, out / "leaderboard")
        write_script(out / "leaderboard")
        frame.write(all_boards, out / "leaderboard")
    page = out / "leaderboard.md"
    text = list(lines(store, plan, all_boards, pictures, costs=costs))
    if plots:
        from benchmark.report.html import render

        with new_file(out / "leaderboard" / "index.html") as temporary:
            specs = {name: spec for made in pictures.values() for name, spec in made.items()}
            temporary.write_text(render(text, all_boards, out, specs), encoding="utf-8")
    with new_file(page) as temporary:
        temporary.write_text("\n".join(text) + "\n", encoding="utf-8")
    return page


def table(store: Store, cells: Sequence[Cell]) -> pd.DataFrame:
    """Return a row for each model or reference cell: labels, status, metrics, costs.

    The column `copies` says why the source of the training data counts as a copy of the real log;
    None where it does not.
    """
    import pandas as pd

    plain = [{"kind": c.kind, "label": c.label, "key": c.key} for c in cells]
    copies = {
        (log, g.name): g.copies
        for log in {c.label["log"] for c in cells}
        for g in generated(store, plain, log)
    }
    rows = []
    for cell in cells:
        if cell.kind not in ("model", "reference", "closed_loop"):
            continue
        record = store.latest(cell.key) or {"status": "not run"}
        rows.append(
            {
                **{k: cell.label.get(k) for k in ("log", "task", "source", "model", "seed")},
                "status": record["status"],
                "error": record.get("error"),
                "copies": copies.get((cell.label["log"], str(cell.label.get("source")))),
                **(record.get("metrics") or {}),
                **{c: record.get(c) for c in COSTS},
                "key": cell.key,
            }
        )
    return pd.DataFrame(rows)


def lines(
    store: Store,
    plan: dict[str, Any],
    all_boards: Sequence[Board],
    pictures: Mapping[str, Iterable[str]],
    *,
    costs: bool = True,
) -> Iterator[str]:
    """Yield the page line by line; without `costs` nothing depends on the machine's speed."""
    yield "# Leaderboard"
    yield ""
    yield from _header(store, plan, costs)
    yield from overview.lines(all_boards)
    for name in dict.fromkeys(c["label"]["log"] for c in plan["cells"]):
        here = [b for b in all_boards if b.log == name]
        record = _log_record(store, plan, name)
        yield f"## Log {code(name)}"
        yield ""
        if record:
            yield (
                f"{record['events']:,} events, {record['users']:,} users, {record['items']:,} "
                f"items, {record['purchases']:,} purchases, "
                f"{record['first'][:16]} to {record['last'][:16]}; cut at {record['cut'][:16]}; "
                f"data `{record['digest']}`."
            )
            yield ""
        for board in here:
            yield from task_section.section(board, costs)
            yield from _pictures(pictures.get(f"{board.log}/{board.task}", ()))
        yield from closed_loop_section.lines(store, plan, name)
        yield from generated_section.utility(here)
        yield from _pictures(pictures.get(name, ()))
        yield from generated_section.generators(store, plan, name, costs)


def _header(store: Store, plan: dict[str, Any], costs: bool) -> Iterator[str]:
    records = [r for c in plan["cells"] if (r := store.latest(c["key"])) is not None]
    good = sum(r["status"] == "ok" for r in records)
    without = {r["key"] for r in records if r["status"] == "left out"}
    # a task that is left out, and its models
    without |= {c["key"] for c in plan["cells"] if without & set(c["needs"])}
    environments = [r["environment"] for r in records]
    seeded = ("model", "closed_loop")
    seeds = sorted({c["label"]["seed"] for c in plan["cells"] if c["kind"] in seeded})
    versions = each(
        {
            f"{k} {v}"
            for e in environments
            for k, v in e["versions"].items()
            if k in ("numpy", "torch", "lightgbm")
        }
    )
    commits = each(
        {f"{e['commit'] or 'none'}{' + changes' if e['dirty'] else ''}" for e in environments}
    )
    yield "Written by the program; do not edit. Made with:"
    yield ""
    yield f"    {one_line(without_folders(plan['command'], store.folder))}"
    yield ""
    machines = each({f"{e['machine']} ({e['cores']} cores)" for e in environments})
    python = each({e["python"] for e in environments})
    yield (
        f"Suite {code(plan['suite'])}, profile {code(plan['profile'])}, "
        f"seeds {', '.join(map(str, seeds)) or 'none'}; "
        f"{good} of {len(plan['cells'])} cells ok, {len(without)} left out."
    )
    yield f"Machine: {machines}{_speed(environments) if costs else ''}."
    yield f"Python {python}, {versions}; commit {commits}."
    yield ""
    yield from _reading(plan)


def _speed(environments: Sequence[dict[str, Any]]) -> str:
    """Return what a core of the machines does, where the records say so: times depend on it."""
    found = [e["speed"] for e in environments if isinstance(e.get("speed"), dict)]
    parts = []
    for name, unit in (("gflops", "GFLOP/s"), ("gb_s", "GB/s of memory")):
        measured = [f[name] for f in found if isinstance(f.get(name), int | float)]
        if not measured:
            return ""
        low, high = min(measured), max(measured)
        parts.append(f"{low:.3g}{'' if low == high else f'–{high:.3g}'} {unit}")
    return f", {' and '.join(parts)} a core"


def _reading(plan: dict[str, Any]) -> Iterator[str]:
    """Yield how to read the tables."""
    yield "- Brackets: 95 % intervals over test users and over fits; ± is half the width."
    yield (
        "- Tier 1: not shown to be worse than any other model; tier 2 the same among the rest. "
        "All tests of a table hold together (max-t), and so do its intervals of ranks."
    )
    yield (
        "- Family: *simple* counts and trees, *sequence* reads the order of events alone, *hybrid* "
        "begins from or is mixed with something simple."
    )
    if any(c["kind"] == "reference" for c in plan["cells"]):
        yield f"- {HEADROOM.strip()}"
    yield (
        "- Cells: those that are ok, of those planned; a model with a cell missing is not ranked. "
        "How each figure is made: [tasks and metrics](../reference/metrics.md), "
        "[statistics](../explanation/statistics.md)."
    )
    yield ""


def _log_record(store: Store, plan: dict[str, Any], name: str) -> dict[str, Any] | None:
    key = next(
        (c["key"] for c in plan["cells"] if c["kind"] == "log" and c["label"]["log"] == name), ""
    )
    record = store.latest(key)
    return record if record is not None and record["status"] == "ok" else None


def _pictures(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield f"![{Path(name).stem.replace('-', ' ')}](leaderboard/{name})"
        yield ""
