from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.stats import ks_2samp

from eventlog import EventLog, InputError
from generators.evaluation import fidelity
from generators.evaluation.align import align_logs
from generators.evaluation.sdmetrics_scores import by_column, scores


def test_shapes_column_by_column(real, other):
    changed = other.events.assign(country="DE", price=other.events["price"] * 3, category=None)
    a, b, c = align_logs(real, EventLog(events=changed), other)
    found = {row["name"]: row for row in by_column(a, b, c)}
    present = real.events["country"].value_counts(normalize=True)
    assert found["country"]["shape"] == pytest.approx(present["DE"])
    assert found["price"]["shape"] == pytest.approx(
        1 - ks_2samp(real.events["price"].dropna(), changed["price"].dropna()).statistic
    )
    assert found["category"]["shape"] is None
    assert found["category"]["missing"][1] == 1.0
    assert all(row["floor"] > 0.8 for name, row in found.items() if name != "item_id")


def test_without_sdmetrics_two_measures_are_left_out(real, other, monkeypatch, capsys):
    for name in [*(m for m in sys.modules if m.startswith("sdmetrics")), "sdmetrics"]:
        monkeypatch.setitem(sys.modules, name, None)
    rows = {r.name for r in fidelity.compare(real, other, seed=1)}
    assert "length_ks" in rows
    assert not {"column_shapes", "pair_trends"} & rows
    said = [line for line in capsys.readouterr().err.splitlines() if "sdmetrics" in line]
    assert len(said) == 1
    assert "column_shapes, pair_trends" in said[0]
    assert "install it with" in said[0]
    with pytest.raises(InputError, match="sdmetrics, which is not installed"):
        scores(*align_logs(real, other), rng=np.random.default_rng(0))
