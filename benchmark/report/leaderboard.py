"""Write results as leaderboard.md and leaderboard/index.html with its plots, or as a table.

Everything is taken from the results folder, so the pages can be made again from it at any time,
byte for byte. They name no folder of the machine that made them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.execution.plan import REAL, Cell
from benchmark.execution.results import Store
from benchmark.report.aggregate import (
    COSTS,
    Board,
    Generated,
    Row,
    boards,
    generated,
    problem,
    strengths,
)
from benchmark.report.paths import without_folders
from eventlog._runtime.files import new_file

if TYPE_CHECKING:
    import pandas as pd

TITLES = {
    "fit_cpu_s": "fit, CPU s",
    "us_per_query": "µs/query",
    "parameters": "parameters",
    "peak_mb": "memory, MiB",
}
HEADROOM = (
    "Headroom: 0 % is the trivial model, 100 % the oracle that knows the simulator's "
    "probabilities. "
)
MEASURES = (
    "event_js",
    "bigram_js",
    "trigram_js",
    "gap_ks",
    "length_ks",
    "session_length_ks",
    "item_js",
    "price_ks",
    "detection_auc",
    "column_shapes",
    "pair_trends",
)


def write(store: Store, out: Path, *, plots: bool = True, costs: bool = True) -> Path:
    """Write `out`/leaderboard.md and `out`/leaderboard/index.html, where tables sort.

    Args:
        store: the results.
        out: the folder to write to.
        plots: write the page with its plots too, and not only the Markdown.
        costs: show what depends on the machine's speed.

    Returns the path of the Markdown. Raises InputError where there are no results.
    """
    plan = store.plan()
    all_boards = boards(store, plan["cells"])
    pictures: dict[str, list[str]] = {}
    if plots:
        from benchmark.report.plots import draw

        pictures = draw(all_boards, out / "leaderboard")
    page = out / "leaderboard.md"
    text = list(lines(store, plan, all_boards, pictures, costs=costs))
    if plots:
        from benchmark.report.html import render

        with new_file(out / "leaderboard" / "index.html") as temporary:
            temporary.write_text(render(text, all_boards, out), encoding="utf-8")
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
        if cell.kind not in ("model", "reference"):
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
    pictures: dict[str, list[str]],
    *,
    costs: bool = True,
) -> Iterator[str]:
    """Yield the page line by line; without `costs` nothing depends on the machine's speed."""
    yield "# Leaderboard"
    yield ""
    yield from _header(store, plan)
    yield from _strengths(all_boards)
    for name in dict.fromkeys(c["label"]["log"] for c in plan["cells"]):
        here = [b for b in all_boards if b.log == name]
        record = _log_record(store, plan, name)
        yield f"## Log `{name}`"
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
            yield from _board(board, costs)
            yield from _pictures(pictures.get(f"{board.log}/{board.task}", ()))
        yield from _utility(here)
        yield from _pictures(pictures.get(name, ()))
        yield from _generators(store, plan, name, costs)


def _header(store: Store, plan: dict[str, Any]) -> Iterator[str]:
    records = [r for c in plan["cells"] if (r := store.latest(c["key"])) is not None]
    good = sum(r["status"] == "ok" for r in records)
    without = {r["key"] for r in records if r["status"] == "left out"}
    # a task that is left out, and its models
    without |= {c["key"] for c in plan["cells"] if without & set(c["needs"])}
    environments = [r["environment"] for r in records]
    seeds = sorted({c["label"]["seed"] for c in plan["cells"] if c["kind"] == "model"})
    versions = _each(
        {
            f"{k} {v}"
            for e in environments
            for k, v in e["versions"].items()
            if k in ("numpy", "torch", "lightgbm")
        }
    )
    commits = _each(
        {f"{e['commit'] or 'none'}{' + changes' if e['dirty'] else ''}" for e in environments}
    )
    yield "Written by the program; do not edit. Made with:"
    yield ""
    yield f"    {without_folders(plan['command'], store.folder)}"
    yield ""
    machines = _each({f"{e['machine']} ({e['cores']} cores)" for e in environments})
    yield (
        f"Suite `{plan['suite']}`, profile `{plan['profile']}`, seeds "
        f"{', '.join(map(str, seeds)) or 'none'}; "
        f"{good} of {len(plan['cells'])} cells ok, {len(without)} left out. Machine: {machines}; "
        f"Python {_each({e['python'] for e in environments})}, {versions}; commit {commits}."
    )
    yield ""
    yield (
        "Figures in brackets are 95 % intervals from a bootstrap over test users (and seeds, where "
        "there are several); ± is half the "
        "width of such an interval. Models in one tier are not shown to differ from its best by a "
        "paired test, corrected for the number "
        "of pairs (Holm). "
        f"{HEADROOM if any(c['kind'] == 'reference' for c in plan['cells']) else ''}*cells*: those "
        "that are ok, of "
        "those planned; a model with a cell missing is not ranked. How each figure is made: [tasks "
        "and metrics](../reference/metrics.md)."
    )
    yield ""


