"""Decides whether a synthetic log may be handed over; all rules stand here.

"do not release" where any of these holds:
  1. the noise follows from a seed: no guarantee holds against whoever knows it;
  2. the privacy statement does not stand (a check of it failed);
  3. planted canaries show more than the epsilon that is claimed, or than CANARY_LIMIT where
     none is;
  4. an attack is beyond its limit with its whole interval, whatever epsilon is claimed: then the
     proof, the code or what was declared public is suspect. Many attacks are run, and each may
     fail by chance; where an epsilon is claimed the interval is that of all of them together
     (Bonferroni), so that a log whose guarantee holds is refused by chance once in twenty at most;
  5. nothing is proved and there is no control group, or any attack is not clearly within its limit.
"release with conditions" where none of those holds, and any of these does:
  6. nothing is proved (every attack is clearly within its limit): a named recipient, a contract,
     no publication;
  7. epsilon or delta is in the range that the statement's check calls a condition;
  8. a check of the statement, or an attack, is unsettled, or there is no control group;
  9. a utility result is below its limit: not for that purpose. Utility never blocks a release.
"release" otherwise.

Example::

    decision = decide(proof, found, holdout=True)
    decision.verdict, decision.exit_code
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from scipy.special import ndtri

from generators.evaluation.attacks.common import Attack
from generators.privacy.judgement import CANARY_CHECK, EPSILON_CONSERVATIVE, Judgement

# Ours: for the bound where nothing is proved. A guess is then right with odds e to 1.
CANARY_LIMIT = 1.0
SHOWN = 3  # attacks, checks or tasks named in a reason

NAMED = (
    "Hand it to one named recipient, for the purpose stated here, until the date stated here; "
    "do not publish it."
)
CONTRACT = (
    "Have the recipient agree in writing not to single out people, not to match it with other "
    "data about people, not to pass it on, and to delete it at the end."
)
UNATTACKED = "Attack it again with a holdout (--holdout) before it goes to anybody else."

ReleaseVerdict = Literal["release", "release with conditions", "do not release"]
EXIT_CODES: dict[str, int] = {"release": 0, "release with conditions": 0, "do not release": 1}
SENTENCES: dict[str, str] = {
    "release": "Release: this log may be handed over.",
    "release with conditions": (
        "Release with conditions: this log may be handed over only under the conditions named."
    ),
    "do not release": "Do not release: this log must not be handed over.",
}


@dataclass(frozen=True)
class Decision:
    """What the evidence allows. Only "release with conditions" has conditions."""

    verdict: ReleaseVerdict
    reasons: list[str]
    conditions: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 where the log may be handed over, 1 where it may not."""
        return EXIT_CODES[self.verdict]

    @property
    def sentence(self) -> str:
        """The decision in one sentence, for the last line of a command."""
        return SENTENCES[self.verdict]

    def as_json(self) -> dict[str, Any]:
        """Return the decision as plain data, for report.json."""
        return asdict(self)


def decide(
    proof: Judgement,
    attacks: Sequence[Attack],
    *,
    holdout: bool,
    canaries: Mapping[str, Any] | None = None,
    utility: Mapping[str, Any] | None = None,
) -> Decision:
    """Decide by the rules above.

    `canaries` is a `CanaryAudit` as plain data; `utility` is {"rows": [{"task", "share", "limit",
    "verdict"}, ...]}.
    """
    proved = proof.epsilon is not None
    blocks = [
        *_statement_blocks(proof),
        *_canary_blocks(proof, canaries),
        *_attack_blocks(attacks, holdout=holdout, proved=proved),
    ]
    if blocks:
        return Decision("do not release", blocks)
    reasons, conditions = [proof.sentence], []
    if not proved:
        conditions += [NAMED, CONTRACT]
    elif proof.verdict == "pass":
        reasons.append(
            f"All {len(proof.checks)} checks of the claim hold: ε is below "
            f"{EPSILON_CONSERVATIVE:g}, δ is small, the noise is "
            "secret, and the ledger adds up."
        )
    for check in proof.checks:
        if check.verdict == "condition":
            reasons.append(f"Not met: {check.what}. Found: {check.found}.")
            conditions += [NAMED, CONTRACT]
        elif check.verdict == "unsettled":
            reasons.append(f"Unsettled: {check.what}. Found: {check.found}.")
            conditions += [NAMED, CONTRACT]
    within = sum(a.verdict == "pass" for a in attacks)
    if not holdout:
        reasons.append(
            "No holdout was given: no attack could be judged against users who were not in the "
            "training data."
        )
        conditions += [NAMED, CONTRACT, UNATTACKED]
    else:
        reasons.append(
            f"{within} of {len(attacks)} attacks are within their limit with their whole interval, "
            "and none is beyond it by more than chance."
        )
        if within < len(attacks):
            conditions += [NAMED, CONTRACT]
    if canaries is not None:
        reasons.append(
            f"Planted canaries show an ε of at least {float(canaries['epsilon']):.2g}, which "
            "contradicts nothing."
        )
    conditions += _purposes(utility)
    if utility is None:
        reasons.append("Utility was not measured: nothing is said about what the log is good for.")
    unique = list(dict.fromkeys(conditions))
    return Decision("release with conditions" if unique else "release", reasons, unique)


