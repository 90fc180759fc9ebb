"""Report data -> one HTML page that opens offline: styles and pictures inside, every word from
data escaped.

The page to sign comes first, then the verdicts and the risks, then everything behind them, folded
away on a screen and open on paper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from generators.privacy.judgement import HAZARDS, UNIT
from generators.privacy.statement import NUMBERS
from generators.report.html_parts import (
    box,
    bullets,
    cell,
    counted,
    escape,
    folded,
    number,
    ordered,
    picture,
    rate,
    sign,
    table,
)
from generators.report.html_style import STYLE
from generators.report.plots import Picture
from generators.report.sign_off import sign_off


def page(report: Mapping[str, Any], pictures: Mapping[str, Picture]) -> str:
    """Return the whole page. `report` is what report.json holds."""
    body = [
        sign_off(report),
        _summary(report["sections"]),
        _risks(report),
        "<h2>Behind the verdicts</h2>",
        _privacy(report),
        _origin(report),
        _attacks(report),
        _fidelity(report),
        _telling(report["telling"]),
        _columns(report["columns"]),
        _figures(report["facts"]),
        _pictures(pictures),
        _utility(report["utility"]),
        _measures(report["fidelity"]),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Synthetic log '
        "report</title>"
        f"<style>{STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _summary(sections: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (escape(s["title"]), sign(s["verdict"]), escape(s["held_to"]), escape(s["found"]))
        for s in sections
    ]
    words = [s["verdict"] for s in sections]
    return (
        f"<h2>Verdicts</h2><p>Of {len(words)} sections: <b>{counted(words)}</b>. A section is no "
        "better than its worst part; each part, with the number that it was held to, stands "
        "below.</p>" + table(("section", "verdict", "held to", "found"), rows)
    )


def _risks(report: Mapping[str, Any]) -> str:
    """Each attack's risk and interval against the limit, in HTML so that it fits any width."""
    out = ["<h2>Attacks: risk to the users of the real log</h2>"]
    if report["inputs"]["holdout"] is None:
        out.append(
            box(
                "No holdout was given, so the attacks have no control group: a rate may come "
                "from what people have in common. Membership inference is left out, and no "
                "attack has a verdict. Give --holdout to settle them."
            )
        )
    out.append(
        "<p>Dot: risk, from 0 (none) to 1 (every user). Bar: its 95 % interval. Dashed line: the "
        "limit. An attack passes where the whole interval is within the limit.</p>"
    )
    return "".join(out) + "".join(map(_risk, report["attacks"]))


def _risk(attack: Mapping[str, Any]) -> str:
    low, value, high, limit = (float(attack[k]) for k in ("low", "risk", "high", "limit"))
    spoken = f"risk {value:.3f}, interval {low:.3f} to {high:.3f}, limit {limit:.2f}"
    track = (
        f'<span class="bar" style="left:{low:.1%};width:{max(high - low, 0.0):.1%}"></span>'
        f'<span class="limit" style="left:{limit:.1%}"></span>'
        f'<span class="dot" style="left:{value:.1%}"></span>'
    )
    return (
        f'<div class="risk"><span>{escape(attack["title"])}</span>'
        f'<span class="track" role="img" aria-label="{spoken}">{track}</span>'
        f'<span class="n">{rate({"value": value, "low": low, "high": high})}</span>'
        f"{sign(attack['verdict'])}</div>"
    )