def _board(board: Board, costs: bool) -> Iterator[str]:
    yield f"### {board.task.capitalize()} on `{board.log}`"
    yield ""
    if REAL in board.left_out or not board.facts:
        yield f"Left out: {board.left_out.get(REAL, 'its questions could not be prepared')}."
        yield ""
        return
    facts = board.facts
    rate = f", {facts['base_rate']:.2%} positive" if facts["base_rate"] is not None else ""
    yield (
        f"{facts['train']:,} questions to learn from, {facts['test']:,} to be tested on, of "
        f"{facts['test_users']:,} users{rate}."
    )
    yield ""
    for text in facts.get("suspected", ()):
        yield f"**A leak?** {text}"
        yield ""
    shown = [m for m in facts["shown"] if m != board.headline]
    oracle = any(math.isfinite(board.headroom(row)[0]) for row in board.real)
    head = [
        "tier",
        "rank [95 %]",
        "model",
        f"{board.headline} [95 %]",
        *shown,
        *(["headroom [95 %]"] if oracle else []),
        *([TITLES[c] for c in COSTS] if costs else []),
        "cells",
    ]
    yield from _table(head, (_model_row(board, row, shown, costs, oracle) for row in board.real))
    cuts = board.stability()
    if cuts:
        least, mean = min(cuts), sum(c[0] for c in cuts) / len(cuts)
        yield (
            f"Order of the {least[3]} models under two disjoint sets of seeds: Kendall tau "
            f"{mean:.2f} on average over {len(cuts)} "
            f"way{'s' if len(cuts) > 1 else ''} to cut the seeds in two, {least[0]:.2f} "
            f"[{least[1]:.2f}, {least[2]:.2f}] at the least."
        )
        yield ""


def _model_row(
    board: Board, row: Row, shown: Sequence[str], costs: bool, oracle: bool
) -> list[str]:
    name = (
        f"*{row.name}*"
        if row.reference
        else f"{row.name} (trivial)"
        if row.name == board.facts["trivial"]
        else row.name
    )
    value = "; ".join(sorted(set(row.problems)))[:160]
    if row.records:
        low, high = row.interval(board.headline)
        value = f"{_number(row.mean(board.headline))} [{_number(low)}, {_number(high)}]"
    return [
        str(board.tiers.get(row.name, "–")),
        _rank(board.ranks.get(row.name)),
        name,
        value,
        *(plus_minus(row, m) for m in shown),
        *([_between(board.headroom(row))] if oracle else []),
        *([_short(row.cost(c)) for c in COSTS] if costs else []),
        f"{len(row.records)}/{row.planned}",
    ]


def plus_minus(row: Row, metric: str) -> str:
    """Return a metric with half the width of its interval, where it has one."""
    low, high = row.interval(metric) if row.records else (math.nan, math.nan)
    value = _number(row.mean(metric))
    return (
        f"{value} ± {_number((high - low) / 2)}"
        if math.isfinite(high - low) and value != "–"
        else value
    )


def _rank(found: tuple[float, float, float] | None) -> str:
    return "–" if found is None else f"{found[0]:g} [{found[1]:g}, {found[2]:g}]"