def _statement_blocks(proof: Judgement) -> list[str]:
    """Rules 1 and 2."""
    if proof.epsilon is None:
        return []
    if proof.noise_source == "seed":
        return [proof.sentence + " Fit again without a noise seed."]
    failed = [c for c in proof.checks if c.verdict == "fail" and c.what != CANARY_CHECK]
    if not failed:
        return []
    shown = "; ".join(f"{c.what} (found: {c.found})" for c in failed[:SHOWN])
    return [f"The claim of ε = {proof.epsilon:g} does not stand. Not met: {shown}."]


def _canary_blocks(proof: Judgement, canaries: Mapping[str, Any] | None) -> list[str]:
    """Rule 3."""
    if canaries is None:
        return []
    bound, limit = (
        float(canaries["epsilon"]),
        CANARY_LIMIT if proof.epsilon is None else proof.epsilon,
    )
    if bound <= limit:
        return []
    if proof.epsilon is None:
        return [
            f"Planted canaries show an ε of at least {bound:.2g}; {limit:g} is the limit where "
            "nothing is proved."
        ]
    return [
        f"Planted canaries show an ε of at least {bound:.2g} where {limit:g} is claimed: the proof "
        "or the code is wrong."
    ]


def _attack_blocks(attacks: Sequence[Attack], *, holdout: bool, proved: bool) -> list[str]:
    """Rules 4 and 5. Without a control group an attack has no verdict."""
    out = []
    together = len(attacks) if proved else 1
    failed = sorted((a for a in attacks if _beyond(a, together)), key=lambda a: -a.low)
    if failed:
        suspect = (
            " Since an ε is claimed, the proof, the code or what was declared public is suspect."
            if proved
            else ""
        )
        shown = "; ".join(
            f"{a.title}: risk {a.risk:.2f} [{a.low:.2f}, {a.high:.2f}], limit {a.limit:.2f}"
            for a in failed[:SHOWN]
        )
        out.append(
            f"{_of(len(failed), len(attacks))} beyond the limit with the whole interval. Worst: "
            f"{shown}.{suspect}"
        )
    if proved:
        return out
    if not holdout:
        return [
            *out,
            "Nothing is proved, and without a holdout (--holdout) no attack could be judged.",
        ]
    open_ = [a for a in attacks if a.verdict == "unsettled"]
    if open_ or not attacks:
        names = "; ".join(a.title for a in open_[:SHOWN])
        found = (
            f"{_of(len(open_), len(attacks))} not settled ({names})"
            if open_
            else "no attack was run"
        )
        out.append(
            f"Nothing is proved, and {found}. More held-out users settle an attack; only a fit "
            "with --epsilon proves anything."
        )
    elif failed:
        out.append("Nothing is proved about the privacy of this log; a fit with --epsilon would.")
    return out


def _beyond(attack: Attack, together: int) -> bool:
    """Return whether the whole interval is beyond the limit, at 95 % for `together` attacks.

    The lower half of the 95 % interval is stretched to the quantile of the Bonferroni correction.
    """
    if attack.control is None:
        return False
    stretch = float(ndtri(1 - 0.025 / together) / ndtri(0.975))
    return attack.risk - stretch * (attack.risk - attack.low) > attack.limit


def _of(some: int, many: int) -> str:
    return f"{some} of {many} attacks {'is' if some == 1 else 'are'}"


def _purposes(utility: Mapping[str, Any] | None) -> list[str]:
    """Rule 9."""
    poor = [r for r in (utility or {}).get("rows", []) if r.get("verdict") == "fail"]
    if not poor:
        return []
    worst = sorted(poor, key=lambda r: float(r["share"]))[:SHOWN]
    shown = ", ".join(
        f"{r.get('task') or 'a task'}{' by ' + str(r['model']) if r.get('model') else ''} "
        f"({float(r['share']):.0%} of what real data gives)"
        for r in worst
    )
    more = f" and {len(poor) - SHOWN} more" if len(poor) > SHOWN else ""
    return [f"Not for this purpose: {shown}{more}."]
