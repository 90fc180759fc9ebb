"""Show a report on a terminal: a row a section, and the three sentences that matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eventlog._runtime import terminal
from generators.report.plots import printable


def show(data: Mapping[str, Any]) -> None:
    """Print the sections of a report (the content of report.json), then `sentences`."""
    rows = [_row(section) for section in data["sections"]]
    if rows:
        head = ["section", "verdict", "passed", "details"]
        terminal.table("report", head, rows, wrap=True)
    terminal.say(list(sentences(data)))


def sentences(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what to take from a report: what is proved, what attacks found, how like it is."""
    yield printable(data["privacy"]["sentence"])
    for section in data["sections"]:
        if section["title"] == "Privacy, attacked":
            yield f"Attacks: {printable(section['found'])}."
    if data["fidelity"]:
        yield f"Fidelity: {_fidelity(data['fidelity'])}."


def _row(section: Mapping[str, str]) -> list[str]:
    """Return title, verdict, how many passed, and which did not or what was found."""
    passed, _, rest = printable(section["found"]).partition("; ")
    counted = passed.endswith(" pass")
    return [
        section["title"],
        section["verdict"],
        passed.removesuffix(" pass") if counted else "–",
        rest.removeprefix("not: ") if counted else printable(section["found"]),
    ]


def _fidelity(measures: Sequence[Mapping[str, Any]]) -> str:
    """Return how many measures pass, and where the largest share of them does not."""
    asked = Counter(m["section"] for m in measures)
    missed = Counter(m["section"] for m in measures if m["verdict"] != "pass")
    text = f"{len(measures) - missed.total()} of {len(measures)} measures pass"
    if not missed:
        return text
    worst = max(missed, key=lambda name: (missed[name] / asked[name], missed[name]))
    names = [m["title"] for m in measures if m["section"] == worst and m["verdict"] != "pass"]
    return f"{text}; look first at {', '.join(names[:3])}"
