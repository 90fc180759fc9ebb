"""The judgement of a privacy statement: nothing passes that does not hold."""

from __future__ import annotations

import json

import pytest

from generators.privacy import judgement
from generators.privacy.accounting import PrivacyLedger

HOLDS = {
    "epsilon": 3.0, "delta": 1e-6, "unit": "user", "noise_source": "system", "public": ["category"],
    "ledger": [{"mechanism": "Laplace", "what": "items", "epsilon": 3.0, "delta": 0.0}],
}  # fmt: skip


def of(**change: object) -> judgement.Judgement:
    return judgement.judge({**HOLDS, **change}, users=600)


def verdict_of(found: judgement.Judgement, part: str) -> str:
    return next(c.verdict for c in found.checks if part in c.what)


def test_a_statement_that_holds_passes() -> None:
    assert of().verdict == "pass"


@pytest.mark.parametrize(
    "noise",
    [
        {"noise_source": "seed"},
        {
            "noise_source": None,
            "noise": "follows from a noise seed that was given: nothing is proved "
            "against whoever knows it",
        },
    ],
)
def test_a_noise_seed_does_not_pass(noise: dict[str, str]) -> None:
    found = of(**noise)
    assert found.verdict == "fail"
    assert "noise seed" in found.sentence
    assert "not established" in found.sentence
    assert "e^ε" not in found.meaning


def test_a_model_fitted_with_a_noise_seed_does_not_pass() -> None:
    ledger = PrivacyLedger.open(3.0, 1e-6, 600, noise_seed=7)
    assert judgement.judge(ledger.statement({}, []), users=600).noise_source == "seed"
    assert judgement.judge(ledger.statement({}, []), users=600).verdict == "fail"


def test_the_noise_of_an_older_statement_is_judged_by_its_text() -> None:
    old = "drawn from 128 bits of the operating system's entropy, which were not kept"
    assert of(noise_source=None, noise=old).verdict == "pass"
    assert of(noise_source=None, noise="").verdict == "unsettled"


@pytest.mark.parametrize(
    ("epsilon", "verdict", "words"),
    [
        (0.5, "pass", "conservative"),
        (4.9, "pass", "conservative"),
        (5.0, "condition", "above"),
        (10.0, "condition", "above"),
        (10.1, "fail", "weak"),
    ],
)
def test_epsilon_has_three_ranges(epsilon: float, verdict: str, words: str) -> None:
    found = of(epsilon=epsilon, ledger=[{**HOLDS["ledger"][0], "epsilon": epsilon}])
    assert verdict_of(found, "ε is below") == verdict
    assert found.verdict == verdict
    assert words in found.strength
    assert "NIST SP 800-226" in found.strength


@pytest.mark.parametrize(
    ("delta", "users", "verdict"),
    [
        (1e-6, 600, "pass"),
        (1.05e-6, 600, "pass"),
        (1.2e-6, 600, "condition"),
        (1 / 6000, 600, "condition"),
        (1 / 600, 600, "fail"),
        (None, 600, "fail"),
        (1.0, 600, "fail"),
        (1e-9, 1_000_000, "pass"),
        (1e-7, 1_000_000, "condition"),
        (1e-6, 2_000_000, "fail"),
    ],
)
def test_delta_is_held_to_the_number_of_users(
    delta: float | None, users: int, verdict: str
) -> None:
    found = judgement.judge({**HOLDS, "delta": delta}, users=users)
    assert verdict_of(found, "δ is at most") == verdict
    assert found.verdict == verdict


def test_a_tenth_of_a_record_is_said() -> None:
    found = of(delta=1 / 6000)
    text = next(c.found for c in found.checks if "δ is at most" in c.what)
    assert "allows publishing about 0.1 whole records" in text


def test_no_check_prints_the_exact_number_of_users() -> None:
    for delta in (1e-6, 1 / 61730, 0.01, None):
        found = judgement.judge({**HOLDS, "delta": delta}, users=6173)
        assert not any("6173" in c.what + c.found or "6,173" in c.found for c in found.checks)
        assert f"{1 / 6173:.2g}" not in " ".join(c.what for c in found.checks)


def test_everything_that_was_said_is_kept() -> None:
    found = of(
        caveats=["Lengths are cut at 200 rows."], assumed_public=["event roles"],
        public_lists={"items": "catalogue.csv"}, noise="from the operating system",
        statement="(3, 1e-06)-differential privacy", neighbours="one user added or removed",
        accountant="exact",
    )  # fmt: skip
    assert found.caveats == ["Lengths are cut at 200 rows."]
    assert found.assumed_public == ["event roles"]
    assert found.public_lists == {"items": "catalogue.csv"}
    assert (found.own_words, found.neighbours, found.accountant) == (
        "(3, 1e-06)-differential privacy", "one user added or removed", "exact",
    )  # fmt: skip


def test_what_is_shown_as_spent_never_exceeds_the_claim() -> None:
    assert of(epsilon_spent=2.9).spent == 2.9
    found = of(epsilon_spent=3.4, epsilon_spent_prv=3.02)
    assert found.spent == 3.0
    assert found.verdict == "fail"
    shown = json.dumps([vars(c) for c in of(epsilon_spent=3.0, epsilon_spent_prv=3.02).checks])
    assert "3.02" not in shown


def test_proved_none_beats_an_epsilon() -> None:
    assert of(proved="none").verdict == "unproved"
