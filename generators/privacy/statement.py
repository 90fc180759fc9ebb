"""What a privacy statement says, in plain words, and whether it holds together.

A statement is data that a generator writes into the manifest of its model and of each sample:
epsilon, delta, the privacy unit, where the noise came from, a ledger of mechanisms, what was
declared or assumed public, and caveats. It is the generator's own word. Checked here is what can
be checked without the training run: that it is complete, that its parts add up, that the noise is
secret, and that planted canaries do not contradict it. Nothing of it is left out.

The terms (privacy unit, unbounded differential privacy, central model, privacy hazard) are those
of NIST SP 800-226 (Near and Darais, Guidelines for Evaluating Differential Privacy Guarantees,
March 2025, doi:10.6028/NIST.SP.800-226). It sets no epsilon that is safe everywhere.
EPSILON_CONSERVATIVE is what its authors call a broad consensus in NIST's series on differential
privacy ("Differential Privacy: Future Work & Open Challenges", 2022); every other threshold here
is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, isfinite
from pathlib import Path
from typing import Any, Literal

from eventlog import InputError
from eventlog._runtime.files import read_json
from eventlog.privacy.noise import DELTA_MOST, default_delta
from generators.privacy.queries import epsilon_of
from generators.validation import check_source

EPSILON_CONSERVATIVE = 5.0  # below it: "a conservative choice", in the words of NIST's authors
EPSILON_LIMIT = (
    10.0  # ours: beyond it the odds may grow 22,026-fold, a number and no longer a protection
)
DELTA_TOLERANCE = 0.1  # the delta of a generator comes from a noisy number of users
SPENT_TOLERANCE = 1e-3  # relative: the ledger's numbers are rounded

NUMBERS = ("epsilon", "delta", "sigma", "sampling_rate", "steps")  # of an entry of the ledger
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
NoiseSource = Literal["system", "seed", "unknown"]


@dataclass(frozen=True)
class Check:
    """One thing that a statement was held to."""

    what: str
    found: str
    verdict: Literal["pass", "condition", "unsettled", "fail"]


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
    own_words: str = ""  # the generator's own sentence
    neighbours: str = ""
    accountant: str = ""
    spent: float | None = None  # epsilon of the ledger; never shown above `epsilon`
    noise: str = ""
    noise_source: NoiseSource = "unknown"
    public_lists: dict[str, str] = field(
        default_factory=dict
    )  # list or table -> where it comes from
    assumed_public: list[str] = field(default_factory=list)
    caveats: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """What is proved, in words."""
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
        """What the sentence means for one user."""
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
        """How strong the epsilon is, and who says so; "" where nothing is proved."""
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


def find(manifest: Mapping[str, Any], model: Path | str | None = None) -> dict[str, Any] | None:
    """The statement of a synthetic log's manifest, with what only its model's folder says; None
    where there is none.

    A log that says itself that nothing is proved (a continued one) is believed whatever its model
    proves. Raises InputError where the model folder is none, or where the log claims another
    epsilon or delta than its model.
    """
    said = _formed(manifest.get("privacy"), "the synthetic log")
    if model is None:
        return said
    folder = Path(model)
    files = [folder / name for name in ("model.json", "manifest.json") if (folder / name).is_file()]
    if not files:
        raise InputError(
            f"{folder} is no saved generator (it has neither model.json nor manifest.json)."
        )
    if (folder / "manifest.json").is_file():
        check_source(folder, read_json(folder / "manifest.json"))
    read = [content for content in map(read_json, files) if isinstance(content, Mapping)]
    told = _formed(
        next((content["privacy"] for content in read if content.get("privacy")), None), str(folder)
    )
    if not said or not told:
        return said or told
    if said.get("epsilon") is None:
        return said
    for name in ("epsilon", "delta"):
        if said.get(name) != told.get(name):
            raise InputError(
                f"The synthetic log claims {name} {said.get(name)} and the model {folder} claims "
                f"{told.get(name)}; give the model that made the log."
            )
    return _joined(said, told)


def _joined(said: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """`said` with all caveats and public facts of `told`, and the noise of whichever has a seed."""
    lists = {
        name: [
            *(said.get(name) or []),
            *(x for x in told.get(name) or [] if x not in (said.get(name) or [])),
        ]
        for name in ("public", "assumed_public", "caveats")
        if said.get(name) or told.get(name)
    }
    sources = {**(told.get("public_lists") or {}), **(said.get("public_lists") or {})}
    worse = told if noise_source(told) == "seed" else said
    noise: dict[str, Any] = {
        name: worse[name] for name in ("noise", "noise_source") if name in worse
    }
    return {**told, **said, **lists, **({"public_lists": sources} if sources else {}), **noise}


def noise_source(said: Mapping[str, Any]) -> NoiseSource:
    """Where the noise came from: as the statement says, or as the text of an older one implies."""
    told = said.get("noise_source")
    if told in ("system", "seed"):
        return "seed" if told == "seed" else "system"
    text = str(said.get("noise") or "").lower()
    if "noise seed" in text:
        return "seed"
    return "system" if "operating system" in text or "operating-system" in text else "unknown"


def _formed(said: Any, whose: str) -> dict[str, Any] | None:
    """`said`, where it has the form of a statement; what cannot be read is an InputError.

    A sentence, as the import writes it of real events, is a statement that proves nothing.
    """
    if said is None:
        return None
    if isinstance(said, str):
        return {"proved": "none", "epsilon": None, "delta": None, "statement": said}

    def number(value: Any) -> bool:
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool))

    def listed(name: str) -> bool:
        return isinstance(said.get(name), list | None)

    ledger = (said.get("ledger") or []) if isinstance(said, Mapping) else None
    entries = ledger if isinstance(ledger, list) else [None]
    whole = isinstance(said, Mapping) and all(
        number(said.get(k)) for k in ("epsilon", "delta", "epsilon_spent")
    )
    if (
        not whole
        or not all(map(listed, ("public", "assumed_public", "caveats")))
        or not isinstance(said.get("public_lists"), Mapping | None)
        or not all(
            isinstance(e, Mapping) and all(number(e.get(k)) for k in NUMBERS) for e in entries
        )
    ):
        raise InputError(
            f"The privacy statement of {whose} is not what a generator writes (a number as "
            "epsilon and delta, a list of mechanisms as ledger, lists of names or sentences as "
            "public, assumed_public and caveats)."
        )
    return dict(said)


def judge(
    said: Mapping[str, Any] | None,
    *,
    users: int | None = None,
    canaries: Mapping[str, Any] | None = None,
) -> Statement:
    """Check a statement about a training log of `users` users; `canaries` is an `Audit` as plain
    data.

    Without `users` the result depends on the statement alone, and may travel with the synthetic
    log.
    """
    said = said or {}
    unit = str(said.get("unit") or "unknown unit")
    ledger = list(said.get("ledger") or [])
    shown: dict[str, Any] = {
        "own_words": str(said.get("statement") or ""),
        "neighbours": str(said.get("neighbours") or ""),
        "accountant": str(said.get("accountant") or ""),
        "noise": str(said.get("noise") or ""),
        "noise_source": noise_source(said),
        "public_lists": {str(k): str(v) for k, v in (said.get("public_lists") or {}).items()},
        "assumed_public": [str(x) for x in said.get("assumed_public") or []],
        "caveats": [str(x) for x in said.get("caveats") or []],
    }
    public = [str(p) for p in said.get("public") or []]
    if said.get("epsilon") is None or said.get("proved") == "none":
        return Statement(None, None, unit, ledger, public, [], "unproved", **shown)
    epsilon = float(said["epsilon"])
    delta = float(said["delta"]) if said.get("delta") is not None else None
    spent = float(said["epsilon_spent"]) if said.get("epsilon_spent") is not None else None
    checks = [
        _check("ε is a finite number above 0", f"{epsilon:g}", isfinite(epsilon) and epsilon > 0),
        _epsilon_check(epsilon),
        _check("the privacy unit is the user", unit, unit == "user"),
        _delta_check(delta, users),
        _noise_check(shown["noise_source"]),
        _check(
            "the ledger names every mechanism with its share",
            f"{len(ledger)} entries",
            bool(ledger)
            and all({"mechanism", "what", "epsilon"} <= set(entry) for entry in ledger),
        ),
    ]
    if spent is not None:
        checks.append(
            _check(
                "what was spent is at most ε",
                f"{spent:.4g}",
                spent <= epsilon * (1 + SPENT_TOLERANCE),
            )
        )
    checks += _ledger_checks(ledger, epsilon, delta)
    if canaries is not None:
        bound = float(canaries["epsilon"])
        checks.append(
            _check(
                CANARY_CHECK,
                f"{bound:.3g} from {canaries.get('canaries', '?')} canaries",
                bound <= epsilon,
            )
        )
    words = {c.verdict for c in checks}
    ranked: tuple[Verdict, ...] = ("fail", "unsettled", "condition")
    verdict: Verdict = next((word for word in ranked if word in words), "pass")
    return Statement(
        epsilon,
        delta,
        unit,
        ledger,
        public,
        checks,
        verdict,
        spent=None if spent is None else min(spent, epsilon),
        **shown,
    )


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
    """No check names the exact number of users: what it says may be repeated elsewhere."""
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
    """Whether the entries compose to at most epsilon, as far as what they say can show."""
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
    """Epsilon of a ledger from its noise, sampling rates and steps; None where they are missing."""
    gaussian = [e for e in ledger if e.get("sigma")]
    rest = [e for e in ledger if not e.get("sigma")]
    left = (delta or 0.0) - sum(float(e.get("delta") or 0) for e in ledger)
    told = all({"sampling_rate", "steps"} <= set(e) for e in gaussian) and all(
        "epsilon" in e for e in rest
    )
    if not gaussian or left <= 0 or not told:
        return None
    history = [(float(e["sigma"]), float(e["sampling_rate"]), int(e["steps"])) for e in gaussian]
    return sum(float(e["epsilon"]) for e in rest) + epsilon_of(history, left)


def _check(what: str, found: str, holds: bool) -> Check:
    return Check(what, found, "pass" if holds else "fail")
