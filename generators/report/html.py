"""The report as one HTML page that opens offline, with its style and pictures inside.

The page to sign comes first, then the verdicts and the risks, then everything behind them, folded
on a screen and open on paper. The text is in `templates/`, which escapes every word from the
data; here the tables are filled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib import resources
from typing import Any

from eventlog._runtime.pages import templates
from generators.privacy.judgement import HAZARDS, UNIT
from generators.privacy.statement import NUMBERS
from generators.report import html_parts
from generators.report.html_parts import SIGNS, Table, number, ordered, percent, shown
from generators.report.plots import Picture, printable
from generators.report.sign_off import sign_off

UTILITY_COLUMNS = (
    "task", "model", "metric", "train_on_real", "train_on_synthetic", "base", "share", "limit",
    "verdict",
)  # fmt: skip


def page(report: Mapping[str, Any], pictures: Mapping[str, Picture]) -> str:
    """Return the whole page; `report` is what report.json holds."""
    from markupsafe import Markup

    environment = templates("generators.report", _printable)
    environment.globals |= {
        "counted": html_parts.counted,
        "number": number,
        "percent": percent,
        "shown": shown,
        "signs": SIGNS,
        "spoken": _spoken,
    }
    return environment.get_template("report.html.jinja").render(
        report=report,
        pictures=pictures,
        front=sign_off(report),
        tables=_tables(report),
        mechanisms=_mechanisms(report["privacy"]["ledger"]),
        unit=UNIT,
        hazards=HAZARDS,
        style=Markup(style()),  # a file of this package
    )


def style() -> str:
    """Return the style sheet of the page."""
    return resources.files(__package__).joinpath("templates/style.css").read_text("utf-8")


def _printable(value: Any) -> Any:
    """Return text of the data without characters that could change how the rest is shown."""
    return printable(value) if type(value) is str else value


def _spoken(attack: Mapping[str, Any]) -> str:
    """Return what a screen reader says about the picture of an attack."""
    return (
        f"risk {attack['risk']:.3f}, interval {attack['low']:.3f} to {attack['high']:.3f}, "
        f"limit {attack['limit']:.2f}"
    )


def _mechanisms(ledger: list[dict[str, Any]]) -> str:
    """Return how many entries of the ledger each mechanism has: '3 × gaussian counts'."""
    kinds = Counter(str(entry.get("mechanism")) for entry in ledger)
    return ", ".join(f"{n} × {kind}" for kind, n in kinds.most_common())


def _tables(report: Mapping[str, Any]) -> dict[str, Table]:
    """Return all tables of the page, by the names that the templates use."""
    settings = report["generator"]["settings"] or {}
    return {
        "sections": Table(
            ("section", "verdict", "held to", "found"),
            [(s["title"], _sign(s), s["held_to"], s["found"]) for s in report["sections"]],
        ),
        "checks": Table(
            ("held to", "found", "verdict"),
            [(c["what"], c["found"], _sign(c)) for c in report["privacy"]["checks"]],
        ),
        "ledger": _ledger(report["privacy"]["ledger"]),
        "settings": Table(("setting", "value"), [(k, str(v)) for k, v in settings.items()]),
        "changes": _changes(report["column_changes"]),
        "attacks": _attacks(report["attacks"]),
        "fidelity": _fidelity(report["fidelity"]),
        "features": _features(report["telling"]),
        "campaigns": _campaigns(report["campaigns"]),
        "columns": _columns(report["columns"]),
        "facts": Table(
            ("", "real", "synthetic"),
            [(name, number(real), number(made)) for name, (real, made) in report["facts"].items()],
            " nn",
        ),
        "utility": _utility(report["utility"]),
        "measures": Table(
            ("measure", "formula", "limit", "source"),
            [
                (
                    r["name"],
                    r["formula"],
                    f"{r['factor']:g} × floor, or {r['slack']:g}",
                    r["source"],
                )
                for r in report["fidelity"]
            ],
        ),
    }


def _sign(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"verdict": row["verdict"]}


def _ledger(ledger: list[dict[str, Any]]) -> Table:
    names = ordered(ledger, ("mechanism", "what", "epsilon", "delta"))
    return Table(
        names,
        [[shown(entry.get(name)) for name in names] for entry in ledger],
        "".join("n" if name in NUMBERS else " " for name in names),
    )


def _changes(changes: Mapping[str, Any]) -> Table:
    rows = [("dropped", ", ".join(changes["dropped"]) or "none named")]
    rows += [(f"folded: {name}", how) for name, how in changes["folded"].items()]
    rows += [("turned into ids", ", ".join(changes["ids"]) or "none named")]
    rows += [("derived", how) for how in changes["derived"]]
    return Table(("column", "change"), rows)


def _attacks(attacks: list[dict[str, Any]]) -> Table:
    rows = [
        (
            {"title": a["title"], "note": a["what"]},
            {"interval": a["rate"]},
            {"interval": a["control"]} if a["control"] else "–",
            number(a["naive"]),
            {"interval": {"value": a["risk"], "low": a["low"], "high": a["high"]}},
            f"{a['limit']:.2f}",
            _sign(a),
        )
        for a in attacks
    ]
    head = ("attack, and what a success is", "rate", "control", "by chance", "risk", "limit")
    return Table((*head, "verdict"), rows, " nnnnn")


def _fidelity(measures: list[dict[str, Any]]) -> Table:
    rows = [
        (
            m["title"],
            number(m["value"]),
            number(m["floor"]),
            f"{m['ideal']:g}",
            _passes_at(m),
            _sign(m),
        )
        for m in measures
    ]
    return Table(("measure", "value", "floor", "ideal", "passes at", "verdict"), rows, " nnnn")


def _passes_at(row: Mapping[str, Any]) -> str:
    """Return the value at which a measure just passes."""
    if row["ideal"] == 1:
        return f"≥ {number(max(1 - row['limit'], 0.0))}"
    return f"≤ {number(row['ideal'] + row['limit'])}"


def _features(features: list[dict[str, Any]]) -> Table:
    """Return by what a classifier tells synthetic users from real ones: where to look first."""
    rows = [
        (
            f["name"],
            f"{f['gain']:.0%}",
            _direction(f["auc"]),
            number(f["real"]),
            number(f["synthetic"]),
        )
        for f in features
    ]
    head = ("feature of a user", "share of gain", "alone", "mean, real", "mean, synthetic")
    return Table(head, rows, " nnnn")


def _direction(auc: float) -> str:
    """Return '0.62 ↑' for a feature that is higher for synthetic users."""
    return f"{max(auc, 1 - auc):.2f} " + ("↑" if auc > 0.52 else "↓" if auc < 0.48 else "≈")


def _campaigns(campaigns: list[dict[str, Any]]) -> Table:
    def shown_effect(effect: Mapping[str, Any] | None) -> str:
        if effect is None:
            return "–"
        return f"{effect['difference']:+.3f} ± {effect['half_width']:.3f}"

    words = {True: "yes", False: "no", None: "–"}
    rows = [
        (
            c["coupon"],
            words[c["randomised"]],
            f"{c['window_days']:g} days",
            shown_effect(c["real"]),
            shown_effect(c["synthetic"]),
            words[c["agree"]],
        )
        for c in campaigns
    ]
    head = ("campaign", "randomised", "window", "real", "synthetic", "no more apart than by chance")
    return Table(head, rows, "   nn")


def _columns(columns: list[dict[str, Any]]) -> Table:
    rows = [
        (c["name"], c["kind"], number(c["shape"]), number(c["floor"]), *map(percent, c["missing"]))
        for c in columns
    ]
    head = ("column", "kind", "shape", "floor", "missing, real", "missing, synthetic")
    return Table(head, rows, "  nnnn")


def _utility(utility: Mapping[str, Any] | None) -> Table:
    rows = [] if utility is None else utility["rows"]
    names = ordered(rows, UTILITY_COLUMNS)
    return Table(
        names,
        [[_sign(row) if n == "verdict" else shown(row.get(n)) for n in names] for row in rows],
    )