def _privacy(report: Mapping[str, Any]) -> str:
    """Checks, ledger, everything that the statement says, and what it does not cover."""
    privacy, out = report["privacy"], []
    if privacy["own_words"]:
        out.append(f"<p>In the generator's own words: {escape(privacy['own_words'])}</p>")
    if privacy["verdict"] == "unproved":
        out.append("<p>No ledger: nothing is claimed.</p>")
    else:
        checks = [
            (escape(c["what"]), escape(c["found"]), sign(c["verdict"])) for c in privacy["checks"]
        ]
        names = ordered(privacy["ledger"], ("mechanism", "what", "epsilon", "delta"))
        ledger = [tuple(cell(entry.get(n)) for n in names) for entry in privacy["ledger"]]
        kinds = Counter(str(entry.get("mechanism")) for entry in privacy["ledger"])
        many = ", ".join(f"{n} × {escape(kind)}" for kind, n in kinds.most_common())
        spent = "" if privacy["spent"] is None else f" Spent: ε = {number(privacy['spent'])}."
        out += [
            f"<p>{escape(UNIT)}</p>",
            table(("held to", "found", "verdict"), checks),
            folded(
                "Ledger",
                f"<p>{many}.{spent} Accountant: {escape(privacy['accountant'] or 'not named')}.</p>"
                + table(names, ledger, _numeric(names)),
                f"{len(ledger)} entries",
            ),
        ]
    lists = "".join(
        f"<li>{escape(name)}: {escape(source)}</li>"
        for name, source in privacy["public_lists"].items()
    )
    out.append(
        "<p>Declared public, and so outside the proof: "
        f"<b>{', '.join(map(escape, privacy['public'])) or 'nothing'}</b>.</p>"
    )
    out.append(f"<ul>{lists}</ul>" if lists else "")
    for title, texts in (
        ("Assumed public", privacy["assumed_public"]),
        ("Caveats", privacy["caveats"]),
    ):
        out.append(f"<h3>{title}</h3>{bullets(texts)}" if texts else "")
    if privacy["verdict"] != "unproved":
        out.append(
            f"<h3>What the guarantee does not cover (privacy hazards)</h3>{bullets(HAZARDS)}"
        )
    out.append(
        '<p class="soft">The statement is the generator\'s own; checked here is that it is '
        "complete and consistent. Terms: NIST SP 800-226 (Near and Darais, Guidelines for "
        "Evaluating Differential Privacy Guarantees, 2025), which judges a claim from the top of "
        "a pyramid down: ε and the privacy unit, then how it was implemented and secured, then "
        "how the data was collected. No level protects more than those below it.</p>"
    )
    if report["canaries"]:
        c = report["canaries"]
        out.append(
            f"<p>Planted canaries: {cell(c.get('correct'))} of {cell(c.get('guesses'))} guesses "
            f"right, so ε is at least <b>{number(c['epsilon'])}</b> with 95 % confidence; all "
            f"right would have shown {cell(c.get('reachable'))}.</p>"
        )
    words = [c["verdict"] for c in privacy["checks"]]
    return folded("Privacy: what is proved", "".join(out), counted(words) if words else "nothing")


def _origin(report: Mapping[str, Any]) -> str:
    """Settings and changes to columns in full; the page to sign has room for the first of them."""
    settings, changes = report["generator"]["settings"] or {}, report["column_changes"]
    rows = [(escape(str(name)), escape(str(value))) for name, value in settings.items()]
    changed = [("dropped", escape(", ".join(changes["dropped"])) or "none named")]
    changed += [(f"folded: {escape(name)}", escape(how)) for name, how in changes["folded"].items()]
    changed += [("turned into ids", escape(", ".join(changes["ids"])) or "none named")]
    return folded(
        "Settings of the generator, and columns that it changed",
        (table(("setting", "value"), rows) if rows else "<p>No settings were given.</p>")
        + table(("column", "change"), changed),
    )


def _numeric(names: Sequence[str]) -> str:
    """The alignment of a ledger's columns."""
    return "".join("n" if name in NUMBERS else " " for name in names)


def _attacks(report: Mapping[str, Any]) -> str:
    rows = []
    for a in report["attacks"]:
        name = f'{escape(a["title"])}<br><span class="soft">{escape(a["what"])}</span>'
        control = rate(a["control"]) if a["control"] else "–"
        risk = rate({"value": a["risk"], "low": a["low"], "high": a["high"]})
        rows.append(
            (
                name,
                rate(a["rate"]),
                control,
                number(a["naive"]),
                risk,
                f"{a['limit']:.2f}",
                sign(a["verdict"]),
            )
        )
    head = (
        "attack, and what a success is",
        "rate",
        "control",
        "by chance",
        "risk",
        "limit",
        "verdict",
    )
    return folded(
        "Attacks: every rate",
        (
            "<p>Each attack on users who were in the training data (rate) and on users who were "
            "not (control). Risk = (rate − control) / (1 − control), cut to 0..1. Pass: the "
            "whole interval is "
            "within the limit.</p>" + table(head, rows, " nnnnn")
        ),
        counted([a["verdict"] for a in report["attacks"]]),
    )


