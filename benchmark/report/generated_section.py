"""The sections about generated logs: what they are worth, and how good the generators are."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from benchmark.execution.plan import REAL
from benchmark.execution.results import Store
from benchmark.report.aggregate import Board, Row, problem
from benchmark.report.generated import Generated, generated
from benchmark.report.markdown import code, number, percent, plain, short, table
from eventlog._runtime.text import one_line

MEASURES = (
    "event_js",
    "bigram_js",
    "trigram_js",
    "gap_ks",
    "length_ks",
    "session_length_ks",
    "item_js",
    "price_ks",
    "weekly_revenue_wmape",
    "retention_error",
    "rfv_js",
    "funnel_error",
    "top_items_overlap",
    "offer_effect_gap",
    "detection_auc",
    "column_shapes",
    "pair_trends",
)


def utility(here: Sequence[Board]) -> Iterator[str]:
    """Yield what models are worth that learnt from generated logs, for the boards of one log."""
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
                where = f"{plain(board.task)}, trained on {plain(source)}"
                yield f"- {where}: left out, {plain(reason)}."
        if not sources or not board.facts:
            continue
        names = [r.name for r in board.real if any(r.name in board.rows[s] for s in sources)]
        yield ""
        yield f"**{plain(board.task)}** ({plain(board.headline)})"
        yield ""
        rows = [
            [
                plain(n),
                number(board.rows[REAL][n].mean(board.headline)),
                *(_made(board, board.rows[s].get(n)) for s in sources),
            ]
            for n in names
        ]
        middle = [
            percent(_median([board.share(r) for r in board.rows[s].values()]))
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
        yield from table(
            [
                "model",
                "real",
                *(f"{plain(s)} (copies)" if s in board.copiers else plain(s) for s in sources),
            ],
            rows,
        )


def _made(board: Board, row: Row | None) -> str:
    if row is None:
        return "–"
    if not row.records:
        return plain("; ".join(sorted(set(row.problems)))[:80])
    missing = "" if row.complete else f" ({len(row.records)}/{row.planned} cells)"
    return f"{number(row.mean(board.headline))} ({percent(board.share(row))}){missing}"


def _agreement(board: Board, source: str) -> str:
    found = board.agreement(source)
    return (
        "–"
        if found is None
        else f"{found.tau:.2f} [{found.low:.2f}, {found.high:.2f}], {found.models} models"
    )


def generators(store: Store, plan: dict[str, Any], log: str, costs: bool) -> Iterator[str]:
    """Yield the table of the generators on a log."""
    mine = generated(store, plan["cells"], log)
    if not mine:
        return
    yield f"### Generators on {code(log)}"
    yield ""
    yield (
        "Fidelity, and in brackets the real-vs-real baseline: the same measure between two halves "
        "of the real log. Distances: lower is better; top_items_overlap, column_shapes "
        "and pair_trends: 1 is best; "
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
    yield from table(
        head,
        (_generator_row(store, one, seed, present, costs) for one in mine for seed in one.made),
    )
    for one in mine:
        if one.copies is not None:
            yield (
                f"- **{plain(one.name)} copies its training log** and is not ranked. "
                f"{plain(one.copies)}."
            )
    yield ""


def copiers(store: Store) -> Iterator[str]:
    """Yield a plain line for each generator that copies its training log, for the console."""
    cells = store.plan()["cells"]
    for log in dict.fromkeys(c["label"]["log"] for c in cells):
        for one in generated(store, cells, log):
            if one.copies is not None:
                yield one_line(
                    f"COPIES: generator {one.name} returns users of {log} and is not ranked. "
                    f"{one.copies}"
                )


def _generator_row(
    store: Store, one: Generated, seed: int, present: Sequence[str], costs: bool
) -> list[str]:
    made, judged = one.made[seed], one.judged.get(seed) or {}
    if made is None or made["status"] != "ok":
        reason = plain(problem(made, store)[:60])
        rest = 3 + len(present) + (2 if costs else 0) + 1
        return ["–", plain(one.name), str(seed), reason, *["–"] * rest]
    measures, privacy = judged.get("measures", {}), judged.get("privacy") or {}
    passed, measured = one.passed(seed)
    rate = made["events"] / made["sample_cpu_s"] if made.get("sample_cpu_s") else math.nan
    copied, member = privacy.get("copies"), (privacy.get("membership") or {}).get("rate")
    return [
        "copies" if one.copies is not None else "–" if one.rank is None else f"{one.rank:g}",
        plain(one.name),
        str(seed),
        f"{passed}/{measured}" if measured else "–",
        f"{copied['risk']:.2f} [{copied['low']:.2f}, {copied['high']:.2f}]" if copied else "–",
        f"{member['value']:.2f} [{member['low']:.2f}, {member['high']:.2f}]" if member else "–",
        "none" if made.get("epsilon") is None else f"{made['epsilon']:.3g}",
        *(
            f"{number(measures[m]['value'])} ({number(real_vs_real(measures[m]))})"
            if m in measures
            else "–"
            for m in present
        ),
        *([short(made.get("fit_cpu_s", math.nan)), short(rate)] if costs else []),
        short(made.get("parameters", math.nan)),
    ]


def real_vs_real(measure: dict[str, Any]) -> float:
    """Return the baseline of a stored measure; records keep it as "floor"."""
    return float(measure["floor"])


def _median(values: Sequence[float]) -> float:
    present = [v for v in values if math.isfinite(v)]
    return float(statistics.median(present)) if present else math.nan