def _between(found: tuple[float, float, float]) -> str:
    return (
        "–"
        if not math.isfinite(found[0])
        else f"{found[0]:.0%} [{_percent(found[1])}, {_percent(found[2])}]"
    )


def _strengths(all_boards: Sequence[Board]) -> Iterator[str]:
    """Yield the strengths of models over all boards."""
    tables = strengths(all_boards)
    if not tables:
        return
    yield "## Over all tasks"
    yield ""
    yield (
        "Bradley–Terry strength over the tables below, in Elo points around 0: 400 points are odds "
        "of ten to one that the stronger wins on a task. The intervals cover users, seeds and the "
        "weight of each task. Models that share no task are linked by those that are in both."
    )
    yield ""
    for table in tables:
        rows = (
            [
                name,
                f"{value:+.0f} [{low:+.0f}, {high:+.0f}]",
                ", ".join(
                    f"{b.task}{'' if len({x.log for x in all_boards}) == 1 else f' on {b.log}'}"
                    for b in all_boards
                    if name in b.values
                ),
            ]
            for name, (value, low, high) in table.items()
        )
        yield from _table(["model", "strength [95 %]", "tasks"], rows)


def _utility(here: Sequence[Board]) -> Iterator[str]:
    if not any(source != REAL for b in here for source in b.rows):
        return
    yield "### Trained on generated logs, tested on the real one"
    yield ""
    yield (
        "In brackets: the share of what the same model reaches when trained on the real log, both "
        "counted from the score of a constant (NDCG 0, ROC-AUC 0.5, PR-AUC the base rate); – where "
        "the model learnt nothing from the real log either. The real log's models learn from all "
        "users, a generator from all except the held-out ones. *copies*: the source copies the "
        "real log and is not ranked."
    )
    yield ""
    for board in here:
        sources = board.sources
        for source, reason in board.left_out.items():
            # The real log's reason is shown above.
            if source != REAL and reason != board.left_out.get(REAL):
                yield f"- {board.task}, trained on {source}: left out, {reason}."
        if not sources or not board.facts:
            continue
        names = [r.name for r in board.real if any(r.name in board.rows[s] for s in sources)]
        yield ""
        yield f"**{board.task}** ({board.headline})"
        yield ""
        rows = [
            [
                n,
                _number(board.rows[REAL][n].mean(board.headline)),
                *(_made(board, board.rows[s].get(n)) for s in sources),
            ]
            for n in names
        ]
        middle = [
            _percent(_median([board.share(r) for r in board.rows[s].values()]))
            if s not in board.copiers
            else "not ranked"
            for s in sources
        ]
        rows.append(["*median share*", "", *middle])
        rows.append(
            [
                "*order of models: Kendall tau [95 %]*",
                "",
                *(
                    _agreement(board, s) if s not in board.copiers else "not ranked"
                    for s in sources
                ),
            ]
        )
        yield from _table(
            ["model", "real", *(f"{s} (copies)" if s in board.copiers else s for s in sources)],
            rows,
        )


def _made(board: Board, row: Row | None) -> str:
    if row is None:
        return "–"
    if not row.records:
        return "; ".join(sorted(set(row.problems)))[:80]
    missing = "" if row.complete else f" ({len(row.records)}/{row.planned} cells)"
    return f"{_number(row.mean(board.headline))} ({_percent(board.share(row))}){missing}"


def _agreement(board: Board, source: str) -> str:
    found = board.agreement(source)
    return (
        "–"
        if found is None
        else f"{found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}], {found[3]} models"
    )


