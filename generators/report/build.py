"""The report that a privacy officer signs: decision, guarantee, attacks, fidelity, utility.

It is a folder: report.html (opens offline; its first page is the one to sign), report.json (every
figure), data_card.md (may travel with the synthetic log) and manifest.json (the inputs, by
checksum).

Example::

    python -m generators report --real shop --synthetic twin --holdout held --out report
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from eventlog import EventLog, InputError
from eventlog._runtime.console import note
from eventlog._runtime.files import check_replaceable, new_folder, read_json, sha256, write_json
from eventlog._runtime.terminal import files, suggest
from eventlog.log import digest, versions
from generators.evaluation import detection, fidelity, sdmetrics_scores
from generators.evaluation.align import AlignedLog, align_logs
from generators.evaluation.attacks import suite
from generators.evaluation.attacks.common import LIMIT, Attack
from generators.evaluation.campaigns import campaign_effects
from generators.privacy import judgement, statement
from generators.report import html, plots, terminal
from generators.report.data_card import column_changes, data_card, facts
from generators.report.data_card import columns as described
from generators.report.decision import Decision, decide

SECTIONS = {
    "flow": "What users do",
    "time": "When they do it",
    "items": "Items and prices",
    "analyst": "What an analyst counts",
    "labels": "Labels",
    "detection": "Detection",
    "columns": "Columns (sdmetrics)",
}
TELLING = 12  # features shown by which a classifier tells synthetic users from real ones
# Numbers in a row of utility results.
NUMBERS = ("share", "train_on_synthetic", "train_on_real", "base", "limit")
# Share of what training on real data reaches, where the results name no limit of their own.
UTILITY_LIMIT = 0.90


@dataclass(frozen=True)
class Report:
    """A finished report: the content of report.json, the pictures of the page, the data card."""

    data: dict[str, Any]
    pictures: dict[str, plots.Picture]
    card: str

    def write(self, out: Path | str) -> Path:
        """Write the report folder, completely or not at all, and return its path."""
        with new_folder(out) as folder:
            write_json(folder / "report.json", self.data)
            (folder / "report.html").write_text(
                html.page(self.data, self.pictures), encoding="utf-8"
            )
            (folder / "data_card.md").write_text(self.card, encoding="utf-8")
            files = {p.name: {"sha256": sha256(p)} for p in sorted(folder.iterdir())}
            write_json(
                folder / "manifest.json",
                {
                    "made_by": "generators report",
                    "inputs": self.data["inputs"],
                    "seed": self.data["seed"],
                    "versions": versions(),
                    "files": files,
                },
            )
        return Path(out)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand: write the folder, print a table of its sections and the decision.

    Returns 0 where the log may be handed over, with or without conditions, and 1 otherwise.
    """
    check_replaceable(args.out)
    names = {kind: getattr(args, kind) for kind in ("real", "synthetic", "holdout")}
    logs = {kind: EventLog.read(path, truth=False) for kind, path in names.items() if path}
    report = build(
        logs["real"],
        logs["synthetic"],
        logs.get("holdout"),
        model=args.model,
        seed=args.seed,
        paths=names,
        utility=read_json(args.utility) if args.utility else None,
        canaries=read_json(args.canaries) if args.canaries else None,
        purpose=args.purpose,
        recipient=args.recipient,
    )
    report.write(args.out)
    terminal.show(report.data)
    decision = Decision(**report.data["decision"])
    said = set(terminal.sentences(report.data))
    for kind, lines in (("reason", decision.reasons), ("condition", decision.conditions)):
        for line in map(plots.printable, lines):
            if line not in said:
                print(f"{kind}: {line}")
    files({"the page to read and sign": f"{args.out}/report.html"})
    print(decision.sentence)
    if args.holdout is None:
        again = f"python -m generators share {args.real} --epsilon 3 --out shared"
        suggest({again: "fit, sample and report, with a control group for the attacks"})
    return decision.exit_code


