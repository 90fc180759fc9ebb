"""Report data -> one HTML page that opens offline: styles and pictures inside, every word from data escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape as escape_html
from typing import Any

from .plots import Picture, printable

STYLE = """
:root { --ink:#1c2430; --soft:#5b6675; --line:#d9dee5; --wash:#f5f7f9; --pass:#1d7a46; --fail:#a11d33; --open:#8a6100 }
* { box-sizing:border-box }
body { margin:0; color:var(--ink); background:#fff; font:15px/1.5 system-ui,sans-serif }
main { max-width:1080px; margin:0 auto; padding:24px 20px 80px }
h1 { font-size:26px; margin:8px 0 2px }
h2 { font-size:19px; margin:40px 0 6px; padding-top:12px; border-top:1px solid var(--line) }
h3 { font-size:15px; margin:22px 0 4px }
p { margin:6px 0; max-width:80ch }
.soft { color:var(--soft) }
.hero { margin:18px 0; padding:22px 24px; border:3px solid; border-radius:8px }
.hero b { display:block; font-size:34px; line-height:1.2; margin-bottom:8px }
.hero p { margin:0; color:var(--ink) }
.hero.fail, .hero.unproved { color:var(--fail); background:#fdf3f4 }
.hero.pass { color:var(--pass); background:#f2faf5 }
.hero.unsettled { color:var(--open); background:#fdf8ec }
.scroll { overflow-x:auto }
table { border-collapse:collapse; margin:8px 0 14px; font-size:13.5px }
th { text-align:left; font-weight:600; color:var(--soft); border-bottom:2px solid var(--line) }
th, td { padding:4px 16px 4px 0; vertical-align:top }
td { border-bottom:1px solid var(--line) }
.n { text-align:right; font-variant-numeric:tabular-nums; white-space:nowrap }
.v { font-weight:700; white-space:nowrap }
.v.pass { color:var(--pass) }
.v.fail, .v.unproved { color:var(--fail) }
.v.unsettled { color:var(--open) }
figure { margin:14px 0 }
figure svg { width:100%; height:auto; max-height:900px }
figcaption { color:var(--soft); font-size:13px }
summary { cursor:pointer; color:var(--soft) }
.box { background:var(--wash); border-left:4px solid var(--open); padding:10px 14px; margin:12px 0 }
@media (max-width:640px) {
  main { padding:16px 12px 60px }
  h1 { font-size:22px }
  .hero { padding:16px }
  .hero b { font-size:26px }
  figure { overflow-x:auto }
  figure svg { min-width:620px }
  .stack thead { display:none }
  .stack tr { display:block; padding:8px 0; border-bottom:1px solid var(--line) }
  .stack td { display:block; border:0; padding:1px 0 }
  .stack td:first-child { font-weight:600 }
}
@media print { main { max-width:none } h2 { break-after:avoid } figure { break-inside:avoid } }
"""


def escape(text: str) -> str:
    """`text` for the page: printable, and no markup."""
    return escape_html(printable(text))


SIGNS = {"pass": "✓ pass", "fail": "✗ fail", "unsettled": "? unsettled", "unproved": "✗ not proved", "not run": "– not run"}


SHORT = 20  # entries of a ledger that stand there unfolded


def page(report: Mapping[str, Any], pictures: Mapping[str, Picture]) -> str:
    """The whole page. `report` is what report.json holds."""
    body = [
        "<h1>Synthetic log: fidelity, utility, privacy</h1>",
        f'<p class="soft">{_inputs(report["inputs"])}</p>', _hero(report["privacy"]), _box(
            "This report describes the real log and is outside any privacy budget. It is for the people who decide; "
            "what may travel with the synthetic log is data_card.md."),
        _summary(report["sections"]), _privacy(report), _attacks(report, pictures), _fidelity(report, pictures),
        _utility(report["utility"]), _measures(report["fidelity"]),
    ]
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>Synthetic log report</title>'
            f'<style>{STYLE}</style></head><body><main>{"".join(body)}</main></body></html>\n')


def _inputs(inputs: Mapping[str, Any]) -> str:
    parts = [f"{escape(kind)}: <b>{escape(str(entry['path']))}</b> ({entry['users']:,} users, {entry['rows']:,} rows)"
             for kind, entry in inputs.items() if entry]
    return " · ".join(parts)


def _hero(privacy: Mapping[str, Any]) -> str:
    return f'<div class="hero {escape(privacy["verdict"])}"><b>{escape(privacy["sentence"])}</b><p>{escape(privacy["meaning"])}</p></div>'


def _summary(sections: Sequence[Mapping[str, Any]]) -> str:
    rows = [(escape(s["title"]), _sign(s["verdict"]), escape(s["held_to"]), escape(s["found"])) for s in sections]
    words = [s["verdict"] for s in sections]
    counted = [f"{words.count(word)} {SIGNS[word][2:]}" for word in SIGNS if word in words]
    return (f"<h2>Verdicts</h2><p>Of {len(words)} sections: <b>{', '.join(counted)}</b>. A section is no better than its worst part; "
            "each part, with the number that it was held to, stands below.</p>"
            + table(("section", "verdict", "held to", "found"), rows, kind="stack"))


def _privacy(report: Mapping[str, Any]) -> str:
    privacy, out = report["privacy"], ["<h2>Privacy: what is proved</h2>"]
    if privacy["epsilon"] is None:
        out.append("<p>No ledger: no epsilon was asked for when the generator was fitted.</p>")
    else:
        checks = [(escape(c["what"]), escape(c["found"]), _sign(c["verdict"])) for c in privacy["checks"]]
        names = _ordered(privacy["ledger"], ("mechanism", "what", "epsilon", "delta"))
        ledger = [tuple(_cell(entry.get(n)) for n in names) for entry in privacy["ledger"]]
        kinds = Counter(str(entry.get("mechanism")) for entry in privacy["ledger"])
        counted = ", ".join(f"{n} × {escape(kind)}" for kind, n in kinds.most_common())
        out += [table(("held to", "found", "verdict"), checks), "<h3>Ledger</h3>",
                f"<details{' open' if len(ledger) <= SHORT else ''}><summary>{len(ledger)} entries: {counted}</summary>",
                table(names, ledger), "</details>"]
    public = ", ".join(escape(p) for p in privacy["public"]) or "nothing"
    out.append(f"<p>Declared public, and so outside the proof: <b>{public}</b>.</p>")
    out.append('<p class="soft">The statement is the generator\'s own; checked here is that it is complete and consistent.</p>')
    if report["canaries"]:
        c = report["canaries"]
        out.append(f"<p>Planted canaries: {_cell(c.get('correct'))} of {_cell(c.get('guesses'))} guesses right, so ε is at least "
                   f"<b>{_number(c['epsilon'])}</b> with 95 % confidence; all right would have shown {_cell(c.get('reachable'))}.</p>")
    return "".join(out)


def _attacks(report: Mapping[str, Any], pictures: Mapping[str, Picture]) -> str:
    out = ["<h2>Attacks</h2>"]
    if report["inputs"]["holdout"] is None:
        out.append(_box("No holdout was given, so the attacks have no control group: a rate may come from what people have in common. "
                        "Membership inference is left out, and no attack has a verdict. Give --holdout to settle them."))
    else:
        out.append("<p>Each attack on users who were in the training data (rate) and on users who were not (control). "
                   "Risk = (rate − control) / (1 − control), cut to 0..1. Pass: the whole interval is within the limit.</p>")
    out.append(_picture(pictures["risks"]))
    rows = []
    for a in report["attacks"]:
        name = f'{escape(a["title"])}<br><span class="soft">{escape(a["what"])}</span>'
        control = _rate(a["control"]) if a["control"] else "–"
        risk = _rate({"value": a["risk"], "low": a["low"], "high": a["high"]})
        rows.append((name, _rate(a["rate"]), control, _number(a["naive"]), risk, f"{a['limit']:.2f}", _sign(a["verdict"])))
    head = ("attack, and what a success is", "rate", "control", "by chance", "risk", "limit", "verdict")
    return "".join(out) + table(head, rows, " nnnnn")


def _fidelity(report: Mapping[str, Any], pictures: Mapping[str, Picture]) -> str:
    against = "the holdout" if report["inputs"]["holdout"] else "random halves of the real users"
    out = ["<h2>Fidelity</h2>",
           f"<p>Value: synthetic against {against}. Floor: two samples of as many real users against each other, mean of several draws; "
           "no generator can be expected below it. What passes is a distance from the ideal of at most a multiple of the floor's, the "
           "largest floor of any draw, or a slack too small to matter.</p>"]
    rows = [(escape(r["title"]), _number(r["value"]), _number(r["floor"]), f"{r['ideal']:g}", _bound(r), _sign(r["verdict"]))
            for r in report["fidelity"]]
    out.append(table(("measure", "value", "floor", "ideal", "passes at", "verdict"), rows, " nnnn"))
    out += [_telling(report["telling"]), _columns(report["columns"])]
    facts = report["facts"]
    out.append("<h3>In plain figures</h3>" + table(
        ("", "real", "synthetic"), [(escape(name), _number(real), _number(made)) for name, (real, made) in facts.items()], " nn"))
    out += [_picture(p) for name, p in pictures.items() if name != "risks"]
    return "".join(out)


def _telling(rows: Sequence[Mapping[str, Any]]) -> str:
    """By what a classifier tells synthetic users from real ones: where to look first."""
    if not rows:
        return ""
    cells = [(escape(t["name"]), f"{t['gain']:.0%}", _direction(t["auc"]), _number(t["real"]), _number(t["synthetic"])) for t in rows]
    return ("<h3>What tells them apart</h3><p>The features of a user that the classifier of the detection measure gained most by. Alone: "
            "the AUC of that feature without any other. Means are over the users who have it.</p>"
            + table(("feature of a user", "share of gain", "alone", "mean, real", "mean, synthetic"), cells, " nnnn"))


def _columns(rows: Sequence[Mapping[str, Any]]) -> str:
    """Each column by itself."""
    cells = [(escape(c["name"]), escape(c["kind"]), _number(c["shape"]), _number(c["floor"]), *(f"{share:.1%}" for share in c["missing"]))
             for c in rows]
    return ("<h3>Column by column</h3><p>Shape: 1 − total variation distance of a category, 1 − Kolmogorov–Smirnov statistic of a number, "
            "of the values present; 1 is the same. Floor: real users against other real users.</p>"
            + table(("column", "kind", "shape", "floor", "missing, real", "missing, synthetic"), cells, "  nnnn"))


def _direction(auc: float) -> str:
    """'0.62 ↑' where a feature is higher for synthetic users."""
    return f"{max(auc, 1 - auc):.2f} " + ("↑" if auc > 0.52 else "↓" if auc < 0.48 else "≈")


def _bound(row: Mapping[str, Any]) -> str:
    """The value at which a measure just passes."""
    return f"≥ {_number(max(1 - row['limit'], 0.0))}" if row["ideal"] == 1 else f"≤ {_number(row['ideal'] + row['limit'])}"


def _utility(utility: Mapping[str, Any] | None) -> str:
    if utility is None:
        return ("<h2>Utility</h2><p>Not measured here. Training on the synthetic log and testing on the real one is what the benchmark "
                "does; give its results with --utility.</p>")
    names = _ordered(utility["rows"], (
        "task", "model", "metric", "train_on_real", "train_on_synthetic", "base", "share", "limit", "verdict"))
    rows = [tuple(_sign(row["verdict"]) if n == "verdict" else _cell(row.get(n)) for n in names) for row in utility["rows"]]
    return "<h2>Utility: train on synthetic, test on real</h2>" + table(names, rows)


def _measures(rows: Iterable[Mapping[str, Any]]) -> str:
    cells = [(escape(r["name"]), escape(r["formula"]), f"{r['factor']:g} × floor, or {r['slack']:g}", escape(r["source"])) for r in rows]
    return "<h2>How it was measured</h2>" + table(("measure", "formula", "limit", "source"), cells)


# --- pieces --------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "", *, kind: str = "") -> str:
    """A table of cells that are HTML already; `align` has 'n' where the column right of the first is of numbers. Of the kind
    'stack' a row becomes a block on a narrow screen."""
    marks = [' class="n"' if i < len(align) and align[i] == "n" and i > 0 else "" for i in range(len(head))]
    top = "".join(f"<th{m}>{escape(h)}</th>" for h, m in zip(head, marks, strict=True))
    body = "".join("<tr>" + "".join(f"<td{m}>{c}</td>" for c, m in zip(row, marks, strict=True)) + "</tr>" for row in rows)
    return f'<div class="scroll"><table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _picture(picture: Picture) -> str:
    return f"<figure>{picture.svg}<figcaption>{escape(picture.caption)}</figcaption></figure>"


def _box(text: str) -> str:
    return f'<div class="box">{escape(text)}</div>'


def _sign(verdict: str) -> str:
    return f'<span class="v {escape(verdict)}">{escape(SIGNS.get(verdict, verdict))}</span>'


def _rate(rate: Mapping[str, Any]) -> str:
    return f"{rate['value']:.3f} <span class=soft>[{rate['low']:.3f}, {rate['high']:.3f}]</span>"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 or (value == int(value) and abs(value) >= 1) else f"{value:.3g}" if value else "0"


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(float(value))
    return escape("–" if value is None else str(value))


def _ordered(rows: Iterable[Mapping[str, Any]], first: Sequence[str]) -> list[str]:
    """All keys of `rows`: those in `first` in that order, then the others by name."""
    return sorted({str(k) for row in rows for k in row}, key=lambda k: (first.index(k) if k in first else len(first), k))