def _generators(store: Store, plan: dict[str, Any], log: str, costs: bool) -> Iterator[str]:
    mine = generated(store, plan["cells"], log)
    if not mine:
        return
    yield f"### Generators on `{log}`"
    yield ""
    yield (
        "Fidelity, and in brackets the real-vs-real baseline: the same measure between two halves "
        "of the real log. Distances: lower is better; column_shapes and pair_trends: 1 is best; "
        "detection_auc: 0.5 is best, and far below it synthetic users repeat real ones. *passed* "
        "counts the measures that are as good as real-vs-real allows; it ranks. *copies at risk*: "
        "the share of training users who are copied, above that of users held out of the training; "
        "*membership AUC*: how well training users can be told from held-out ones, 0.5 is best. Of "
        "each kind it is the attack that found most, with its 95 % interval. *epsilon*: what is "
        "proved. A generator that copies its training log is not ranked."
    )
    yield ""
    present = [
        m
        for m in MEASURES
        if any(m in (r or {}).get("measures", {}) for g in mine for r in g.judged.values())
    ]
    head = [
        "rank",
        "generator",
        "seed",
        "passed",
        "copies at risk [95 %]",
        "membership AUC [95 %]",
        "epsilon",
        *present,
        *(["fit, CPU s", "rows/CPU s"] if costs else []),
        "parameters",
    ]
    yield from _table(
        head,
        (_generator_row(store, one, seed, present, costs) for one in mine for seed in one.made),
    )
    for one in mine:
        if one.copies is not None:
            yield f"- **{one.name} copies its training log** and is not ranked. {one.copies}."
    yield ""


def copiers(store: Store) -> Iterator[str]:
    """Yield a plain line for each generator that copies its training log."""
    cells = store.plan()["cells"]
    for log in dict.fromkeys(c["label"]["log"] for c in cells):
        for one in generated(store, cells, log):
            if one.copies is not None:
                yield (
                    f"COPIES: generator {one.name} returns users of {log} and is not ranked. "
                    f"{one.copies}"
                )


def _generator_row(
    store: Store, one: Generated, seed: int, present: Sequence[str], costs: bool
) -> list[str]:
    made, judged = one.made[seed], one.judged.get(seed) or {}
    if made is None or made["status"] != "ok":
        reason = problem(made, store)[:60]
        rest = 3 + len(present) + (2 if costs else 0) + 1
        return ["–", one.name, str(seed), reason, *["–"] * rest]
    measures, privacy = judged.get("measures", {}), judged.get("privacy") or {}
    passed, measured = one.passed(seed)
    rate = made["events"] / made["sample_cpu_s"] if made.get("sample_cpu_s") else math.nan
    copied, member = privacy.get("copies"), (privacy.get("membership") or {}).get("rate")
    return [
        "copies" if one.copies is not None else "–" if one.rank is None else f"{one.rank:g}",
        one.name,
        str(seed),
        f"{passed}/{measured}" if measured else "–",
        f"{copied['risk']:.2f} [{copied['low']:.2f}, {copied['high']:.2f}]" if copied else "–",
        f"{member['value']:.2f} [{member['low']:.2f}, {member['high']:.2f}]" if member else "–",
        "none" if made.get("epsilon") is None else f"{made['epsilon']:.3g}",
        *(
            f"{_number(measures[m]['value'])} ({_number(real_vs_real(measures[m]))})"
            if m in measures
            else "–"
            for m in present
        ),
        *([_short(made.get("fit_cpu_s", math.nan)), _short(rate)] if costs else []),
        _short(made.get("parameters", math.nan)),
    ]


def real_vs_real(measure: dict[str, Any]) -> float:
    """Return the baseline of a stored measure; records keep it as "floor"."""
    return float(measure["floor"])


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


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a Markdown table with aligned columns, so that it reads as text."""
    body = [[str(c).replace("|", "/").replace("\n", " ") for c in row] for row in rows]
    width = [max(len(str(r[i])) for r in [list(head), *body]) for i in range(len(head))]
    for i, row in enumerate([list(head), *body]):
        yield "| " + " | ".join(str(c).ljust(w) for c, w in zip(row, width, strict=True)) + " |"
        if i == 0:
            yield "|" + "|".join("-" * (w + 2) for w in width) + "|"
    yield ""


def _number(value: float) -> str:
    return "–" if not math.isfinite(value) else f"{value:.4f}"


def _percent(value: float) -> str:
    return "–" if not math.isfinite(value) else f"{value:.0%}"


def _short(value: float) -> str:
    """Return three significant digits: 12,300 or 0.0123."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _median(values: Sequence[float]) -> float:
    present = [v for v in values if math.isfinite(v)]
    return float(statistics.median(present)) if present else math.nan


def _each(values: Iterable[str]) -> str:
    return ", ".join(sorted(values)) or "none"
