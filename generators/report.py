"""The report that a privacy officer signs: what is proved, what attacks find, how close the synthetic log is to the real one.

One folder: report.html (opens offline), report.json (every figure), data_card.md (may travel with the synthetic log) and
manifest.json (what went in, by checksum).

    python -m generators report --real shop --synthetic twin --holdout held --out report
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from eventlog import EventLog, InputError
from eventlog.console import note
from eventlog.files import check_replaceable, new_folder, read_json, sha256, write_json
from eventlog.log import digest, versions

from . import attacks, columns, detection, fidelity, page, plots, statement
from .flat import Flat, together

SECTIONS = {
    "flow": "What users do", "time": "When they do it", "items": "Items and prices", "labels": "Labels", "detection": "Detection",
    "columns": "Columns (sdmetrics)",
}
TELLING = 12          # features shown by which a classifier tells synthetic users from real ones
NUMBERS = ("share", "train_on_synthetic", "train_on_real", "base", "limit")  # of a row of utility results
UTILITY_LIMIT = 0.90  # of what training on real data reaches, where the results name no limit of their own


@dataclass(frozen=True)
class Report:
    """`data` is what report.json holds; `pictures` go into the page only."""

    data: dict[str, Any]
    pictures: dict[str, plots.Picture]

    def write(self, out: Path | str) -> Path:
        """Write the report folder, whole or not at all. Returns its path."""
        with new_folder(out) as folder:
            write_json(folder / "report.json", self.data)
            (folder / "report.html").write_text(page.page(self.data, self.pictures), encoding="utf-8")
            (folder / "data_card.md").write_text(data_card(self.data), encoding="utf-8")
            files = {p.name: {"sha256": sha256(p)} for p in sorted(folder.iterdir())}
            write_json(folder / "manifest.json", {
                "made_by": "generators report", "inputs": self.data["inputs"], "seed": self.data["seed"], "versions": versions(),
                "files": files,
            })
        return Path(out)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand: read the logs, measure, write the folder, print a line a section."""
    check_replaceable(args.out)
    names = {kind: getattr(args, kind) for kind in ("real", "synthetic", "holdout")}
    logs = {kind: EventLog.read(path, truth=False) for kind, path in names.items() if path}
    report = build(
        logs["real"], logs["synthetic"], logs.get("holdout"), model=args.model, seed=args.seed, paths=names,
        utility=read_json(args.utility) if args.utility else None, canaries=read_json(args.canaries) if args.canaries else None)
    report.write(args.out)
    for section in report.data["sections"]:
        print(f"{section['title']:<30} {section['verdict']:<10} {section['found']}")
    print(f"{args.out}/report.html")
    return 0


def build(
    real: EventLog, synthetic: EventLog, holdout: EventLog | None = None, *, model: Path | str | None = None,
    utility: Any = None, canaries: Mapping[str, Any] | None = None, seed: int = 0, paths: Mapping[str, Any] | None = None,
) -> Report:
    """Measure everything. `utility` and `canaries` are plain data, as their files hold it.

    Raises InputError where a log is empty, the holdout shares users with the real log, or a file is not what it should be.
    """
    if holdout is not None:
        attacks.check_disjoint(real, holdout)
    said = statement.find(synthetic.manifest, model)
    flats = together(real, synthetic, *([holdout] if holdout is not None else []))
    ours, made, held = flats[0], flats[1], flats[2] if holdout is not None else None
    audited = _canaries(canaries)
    proof = statement.judge(said, users=ours.n_users, canaries=audited)
    note("Measuring fidelity ...")
    rows = [{**asdict(fidelity.MEASURES[r.name]), **asdict(r)} for r in fidelity.compare_flat(ours, made, held, seed=seed)]
    order = np.random.default_rng(seed).permutation(ours.n_users)
    halves = [ours.take(np.sort(part)) for part in (order[::2], order[1::2])] if ours.n_users > 1 else [ours, ours]
    target, other = halves if held is None else (held, ours)
    told = detection.told_apart(ours if held is None else held, made, seed=seed)[1][:TELLING]
    note("Attacking ...")
    found = attacks.run_flat(ours, made, held, seed=seed)
    used, made_facts = _utility(utility), facts(made)
    data: dict[str, Any] = {
        "inputs": {kind: _input(flat, (paths or {}).get(kind)) for kind, flat in (("real", ours), ("synthetic", made), ("holdout", held))},
        "seed": seed,
        "privacy": {**asdict(proof), "sentence": proof.sentence, "meaning": proof.meaning},
        "canaries": audited,
        "attacks": [attacks.as_json(a) for a in found],
        "fidelity": rows,
        "telling": [asdict(t) for t in told],
        "columns": columns.by_column(target, made, other),
        "facts": {name: [value, made_facts[name]] for name, value in facts(ours).items()},
        "utility": used,
        "synthetic": {"columns": _columns(synthetic), "facts": made_facts,
                      "made_by": synthetic.manifest.get("generator") or synthetic.manifest.get("made_by"),
                      "span": [t.isoformat() for t in synthetic.span]},
    }
    data["sections"] = _sections(proof, found, rows, used, holdout is not None)
    note("Drawing ...")
    pictures = plots.pictures(ours, made)
    pictures["risks"] = plots.risks(found)
    return Report(_finite(data), pictures)