def build(
    real: EventLog,
    synthetic: EventLog,
    holdout: EventLog | None = None,
    *,
    model: Path | str | None = None,
    utility: Any = None,
    canaries: Mapping[str, Any] | None = None,
    seed: int = 0,
    paths: Mapping[str, Any] | None = None,
    purpose: str = "",
    recipient: str = "",
    settings: Mapping[str, Any] | None = None,
) -> Report:
    """Measure everything and decide.

    Args:
        real: the log that the generator was fitted on.
        synthetic: the log that it made.
        holdout: real users that it never saw, the control group of the attacks.
        model: folder of the saved generator, for its privacy statement, settings and checksum.
        utility: results of training on synthetic and testing on real, as plain data.
        canaries: a `CanaryAudit` as plain data.
        seed: of the random draws of users and guesses.
        paths: where the logs were read from ("real", "synthetic", "holdout").
        purpose: shown on the page to sign and on the data card.
        recipient: likewise.
        settings: shown instead of those in the model's folder.

    Raises InputError where a log is empty, the holdout shares users with the real log, or a file
    has the wrong form.
    """
    if holdout is not None:
        suite.check_disjoint(real, holdout)
    said = statement.find(synthetic.manifest, model)
    made_by = _generator(synthetic, model, settings)
    flats = align_logs(real, synthetic, *([holdout] if holdout is not None else []))
    ours, made, held = flats[0], flats[1], flats[2] if holdout is not None else None
    audited, used = _canaries(canaries), _utility(utility)
    proof = judgement.judge(said, users=ours.n_users, canaries=audited)
    note("Measuring fidelity ...")
    rows = [
        {**asdict(fidelity.MEASURES[r.name]), **asdict(r)}
        for r in fidelity.compare_aligned(ours, made, held, seed=seed)
    ]
    order = np.random.default_rng(seed).permutation(ours.n_users)
    halves = (
        [ours.take(np.sort(part)) for part in (order[::2], order[1::2])]
        if ours.n_users > 1
        else [ours, ours]
    )
    target, other = halves if held is None else (held, ours)
    told = detection.detect(ours if held is None else held, made, seed=seed, most=TELLING)[1]
    note("Attacking ...")
    found = suite.run_aligned(ours, made, held, seed=seed)
    decision = decide(proof, found, holdout=holdout is not None, canaries=audited, utility=used)
    made_facts = facts(made)
    data: dict[str, Any] = {
        "decision": decision.as_json(),
        "purpose": purpose,
        "recipient": recipient,
        "inputs": {
            kind: _input(flat, (paths or {}).get(kind))
            for kind, flat in (("real", ours), ("synthetic", made), ("holdout", held))
        },
        "generator": made_by,
        "column_changes": column_changes(synthetic.manifest),
        "seed": seed,
        "privacy": {
            **asdict(proof),
            "sentence": proof.sentence,
            "meaning": proof.meaning,
            "strength": proof.strength,
            "delta_meaning": proof.delta_meaning,
        },
        "canaries": audited,
        "attacks": [suite.as_json(a) for a in found],
        "fidelity": rows,
        "telling": [asdict(t) for t in told],
        "campaigns": [{**asdict(c), "agree": c.agree} for c in campaign_effects(real, synthetic)],
        "columns": sdmetrics_scores.by_column(target, made, other),
        "facts": {name: [value, made_facts[name]] for name, value in facts(ours).items()},
        "utility": used,
        "synthetic": {
            "columns": described(synthetic),
            "facts": made_facts,
            "made_by": made_by["name"],
            "span": [t.isoformat() for t in synthetic.span],
        },
    }
    data["sections"] = _sections(proof, found, rows, used, holdout is not None)
    note("Drawing ...")
    card = data_card(
        synthetic, said or {}, decision=data["decision"], purpose=purpose, recipient=recipient
    )
    return Report(_finite(data), plots.pictures(ours, made), card)


# --- sections -------------------------------------------------------------------------------------