def _fidelity(report: Mapping[str, Any]) -> str:
    against = "the holdout" if report["inputs"]["holdout"] else "random halves of the real users"
    rows = [
        (
            escape(r["title"]),
            number(r["value"]),
            number(r["floor"]),
            f"{r['ideal']:g}",
            _bound(r),
            sign(r["verdict"]),
        )
        for r in report["fidelity"]
    ]
    return folded(
        "Fidelity: every measure",
        (
            f"<p>Value: synthetic against {against}. Floor: two samples of as many real users "
            "against each other, mean of several draws; no generator can be expected below it. "
            "What passes is a distance from the ideal of at most a multiple of the floor's, the "
            "largest floor of any draw, or a slack too small to matter.</p>"
            + table(("measure", "value", "floor", "ideal", "passes at", "verdict"), rows, " nnnn")
        ),
        counted([r["verdict"] for r in report["fidelity"]]),
    )


def _figures(facts: Mapping[str, Sequence[float | None]]) -> str:
    rows = [(escape(name), number(real), number(made)) for name, (real, made) in facts.items()]
    return folded("In plain figures", table(("", "real", "synthetic"), rows, " nn"))


def _pictures(pictures: Mapping[str, Picture]) -> str:
    return folded(
        "Pictures: real beside synthetic",
        "".join(picture(p) for p in pictures.values()),
        f"{len(pictures)}",
    )


def _telling(rows: Sequence[Mapping[str, Any]]) -> str:
    """By what a classifier tells synthetic users from real ones: where to look first."""
    if not rows:
        return ""
    cells = [
        (
            escape(t["name"]),
            f"{t['gain']:.0%}",
            _direction(t["auc"]),
            number(t["real"]),
            number(t["synthetic"]),
        )
        for t in rows
    ]
    return folded(
        "What tells them apart",
        "<p>The features of a user that the classifier of the detection measure gained most by. "
        "Alone: the AUC of that feature without any other. Means are over the users who have "
        "it.</p>"
        + table(
            ("feature of a user", "share of gain", "alone", "mean, real", "mean, synthetic"),
            cells,
            " nnnn",
        ),
    )


def _columns(rows: Sequence[Mapping[str, Any]]) -> str:
    """Each column by itself."""
    cells = [
        (
            escape(c["name"]),
            escape(c["kind"]),
            number(c["shape"]),
            number(c["floor"]),
            *(f"{share:.1%}" for share in c["missing"]),
        )
        for c in rows
    ]
    return folded(
        "Column by column",
        "<p>Shape: 1 − total variation distance of a category, 1 − Kolmogorov–Smirnov statistic "
        "of a number, of the values present; 1 is the same. Floor: real users against other real "
        "users.</p>"
        + table(
            ("column", "kind", "shape", "floor", "missing, real", "missing, synthetic"),
            cells,
            "  nnnn",
        ),
    )


def _direction(auc: float) -> str:
    """'0.62 ↑' where a feature is higher for synthetic users."""
    return f"{max(auc, 1 - auc):.2f} " + ("↑" if auc > 0.52 else "↓" if auc < 0.48 else "≈")


def _bound(row: Mapping[str, Any]) -> str:
    """The value at which a measure just passes."""
    return (
        f"≥ {number(max(1 - row['limit'], 0.0))}"
        if row["ideal"] == 1
        else f"≤ {number(row['ideal'] + row['limit'])}"
    )


def _utility(utility: Mapping[str, Any] | None) -> str:
    if utility is None:
        return folded(
            "Utility",
            "<p>Not measured here. Training on the synthetic log and testing on the real one is "
            "what 'python -m generators share' does; give its results with --utility.</p>",
            "not run",
        )
    names = ordered(
        utility["rows"],
        (
            "task",
            "model",
            "metric",
            "train_on_real",
            "train_on_synthetic",
            "base",
            "share",
            "limit",
            "verdict",
        ),
    )
    rows = [
        tuple(sign(row["verdict"]) if n == "verdict" else cell(row.get(n)) for n in names)
        for row in utility["rows"]
    ]
    return folded(
        "Utility: train on synthetic, test on real",
        table(names, rows),
        counted([row["verdict"] for row in utility["rows"]]),
    )


def _measures(rows: Iterable[Mapping[str, Any]]) -> str:
    cells = [
        (
            escape(r["name"]),
            escape(r["formula"]),
            f"{r['factor']:g} × floor, or {r['slack']:g}",
            escape(r["source"]),
        )
        for r in rows
    ]
    return folded("How it was measured", table(("measure", "formula", "limit", "source"), cells))
