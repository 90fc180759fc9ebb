"""Column shapes and column-pair trends by sdmetrics, on a sample of rows: what reviewers of tabular
data ask for first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from generators.evaluation.align import HOUR_MS, AlignedLog
from generators.evaluation.fidelity import ks

# a categorical with more values tells nothing in a contingency table of a few thousand rows
MAX_LEVELS = 50
MAX_COLUMNS = 10  # pairs grow with the square
ROWS = 10_000


def scores(
    a: AlignedLog, b: AlignedLog, *, rng: np.random.Generator, rows: int = ROWS
) -> dict[str, float]:
    """'column_shapes' and 'pair_trends' (0..1, 1 is best) of `b` against `a`, by sdmetrics'
    QualityReport.

    Columns: event, the other categoricals of at most MAX_LEVELS values, numbers, log gap and hour
    of the day.
    """
    from sdmetrics.reports import QualityReport  # a second and more to import

    small = [n for n in a.codes if n == "event" or len(a.levels[n]) <= MAX_LEVELS][
        : MAX_COLUMNS - 2
    ]
    numbers = list(a.numbers)[: MAX_COLUMNS - 2 - len(small)]
    frames = [_frame(flat, small, numbers, rng, rows) for flat in (a, b)]
    kinds: dict[str, Any] = {
        name: {"sdtype": "categorical" if name in small else "numerical"} for name in frames[0]
    }
    report = QualityReport()
    metadata = {"tables": {"events": {"columns": kinds}}}
    report.generate({"events": frames[0]}, {"events": frames[1]}, metadata, verbose=False)
    found = report.get_properties().set_index("Property")["Score"]
    return {
        "column_shapes": float(found["Column Shapes"]),
        "pair_trends": float(found["Column Pair Trends"]),
    }


def by_column(a: AlignedLog, b: AlignedLog, other: AlignedLog) -> list[dict[str, Any]]:
    """Each column of events: 'shape' (1 - total variation or 1 - KS) of `b` (synthetic) against
    `a`, and as 'floor' of `other` (real).
    """
    out: list[dict[str, Any]] = []
    for name in (*a.codes, *a.numbers):
        coded = name in a.codes
        values = [f.codes[name] if coded else f.numbers[name] for f in (a, b, other)]
        absent = [v < 0 if coded else ~np.isfinite(v) for v in values]
        present = [v[~gone] for v, gone in zip(values, absent, strict=True)]
        made, real = (_alike(present[0], side, coded) for side in present[1:])
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


def _alike(x: np.ndarray, y: np.ndarray, coded: bool) -> float | None:
    """1 - distance of two samples; None where either is empty."""
    if len(x) == 0 or len(y) == 0:
        return None
    if coded:
        width = int(max(x.max(), y.max())) + 1
        return (
            1
            - float(
                np.abs(
                    np.bincount(x, minlength=width) / len(x)
                    - np.bincount(y, minlength=width) / len(y)
                ).sum()
            )
            / 2
        )
    return 1 - ks(x, y)


def _frame(
    flat: AlignedLog,
    categorical: list[str],
    numbers: list[str],
    rng: np.random.Generator,
    rows: int,
) -> pd.DataFrame:
    at = np.sort(rng.choice(flat.n_rows, min(rows, flat.n_rows), replace=False))
    out: dict[str, Any] = {
        # code -1 takes the last entry
        name: np.array([*flat.levels[name], None], dtype=object)[flat.codes[name][at]]
        for name in categorical
    }
    out |= {name: flat.numbers[name][at] for name in numbers}
    out["log_gap"] = np.log1p(flat.gap[at])
    out["hour"] = (flat.time[at] // HOUR_MS % 24).astype(np.float64)
    return pd.DataFrame(out)