# --- sections ------------------------------------------------------------------------------------------------------


def _sections(
    proof: statement.Statement, found: list[attacks.Attack], rows: list[dict[str, Any]], utility: dict[str, Any] | None, control: bool
) -> list[dict[str, str]]:
    """A verdict a section, with what it was held to and what was found."""
    asked = f"ε at most {statement.EPSILON_LIMIT:g} per user, δ < 1/users, whole ledger"
    out = [_section("Privacy, proved", proof.verdict, asked, proof.sentence)]
    words: list[str] = [a.verdict for a in found]
    worst = max(found, key=lambda a: a.risk)
    said = f"{words.count('pass')} of {len(words)} pass; highest risk {worst.risk:.3f}: {worst.title}"
    out.append(_section("Privacy, attacked", _worst(words), f"excess risk over the control group at most {attacks.LIMIT:g}, whole interval",
                        said if control else "no control group: rates only"))
    for key, title in SECTIONS.items():
        part = [r for r in rows if r["section"] == key]
        if part:
            failed = [r["title"] for r in part if r["verdict"] != "pass"]
            seen = f"{len(part) - len(failed)} of {len(part)} pass" + (f"; not: {', '.join(failed)}" if failed else "")
            verdict = _worst([r["verdict"] for r in part])
            out.append(_section(f"Fidelity: {title}", verdict, "each measure within its multiple of the floor", seen))
    if utility is None:
        out.append(_section("Utility", "not run", f"at least {UTILITY_LIMIT:.0%} of training on real", "no --utility results given"))
    else:
        kept = [r["verdict"] for r in utility["rows"]]
        out.append(_section("Utility", _worst(kept), "each share at least its limit", f"{kept.count('pass')} of {len(kept)} pass"))
    return out


def _section(title: str, verdict: str, held_to: str, found: str) -> dict[str, str]:
    return {"title": title, "verdict": verdict, "held_to": held_to, "found": found}


def _worst(verdicts: list[str]) -> str:
    return next((word for word in ("fail", "unsettled") if word in verdicts), "pass")


def _utility(given: Any) -> dict[str, Any] | None:
    """Results as {"rows": [...]} with share and verdict in each row.

    A row needs `share` (of what training on real data reaches), or `train_on_synthetic` and `train_on_real`, both over
    `base` where it is given; `limit` where it is not UTILITY_LIMIT.
    """
    if given is None:
        return None
    rows = given.get("rows") if isinstance(given, Mapping) else given
    if not isinstance(rows, list) or not rows or not all(isinstance(r, Mapping) for r in rows):
        raise InputError('The utility results must be a list of rows, or {"rows": [...]}, with at least one row.')
    out = []
    for number, row in enumerate(rows, 1):
        where = f"row {number} of the utility results"
        given = {key: _number(row[key], f"{key!r} in {where}") for key in NUMBERS if row.get(key) is not None}
        share = given.get("share")
        if share is None:
            if not {"train_on_synthetic", "train_on_real"} <= set(given):
                raise InputError(f"R{where[1:]} has neither 'share' nor 'train_on_synthetic' and 'train_on_real'.")
            base = given.get("base", 0.0)
            room = given["train_on_real"] - base
            share = (given["train_on_synthetic"] - base) / room if room > 0 else None
        limit = given.get("limit", UTILITY_LIMIT)
        verdict = "unsettled" if share is None else "pass" if share >= limit else "fail"
        out.append({**row, "share": share, "limit": limit, "verdict": verdict})
    return {"rows": out}


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise InputError(f"{what[0].upper()}{what[1:]} is {value!r}; it must be a number.")
    return float(value)