def _sections(
    proof: judgement.Judgement,
    found: list[Attack],
    rows: list[dict[str, Any]],
    utility: dict[str, Any] | None,
    control: bool,
) -> list[dict[str, str]]:
    """Return the verdict of each section, with its criterion and what was found."""
    asked = (
        f"ε below {judgement.EPSILON_CONSERVATIVE:g} per user (up to {judgement.EPSILON_LIMIT:g} "
        "on conditions), small δ, secret noise, whole ledger"
    )
    out = [_section("Privacy, proved", proof.verdict, asked, proof.sentence)]
    words: list[str] = [a.verdict for a in found]
    worst = max(found, key=lambda a: a.risk)
    said = (
        f"{words.count('pass')} of {len(words)} pass; highest risk {worst.risk:.3f}: {worst.title}"
    )
    out.append(
        _section(
            "Privacy, attacked",
            _worst(words),
            f"excess risk over the control group at most {LIMIT:g}, whole interval",
            said if control else "no control group: rates only",
        )
    )
    for key, title in SECTIONS.items():
        part = [r for r in rows if r["section"] == key]
        if part:
            failed = [r["title"] for r in part if r["verdict"] != "pass"]
            seen = f"{len(part) - len(failed)} of {len(part)} pass" + (
                f"; not: {', '.join(failed)}" if failed else ""
            )
            verdict = _worst([r["verdict"] for r in part])
            out.append(
                _section(
                    f"Fidelity: {title}",
                    verdict,
                    "each measure within its multiple of the floor",
                    seen,
                )
            )
    if utility is None:
        out.append(
            _section(
                "Utility",
                "not run",
                f"at least {UTILITY_LIMIT:.0%} of training on real",
                "no --utility results given",
            )
        )
    else:
        kept = [r["verdict"] for r in utility["rows"]]
        out.append(
            _section(
                "Utility",
                _worst(kept),
                "each share at least its limit",
                f"{kept.count('pass')} of {len(kept)} pass",
            )
        )
    return out


def _section(title: str, verdict: str, held_to: str, found: str) -> dict[str, str]:
    return {"title": title, "verdict": verdict, "held_to": held_to, "found": found}


def _worst(verdicts: list[str]) -> str:
    return next((word for word in ("fail", "unsettled") if word in verdicts), "pass")


def _utility(given: Any) -> dict[str, Any] | None:
    """Return results as {"rows": [...]} with share and verdict in each row.

    A row needs `share` (of what training on real data reaches), or `train_on_synthetic` and
    `train_on_real`, from which `base` is subtracted where given. `limit` replaces UTILITY_LIMIT.
    """
    if given is None:
        return None
    rows = given.get("rows") if isinstance(given, Mapping) else given
    if not isinstance(rows, list) or not rows or not all(isinstance(r, Mapping) for r in rows):
        raise InputError(
            'The utility results must be a list of rows, or {"rows": [...]}, with at least one row.'
        )
    out = []
    for number, row in enumerate(rows, 1):
        where = f"row {number} of the utility results"
        given = {
            key: _number(row[key], f"{key!r} in {where}")
            for key in NUMBERS
            if row.get(key) is not None
        }
        share = given.get("share")
        if share is None:
            if not {"train_on_synthetic", "train_on_real"} <= set(given):
                raise InputError(
                    f"R{where[1:]} has neither 'share' nor 'train_on_synthetic' and "
                    "'train_on_real'."
                )
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
    """Check the result of an audit, a `CanaryAudit` as plain data."""
    if given is None:
        return None
    if not isinstance(given, Mapping) or "epsilon" not in given:
        raise InputError(
            'The canaries\' result must be an object with "epsilon", such as '
            "generators.evaluation.canaries.audit gives."
        )
    for key in ("epsilon", "reachable", "canaries", "guesses", "correct"):
        if key in given:
            _number(given[key], f"{key!r} of the canaries")
    return dict(given)


# --- figures --------------------------------------------------------------------------------------


def _input(flat: AlignedLog | None, path: Any) -> dict[str, Any] | None:
    if flat is None:
        return None
    named = (
        {"path": str(path), "digest": digest(path)}
        if path
        else {"path": "in memory", "digest": None}
    )
    return {**named, "users": flat.n_users, "rows": flat.n_rows}


def _generator(
    synthetic: EventLog, model: Path | str | None, settings: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what made the synthetic log: name, settings, seed, checksum of the saved model."""
    manifest = synthetic.manifest
    out: dict[str, Any] = {
        "name": manifest.get("generator") or manifest.get("made_by"),
        "sample_seed": manifest.get("seed"),
        "settings": dict(settings) if settings is not None else None,
        "model": None,
    }
    if model is None:
        return out
    files = sorted(p for p in Path(model).iterdir() if p.is_file())
    key = hashlib.sha256("".join(f"{p.name}:{sha256(p)};" for p in files).encode()).hexdigest()[:16]
    stored: Any = next((read_json(p) for p in files if p.name == "model.json"), {})
    if (
        settings is None
        and isinstance(stored, Mapping)
        and isinstance(stored.get("settings"), Mapping)
    ):
        out["settings"] = dict(stored["settings"])
    return {**out, "model": {"path": str(model), "digest": key}}


def _finite(value: Any) -> Any:
    """Return the data with None instead of inf and NaN, which JSON lacks."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if isfinite(value) else None
    return value
