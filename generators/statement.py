"""What a privacy statement says and whether it holds together.

A generator's statement is data: {"epsilon", "delta", "unit", "ledger": [{"mechanism", "what", "epsilon", "delta"}], "public"}.
It is the generator's own word. Checked here is what can be checked without the training run: that it is complete, that its
parts add up, and that the planted canaries do not contradict it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, isfinite
from pathlib import Path
from typing import Any, Literal

from eventlog import InputError
from eventlog.files import read_json

from .privacy import epsilon_of
from .store import check_source

EPSILON_LIMIT = 10.0  # beyond it an attacker's odds may grow 22,026-fold: a number, no longer a protection

NUMBERS = ("epsilon", "delta", "sigma", "sampling_rate", "steps")  # of an entry of the ledger

Verdict = Literal["pass", "fail", "unsettled", "unproved"]


@dataclass(frozen=True)
class Check:
    """One thing that a statement was held to."""

    what: str
    found: str
    verdict: Literal["pass", "fail", "unsettled"]


@dataclass(frozen=True)
class Statement:
    """A privacy statement as the report shows it; `epsilon` None: nothing is proved."""

    epsilon: float | None
    delta: float | None
    unit: str
    ledger: list[dict[str, Any]]
    public: list[str]
    checks: list[Check]
    verdict: Verdict

    @property
    def sentence(self) -> str:
        """What is proved, in words."""
        if self.epsilon is None:
            return "Nothing is proved about the privacy of this log."
        if self.verdict == "fail":
            return f"The claim of ε = {self.epsilon:g} per {self.unit} does not stand as it is made."
        qualified = "" if self.verdict == "pass" else " (see what is unsettled below)"
        return f"ε = {self.epsilon:g}, δ = {self.delta or 0:.2g} per {self.unit} is claimed, with a ledger{qualified}."

    @property
    def meaning(self) -> str:
        """What the sentence means for one user."""
        if self.epsilon is None:
            return ("No epsilon came with this log: as far as can be told, it was made without differential privacy. The attacks below "
                    "may find nothing and a better attack may still exist: no finding is no proof.")
        odds = f"{exp(self.epsilon):,.3g}" if self.epsilon < 700 else "unbounded"
        return (f"Whatever else an attacker knows, having one {self.unit}'s data in the training log multiplies the odds of any conclusion "
                f"about that {self.unit} by at most e^ε = {odds}, except with probability δ. What is listed as public is not protected.")


def find(manifest: Mapping[str, Any], model: Path | str | None = None) -> dict[str, Any] | None:
    """The statement in a synthetic log's manifest, else in a model folder's; None where there is none.

    Raises InputError where the model folder is none, or where log and model claim different epsilons.
    """
    said = _formed(manifest.get("privacy"), "the synthetic log")
    if model is None:
        return said
    folder = Path(model)
    files = [folder / name for name in ("model.json", "manifest.json") if (folder / name).is_file()]
    if not files:
        raise InputError(f"{folder} is no saved generator (it has neither model.json nor manifest.json).")
    if (folder / "manifest.json").is_file():
        check_source(folder, read_json(folder / "manifest.json"))
    read = [content for content in map(read_json, files) if isinstance(content, Mapping)]
    told = _formed(next((content["privacy"] for content in read if content.get("privacy")), None), str(folder))
    if said and told and said.get("epsilon") != told.get("epsilon"):
        raise InputError(
            f"The synthetic log claims epsilon {said.get('epsilon')} and the model {folder} claims {told.get('epsilon')}; "
            "give the model that made the log.")
    return said or told


def _formed(said: Any, whose: str) -> dict[str, Any] | None:
    """`said`, where it has the form of a privacy statement. Raises InputError else: what cannot be read cannot be judged."""
    if said is None:
        return None

    def number(value: Any) -> bool:
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool))

    ledger, public = (said.get("ledger") or [], said.get("public") or []) if isinstance(said, Mapping) else (None, None)
    entries = ledger if isinstance(ledger, list) else [None]
    whole = isinstance(said, Mapping) and number(said.get("epsilon")) and number(said.get("delta")) and isinstance(public, list)
    if not whole or not all(isinstance(e, Mapping) and all(number(e.get(k)) for k in NUMBERS) for e in entries):
        raise InputError(f"The privacy statement of {whose} is not what a generator writes (a number as epsilon and delta, a list of "
                         "mechanisms as ledger, a list of names as public).")
    return dict(said)


def judge(said: Mapping[str, Any] | None, *, users: int, canaries: Mapping[str, Any] | None = None) -> Statement:
    """Check a statement about a training log of `users` users; `canaries` is an `Audit` as plain data."""
    said = said or {}
    epsilon, delta, unit = said.get("epsilon"), said.get("delta"), str(said.get("unit") or "unknown unit")
    ledger, public = list(said.get("ledger") or []), [str(p) for p in said.get("public") or []]
    if epsilon is None:
        return Statement(None, None, unit, ledger, public, [], "unproved")
    epsilon, delta = float(epsilon), float(delta) if delta is not None else None
    checks = [
        _check("ε is a finite number above 0", f"{epsilon:g}", isfinite(epsilon) and epsilon > 0),
        _check(f"ε is at most {EPSILON_LIMIT:g}", f"{epsilon:g}", epsilon <= EPSILON_LIMIT),
        _check("the unit of protection is the user", unit, unit == "user"),
        _check(f"δ is below 1 / users = {1 / users:.2g}", "not given" if delta is None else f"{delta:.2g}",
               delta is not None and 0 <= delta < 1 / users),
        _check("the ledger names every mechanism with its share", f"{len(ledger)} entries",
               bool(ledger) and all({"mechanism", "what", "epsilon"} <= set(entry) for entry in ledger)),
    ]
    parts = [float(entry["epsilon"]) for entry in ledger if entry.get("epsilon") is not None]
    composed = _composed(ledger, delta)
    if composed is not None:
        checks.append(_check("the noise in the ledger, composed anew, costs at most ε", f"{composed:.4g}", composed <= epsilon * 1.001))
    elif parts:
        total = sum(parts)
        # More than the claim is no contradiction (RDP and PRV compose tighter than a sum), but then a sum cannot confirm it.
        checks.append(Check("the ledger adds up to at most ε by plain composition", f"{total:.4g}",
                            "pass" if total <= epsilon * (1 + 1e-6) else "unsettled"))
    if canaries is not None:
        bound = float(canaries["epsilon"])
        checks.append(_check("planted canaries do not contradict ε (their lower bound is at most ε)",
                             f"{bound:.3g} from {canaries.get('canaries', '?')} canaries", bound <= epsilon))
    words = {c.verdict for c in checks}
    verdict: Verdict = "fail" if "fail" in words else "unsettled" if "unsettled" in words else "pass"
    return Statement(epsilon, delta, unit, ledger, public, checks, verdict)


def _composed(ledger: list[dict[str, Any]], delta: float | None) -> float | None:
    """Epsilon of a ledger whose entries give their noise multipliers, sampling rates and steps; None where they do not."""
    gaussian = [e for e in ledger if e.get("sigma")]
    rest = [e for e in ledger if not e.get("sigma")]
    left = (delta or 0.0) - sum(float(e.get("delta") or 0) for e in ledger)
    told = all({"sampling_rate", "steps"} <= set(e) for e in gaussian) and all("epsilon" in e for e in rest)
    if not gaussian or left <= 0 or not told:
        return None
    history = [(float(e["sigma"]), float(e["sampling_rate"]), int(e["steps"])) for e in gaussian]
    return sum(float(e["epsilon"]) for e in rest) + epsilon_of(history, left)


def _check(what: str, found: str, holds: bool) -> Check:
    return Check(what, found, "pass" if holds else "fail")