def _canaries(given: Any) -> dict[str, Any] | None:
    """The result of an audit, as `canaries.Audit` has it."""
    if given is None:
        return None
    if not isinstance(given, Mapping) or "epsilon" not in given:
        raise InputError('The canaries\' result must be an object with "epsilon", such as generators.canaries.audit gives.')
    for key in ("epsilon", "reachable", "canaries", "guesses", "correct"):
        if key in given:
            _number(given[key], f"{key!r} of the canaries")
    return dict(given)


# --- figures -------------------------------------------------------------------------------------------------------


def facts(flat: Flat) -> dict[str, float]:
    """Plain figures of one log."""
    bought, n = flat.is_role("purchase"), flat.n_users
    gap = flat.gap[np.isfinite(flat.gap)]
    out = {
        "users": float(n), "rows": float(flat.n_rows), "rows per user": flat.n_rows / n, "sessions per user": float(flat.starts.sum() / n),
        "rows per session": float(flat.n_rows / flat.starts.sum()), "event types": float(len(np.unique(flat.codes["event"]))),
        "share of users who purchase": float(len(np.unique(flat.user[bought])) / n), "purchases per user": float(bought.sum() / n),
        "median seconds between rows": float(np.median(gap)) if len(gap) else 0.0,
    }
    if "item_id" in flat.codes:
        item = flat.codes["item_id"]
        out |= {"items": float(len(np.unique(item[item >= 0]))), "share of repeated items": fidelity.repeat_rate(flat)}
    if "price" in flat.numbers:
        price = flat.numbers["price"][np.isfinite(flat.numbers["price"])]
        out["median price"] = float(np.median(price)) if len(price) else 0.0
    return out | {f"share of rows labelled {kind}": float(mask.mean()) for kind, mask in flat.labels.items()}


def _input(flat: Flat | None, path: Any) -> dict[str, Any] | None:
    if flat is None:
        return None
    named = {"path": str(path), "digest": digest(path)} if path else {"path": "in memory", "digest": None}
    return {**named, "users": flat.n_users, "rows": flat.n_rows}


def _columns(log: EventLog) -> list[dict[str, Any]]:
    return [{"name": str(name), "type": "category" if str(values.dtype) == "category" else str(values.dtype),
             "missing": float(values.isna().mean())} for name, values in log.events.items()]


def _finite(value: Any) -> Any:
    """The same data with None for what JSON has no word for (inf, NaN)."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if isfinite(value) else None
    return value


def data_card(data: Mapping[str, Any]) -> str:
    """Markdown that may travel with the synthetic log: verdicts in words, and figures of the synthetic log only.

    Figures of the real log would be outside the privacy budget, and so stay in report.html.
    """
    made, privacy = data["synthetic"], data["privacy"]
    lines = ["# Data card", "", "A synthetic event log, sampled from a generator that was fitted on a real one.", ""]
    lines += ["## What it holds", ""]
    lines += [f"- {name}: {value:,.6g}" for name, value in made["facts"].items()]
    lines += [f"- first and last timestamp: {made['span'][0]}, {made['span'][1]}", f"- made by: {_plain(made['made_by'] or 'unknown')}", ""]
    lines += ["| column | type | missing |", "|---|---|---|"]
    lines += [f"| {_plain(c['name'])} | {_plain(c['type'])} | {c['missing']:.1%} |" for c in made["columns"]]
    lines += ["", "## Privacy", "", f"**{privacy['sentence']}**", "", privacy["meaning"], ""]
    if privacy["epsilon"] is not None:
        lines += ["| mechanism | what | epsilon | delta |", "|---|---|---|---|"]
        keys = ("mechanism", "what", "epsilon", "delta")
        lines += ["| " + " | ".join(_plain(entry.get(k, "")) for k in keys) + " |" for entry in privacy["ledger"]]
        lines += ["", f"Declared public: {', '.join(map(_plain, privacy['public'])) or 'nothing'}.", ""]
    lines += ["## Verdicts", "", "| section | verdict |", "|---|---|"]
    lines += [f"| {_plain(s['title'])} | {s['verdict']} |" for s in data["sections"]]
    lines += ["", "The verdicts were reached on the real log, outside any privacy budget; the figures behind them stay with its owner.", "",
              "## Fit for", "", "Building and testing software, teaching, comparing models before they meet real data. "
              "Not for decisions about a person, and not for statistics to be published as those of the real shop.", ""]
    return "\n".join(lines)


def _plain(value: Any) -> str:
    """One table cell of Markdown: no line break, no pipe, no tag."""
    return re.sub(r"\s+", " ", str(value)).replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
