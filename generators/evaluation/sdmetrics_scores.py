"""Column shapes and column-pair trends by sdmetrics: what reviewers of tabular data ask for first.

sdmetrics is an optional dependency, the extra of that name. It takes seconds to import, and only
`scores` needs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from eventlog._runtime.console import note
from eventlog._runtime.errors import InputError
from eventlog._runtime.extras import require
from generators.evaluation.align import HOUR_MS, AlignedLog
from generators.evaluation.distances import ks, total_variation

# A category with more values says nothing in a contingency table of a few thousand rows.
MAX_LEVELS = 50
MAX_COLUMNS = 10  # the number of pairs grows with the square
ROWS = 10_000  # drawn from each log
PURPOSE = "The fidelity of columns (column_shapes, pair_trends)"


def is_available() -> bool:
    """Return whether sdmetrics is installed; where it is not, say once what is left out."""
    try:
        require("sdmetrics", extra="sdmetrics", purpose=PURPOSE)
    except InputError as error:
        note(f"Left out: {error}")
        return False
    return True


def scores(
    a: AlignedLog, b: AlignedLog, *, rng: np.random.Generator, rows: int = ROWS
) -> dict[str, float]:
    """Return 'column_shapes' and 'pair_trends' (0..1, 1 is best) of `b` against `a`.

    They are those of sdmetrics' QualityReport on `rows` random rows of each log. Columns: event,
    the other categories of at most MAX_LEVELS values, numbers, log gap and hour of the day. Raises
    InputError where sdmetrics is not installed.
    """
    reports = require("sdmetrics.reports", extra="sdmetrics", purpose=PURPOSE)
    small = [n for n in a.codes if n == "event" or len(a.levels[n]) <= MAX_LEVELS]
    small = small[: MAX_COLUMNS - 2]
    numbers = list(a.numbers)[: MAX_COLUMNS - 2 - len(small)]
    frames = [_frame(log, small, numbers, rng, rows) for log in (a, b)]
    kinds: dict[str, Any] = {
        name: {"sdtype": "categorical" if name in small else "numerical"} for name in frames[0]
    }
    report = reports.QualityReport()
    metadata = {"tables": {"events": {"columns": kinds}}}
    report.generate({"events": frames[0]}, {"events": frames[1]}, metadata, verbose=False)
    found = report.get_properties().set_index("Property")["Score"]
    return {
        "column_shapes": float(found["Column Shapes"]),
        "pair_trends": float(found["Column Pair Trends"]),
    }


def by_column(a: AlignedLog, b: AlignedLog, other: AlignedLog) -> list[dict[str, Any]]:
    """Return a row for each column of events, without the help of sdmetrics.

    'shape' is 1 - total variation (categories) or 1 - KS (numbers) of `b` (synthetic) against `a`;
    'floor' is the same of `other` (real); 'missing' the shares of missing values of `a` and `b`.
    """
    out: list[dict[str, Any]] = []
    for name in (*a.codes, *a.numbers):
        coded = name in a.codes
        values = [log.codes[name] if coded else log.numbers[name] for log in (a, b, other)]
        absent = [v < 0 if coded else ~np.isfinite(v) for v in values]
        present = [v[~gone] for v, gone in zip(values, absent, strict=True)]
        made, real = (_similarity(present[0], side, coded) for side in present[1:])
        out.append(
            {
                "name": name,
                "kind": "category" if coded else "number",
                "shape": made,
                "floor": real,
                "missing": [float(gone.mean()) for gone in absent[:2]],
            }
        )
    return out


def _similarity(x: np.ndarray, y: np.ndarray, coded: bool) -> float | None:
    """Return 1 - distance of two samples; None where either is empty."""
    if len(x) == 0 or len(y) == 0:
        return None
    return 1 - (total_variation if coded else ks)(x, y)


def _frame(
    log: AlignedLog,
    categories: list[str],
    numbers: list[str],
    rng: np.random.Generator,
    rows: int,
) -> pd.DataFrame:
    """Return `rows` random rows of a log as the table that sdmetrics compares."""
    at = np.sort(rng.choice(log.n_rows, min(rows, log.n_rows), replace=False))
    out: dict[str, Any] = {
        # Code -1 takes the last entry.
        name: np.array([*log.levels[name], None], dtype=object)[log.codes[name][at]]
        for name in categories
    }
    out |= {name: log.numbers[name][at] for name in numbers}
    out["log_gap"] = np.log1p(log.gap[at])
    out["hour"] = (log.time[at] // HOUR_MS % 24).astype(np.float64)
    return pd.DataFrame(out)
