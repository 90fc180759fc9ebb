"""Judges a privacy statement: what it claims in plain words, and whether its parts agree.

What can be checked without the training run is checked here: that the statement is complete, that
its ledger adds up, that the noise is secret, and that planted canaries do not contradict it.

The terms (privacy unit, unbounded differential privacy, central model, privacy hazard) are those
of NIST SP 800-226 (Near and Darais, Guidelines for Evaluating Differential Privacy Guarantees,
March 2025, doi:10.6028/NIST.SP.800-226). It sets no epsilon that is safe everywhere.
EPSILON_CONSERVATIVE is what its authors call a broad consensus in NIST's series on differential
privacy ("Differential Privacy: Future Work & Open Challenges", 2022); every other threshold here
is ours.

Example::

    found = judge(find(synthetic.manifest), users=600)
    found.verdict, found.sentence
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, isfinite
from typing import Any, Literal

from eventlog.privacy.noise import DELTA_MOST, default_delta
from generators.privacy.accounting import epsilon_of
from generators.privacy.statement import NoiseSource, PrivacyStatement

EPSILON_CONSERVATIVE = 5.0  # below it: "a conservative choice", in the words of NIST's authors
# Ours: beyond it the odds may grow 22,026-fold, which is a number and no longer a protection.
EPSILON_LIMIT = 10.0
DELTA_TOLERANCE = 0.1  # the delta of a generator comes from a noisy number of users
SPENT_TOLERANCE = 1e-3  # relative: the ledger's numbers are rounded

CANARY_CHECK = "planted canaries do not contradict ε (their lower bound is at most ε)"

UNIT = (
    "Privacy unit: the user, with all of their rows. Neighbouring logs: one user added or "
    "removed (unbounded differential privacy). Trust model: central, the owner of the real log "
    "ran the generator and saw everything."
)
HAZARDS = (
    "What many users have in common can be learnt from the log, and used against a person who "
    "shares it, whether or not that person is in the real log.",
    "What was declared or assumed public is not protected at all.",
    "A person with several user ids is protected one id at a time.",
    "Every further model fitted on the same users costs further ε: the ε of all releases must be "
    "added up. Further samples of the same model cost nothing.",
    "Small groups are drowned by the noise before large ones: what the log says of them may be "
    "wrong (bias).",
    "Whoever holds the real log, the training machine or an unfinished model is not bound by the "
    "guarantee (data collection exposure, access, side channels).",
)

Verdict = Literal["pass", "condition", "unsettled", "fail", "unproved"]


@dataclass(frozen=True)
class Check:
    """One check of a statement."""

    what: str
    found: str
    verdict: Literal["pass", "condition", "unsettled", "fail"]


@dataclass(frozen=True)
class Judgement:
    """A privacy statement and its checks; where `epsilon` is None nothing is proved."""

    epsilon: float | None
    delta: float | None
    unit: str
    ledger: list[dict[str, Any]]
    public: list[str]
    checks: list[Check]
    verdict: Verdict
    own_words: str = ""  # the generator's own sentence
    neighbours: str = ""
    accountant: str = ""
    spent: float | None = None  # epsilon of the ledger; never shown above `epsilon`
    noise: str = ""
    noise_source: NoiseSource = "unknown"
    # list or table -> where it comes from
    public_lists: dict[str, str] = field(default_factory=dict)
    assumed_public: list[str] = field(default_factory=list)
    caveats: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """What is proved, in one sentence."""
        if self.epsilon is None:
            return "Nothing is proved about the privacy of this log."
        claim = f"ε = {self.epsilon:g}"
        if self.noise_source == "seed":
            return (
                f"The guarantee of {claim} does not hold against anyone who knows the noise seed; "
                "treat it as not established."
            )
        if self.verdict == "fail":
            return f"The claim of {claim} per {self.unit} does not stand as it is made."
        end = {
            "condition": ", under the conditions below",
            "unsettled": " (see what is unsettled below)",
        }.get(self.verdict, "")
        return f"{claim}, δ = {self.delta or 0:.2g} per {self.unit} is claimed, with a ledger{end}."

    @property
    def meaning(self) -> str:
        """What the guarantee means for one user."""
        if self.epsilon is None:
            return (
                "No ε came with this log: as far as can be told, it was made without "
                "differential privacy. Attacks may find nothing and a better attack may still "
                "exist: no finding is no proof."
            )
        if self.verdict == "fail":
            return (
                "What was claimed may not be relied on: judge this log as one about which "
                "nothing is proved."
            )
        odds = f"{exp(self.epsilon):,.3g}" if self.epsilon < 700 else "unbounded"
        return (
            f"Whatever else an attacker knows, having one {self.unit}'s data in the training log "
            f"multiplies the odds of any conclusion about that {self.unit} by at most e^ε = "
            f"{odds}, except with probability δ. What is listed as public is not protected."
        )

    @property
    def strength(self) -> str:
        """How strong the epsilon is, and by whose judgement; "" where nothing is proved."""
        if self.epsilon is None:
            return ""
        if self.epsilon < EPSILON_CONSERVATIVE:
            return (
                f"ε below {EPSILON_CONSERVATIVE:g} is a conservative choice with strong "
                "protection, in the words of the authors of NIST SP 800-226 (which itself sets "
                "no limit for every case)."
            )
        if self.epsilon <= EPSILON_LIMIT:
            return (
                f"ε from {EPSILON_CONSERVATIVE:g} to {EPSILON_LIMIT:g} is above what the authors "
                "of NIST SP 800-226 call conservative; how much it protects depends on the "
                f"setting. The limit of {EPSILON_LIMIT:g} is this report's."
            )
        return (
            f"ε above {EPSILON_LIMIT:g} is weak: beyond this report's own limit (NIST SP 800-226 "
            "sets none)."
        )

    @property
    def delta_meaning(self) -> str:
        """What delta means; "" where none is given."""
        if self.epsilon is None or self.delta is None:
            return ""
        return (
            f"δ = {self.delta:.2g}: a mechanism may fail one user completely with this "
            "probability. Among N users, about N·δ whole records may be published."
        )


def judge(
    statement: PrivacyStatement | Mapping[str, Any] | None,
    *,
    users: int | None = None,
    canaries: Mapping[str, Any] | None = None,
) -> Judgement:
    """Check a statement about a training log of `users` users.

    `canaries` is a `CanaryAudit` as plain data. Without `users` the result depends on the statement
    alone, and may travel with the synthetic log. Raises InputError where a mapping is malformed.
    """
    said = PrivacyStatement() if statement is None else statement
    if not isinstance(said, PrivacyStatement):
        said = PrivacyStatement.from_json(said, "the synthetic log")
    shown: dict[str, Any] = {
        "unit": said.unit or "unknown unit",
        "ledger": said.ledger,
        "public": said.public,
        "own_words": said.statement,
        "neighbours": said.neighbours,
        "accountant": said.accountant,
        "noise": said.noise,
        "noise_source": said.source,
        "public_lists": said.public_lists,
        "assumed_public": said.assumed_public,
        "caveats": said.caveats,
    }
    epsilon, spent = said.epsilon, said.epsilon_spent
    if epsilon is None or said.proved == "none":
        return Judgement(None, None, checks=[], verdict="unproved", **shown)
    checks = _checks(said, epsilon, users)
    if canaries is not None:
        bound = float(canaries["epsilon"])
        found = f"{bound:.3g} from {canaries.get('canaries', '?')} canaries"
        checks.append(_check(CANARY_CHECK, found, bound <= epsilon))
    words = {c.verdict for c in checks}
    ranked: tuple[Verdict, ...] = ("fail", "unsettled", "condition")
    verdict: Verdict = next((word for word in ranked if word in words), "pass")
    spent = None if spent is None else min(spent, epsilon)
    return Judgement(epsilon, said.delta, checks=checks, verdict=verdict, spent=spent, **shown)


def _checks(said: PrivacyStatement, epsilon: float, users: int | None) -> list[Check]:
    """Return the checks of a statement that claims `epsilon`."""
    checks = [
        _check("ε is a finite number above 0", f"{epsilon:g}", isfinite(epsilon) and epsilon > 0),
        _epsilon_check(epsilon),
        _check("the privacy unit is the user", said.unit or "unknown unit", said.unit == "user"),
        _delta_check(said.delta, users),
        _noise_check(said.source),
        _check(
            "the ledger names every mechanism with its share",
            f"{len(said.ledger)} entries",
            bool(said.ledger)
            and all({"mechanism", "what", "epsilon"} <= set(entry) for entry in said.ledger),
        ),
    ]
    spent = said.epsilon_spent
    if spent is not None:
        within = spent <= epsilon * (1 + SPENT_TOLERANCE)
        checks.append(_check("what was spent is at most ε", f"{spent:.4g}", within))
    return checks + _ledger_checks(said.ledger, epsilon, said.delta)


def _epsilon_check(epsilon: float) -> Check:
    what = f"ε is below {EPSILON_CONSERVATIVE:g} (up to {EPSILON_LIMIT:g}: on conditions)"
    verdict = (
        "pass"
        if epsilon < EPSILON_CONSERVATIVE
        else "condition"
        if epsilon <= EPSILON_LIMIT
        else "fail"
    )
    return Check(what, f"{epsilon:g}", verdict)  # type: ignore[arg-type]


def _delta_check(delta: float | None, users: int | None) -> Check:
    """Compare delta to the number of users, without naming it: the text may travel."""
    what = f"δ is at most {DELTA_MOST:g} and users^-1.5 (below 1 / users: on conditions)"
    if delta is None or not 0 <= delta < 1:
        return Check(what, "not given" if delta is None else f"{delta:.2g}", "fail")
    if delta <= (DELTA_MOST if users is None else default_delta(users)) * (1 + DELTA_TOLERANCE):
        return Check(what, f"{delta:.2g}", "pass")
    if users is None:
        return Check(
            what, f"{delta:.2g}: allows publishing about users·δ whole records", "condition"
        )
    if delta >= 1 / users:
        return Check(what, f"{delta:.2g}: allows publishing at least one whole record", "fail")
    return Check(
        what, f"{delta:.2g}: allows publishing about {users * delta:.1g} whole records", "condition"
    )


def _noise_check(source: NoiseSource) -> Check:
    what = "the noise is secret: nobody can draw it again"
    if source == "system":
        return Check(what, "drawn from the operating system's entropy, not kept", "pass")
    if source == "seed":
        return Check(
            what, "follows from a noise seed: no guarantee against whoever knows it", "fail"
        )
    return Check(what, "the statement does not say where the noise came from", "unsettled")


def _ledger_checks(
    ledger: list[dict[str, Any]], epsilon: float, delta: float | None
) -> list[Check]:
    """Check that the entries compose to at most epsilon, as far as their fields allow."""
    composed = _composed(ledger, delta)
    if composed is not None:
        what = "the noise in the ledger, composed anew, costs at most ε"
        return [_check(what, f"{composed:.4g}", composed <= epsilon * (1 + SPENT_TOLERANCE))]
    parts = [float(entry["epsilon"]) for entry in ledger if entry.get("epsilon") is not None]
    if not parts:
        return []
    # More than the claim is no contradiction (RDP composes tighter than a sum), but then a sum
    # cannot confirm it.
    return [
        Check(
            "the ledger adds up to at most ε by plain composition",
            f"{sum(parts):.4g}",
            "pass" if sum(parts) <= epsilon * (1 + 1e-6) else "unsettled",
        )
    ]


def _composed(ledger: list[dict[str, Any]], delta: float | None) -> float | None:
    """Return the epsilon of a ledger from its noise, rates and steps; None where any is missing."""
    gaussian = [e for e in ledger if e.get("sigma")]
    rest = [e for e in ledger if not e.get("sigma")]
    left = (delta or 0.0) - sum(float(e.get("delta") or 0) for e in ledger)
    complete = all({"sampling_rate", "steps"} <= set(e) for e in gaussian) and all(
        "epsilon" in e for e in rest
    )
    if not gaussian or left <= 0 or not complete:
        return None
    history = [(float(e["sigma"]), float(e["sampling_rate"]), int(e["steps"])) for e in gaussian]
    return sum(float(e["epsilon"]) for e in rest) + epsilon_of(history, left)


def _check(what: str, found: str, holds: bool) -> Check:
    return Check(what, found, "pass" if holds else "fail")
