"""A real log, a generator that takes no time, and a report whose decision a test sets."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fixtures.handover import TOY
from fixtures.shop_logs import shop_log

from eventlog import EventLog
from eventlog._runtime.files import new_folder, write_json
from generators.report import build as report


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("secret-place") / "real"
    shop_log(users=100, rows=10, items=40, seed=4, prefix="u").write(folder)
    return folder


@pytest.fixture
def toy(tmp_path) -> SimpleNamespace:
    """A generator that takes no time, and how often it was fitted."""
    fits = tmp_path / "fits.txt"
    path = tmp_path / "toy.py"
    path.write_text(f"FITS = {str(fits)!r}\n{TOY}")
    return SimpleNamespace(
        path=str(path), fits=lambda: len(fits.read_text().splitlines()) if fits.exists() else 0
    )


@pytest.fixture
def decide(monkeypatch) -> dict[str, Any]:
    """A report that takes no time; its decision is what the test puts in here."""
    decision: dict[str, Any] = {
        "verdict": "release",
        "reasons": ["It is a test."],
        "conditions": [],
    }

    def build(
        real: EventLog, synthetic: EventLog, holdout: EventLog, **those: Any
    ) -> SimpleNamespace:
        def write(out: Path) -> None:
            with new_folder(out) as folder:
                data = {"sections": [], "fidelity": [], "privacy": {"sentence": "A test."}}
                data |= {"decision": decision, "users": synthetic.events["user_id"].nunique()}
                write_json(folder / "report.json", data)
                write_json(folder / "manifest.json", {})

        return SimpleNamespace(write=write)

    monkeypatch.setattr(report, "build", build)
    return decision
