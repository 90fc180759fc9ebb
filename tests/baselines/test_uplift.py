"""Uplift learners on a handmade log in which half of the users are moved by a coupon and half are
not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from baselines.base import Model
from baselines.models.uplift.dr_learner import DRLearner
from eventlog import EventLog, InputError
from eventlog._runtime import plugins
from eventlog.arrays import Examples, Queries
from eventlog.encode import Encoder
from eventlog.log import tidy

LEARNERS = ("t_learner", "s_learner", "x_learner", "dr_learner")
NEURAL = ("lstm", "lstm_hybrid", "bert")
SMALL = {
    "dim": 16,
    "length": 12,
    "budget": 2.5,
    "label_lr": 5e-3,
    "pretrain": 0.2,
    "batch_rows": 600,
}
pytestmark = pytest.mark.usefixtures("one_thread")


def campaign(
    n: int = 1500, *, targeted: bool = False, seed: int = 0, lift: float = 0.5
) -> tuple[Encoder, Examples, np.ndarray]:
    """(encoder, examples, (n,) true effect). Users with purchases are moved by `lift`, others not;
    frequent visitors buy anyway.

    `targeted`: frequent visitors get the coupon four times as often, so that treated users buy more
    whatever it does.
    """
    rng = np.random.default_rng(seed)
    frequent, buyer = rng.random(n) < 0.5, rng.random(n) < 0.5
    length = np.where(frequent, 10, 3)
    user = np.repeat(np.arange(n), length)
    place = np.arange(len(user)) - np.repeat(np.cumsum(length) - length, length)
    time = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(
        place * 3_600 + rng.integers(0, 600, len(user)), unit="s"
    )
    events = pd.DataFrame(
        {
            "event_id": np.arange(len(user)),
            "user_id": [f"u{u:05d}" for u in user],
            "timestamp": time,
            "event": np.where(buyer[user] & (place < 2), "purchase", "view_item"),
            "item_id": [f"i{k}" for k in rng.integers(0, 9, len(user))],
        }
    )
    log = EventLog(events=tidy(events))
    encoder = Encoder.fit(log)
    sequences = encoder.encode(log)
    share = np.where(frequent, 0.8, 0.2) if targeted else np.full(n, 0.5)
    treated = rng.random(n) < share
    effect = np.where(buyer, lift, 0.0)
    answer = rng.random(n) < np.where(frequent, 0.4, 0.1) + effect * treated
    queries = Queries(
        np.arange(n), sequences.offsets[1:], sequences.time[sequences.offsets[1:] - 1] + 86_400_000
    )
    return (
        encoder,
        Examples(sequences, queries, answer.astype(np.float32), treated.astype(np.float32)),
        effect,
    )


def make(name: str, **settings: object) -> Model:
    model = plugins.load("baselines.models", name, Model, kind="model")(
        **({**SMALL, **settings} if name in NEURAL else settings)
    )
    assert "uplift" in model.kinds
    return model


def cases() -> list[tuple[str, dict[str, object]]]:
    return [(n, {"base": b}) for n in LEARNERS for b in ("logistic", "lightgbm")] + [
        (n, {}) for n in NEURAL
    ]


@pytest.mark.parametrize(("name", "settings"), cases())
def test_finds_who_is_moved(name: str, settings: dict[str, object]) -> None:
    encoder, examples, _ = campaign()
    _, fresh, effect_of_fresh = campaign(seed=1)
    model = make(name, **settings)
    model.fit(examples, None, encoder=encoder, seed=0)
    score = model.score(fresh.sequences, fresh.queries)
    assert score.shape == (len(fresh),)
    assert np.isfinite(score).all() and (np.abs(score) <= 1).all()
    moved = effect_of_fresh > 0
    concordant = (score[moved][:, None] > score[~moved][None]).mean()
    assert concordant > 0.9
    # Not only the order: the mean effect of the moved and of the others is near the truth.
    assert abs(score[moved].mean() - 0.5) < 0.13
    assert abs(score[~moved].mean()) < 0.13


@pytest.mark.parametrize("name", ["s_learner", "x_learner", "dr_learner", "lstm_hybrid"])
def test_a_targeted_campaign_without_effect_shows_none(name: str) -> None:
    encoder, examples, _ = campaign(3000, targeted=True, lift=0.0)
    treated = examples.treatment > 0
    naive = examples.target[treated].mean() - examples.target[~treated].mean()
    model = make(name)
    model.fit(examples, None, encoder=encoder, seed=0)
    assert naive > 0.12
    assert abs(model.score(examples.sequences, examples.queries).mean()) < naive / 2


@pytest.mark.parametrize("name", [*LEARNERS, "lstm_hybrid"])
def test_same_seed_same_scores_and_order_of_questions_does_not_matter(name: str) -> None:
    encoder, examples, _ = campaign(300)
    scores = []
    for _ in range(2):
        model = make(name)
        model.fit(examples, examples, encoder=encoder, seed=5)
        scores.append(model.score(examples.sequences, examples.queries))
    np.testing.assert_array_equal(*scores)
    order = np.random.default_rng(0).permutation(len(examples))
    np.testing.assert_allclose(
        model.score(examples.sequences, examples.queries[order]),
        scores[0][order],
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("name", [*LEARNERS, "lstm_hybrid"])
def test_rows_after_the_question_are_not_read(name: str) -> None:
    encoder, examples, _ = campaign(300)
    s = examples.sequences
    end = s.offsets[:-1] + 2
    asked = Queries(examples.queries.user, end, s.time[end - 1] + 1000)
    model = make(name)
    model.fit(replace(examples, queries=asked), None, encoder=encoder, seed=0)
    later = np.arange(s.n_rows) >= end[s.row_user()]
    columns = {k: np.where(later, v[::-1], v) for k, v in s.columns.items()}
    raw = {k: np.where(later, 1e6, v) for k, v in s.raw.items()}
    changed = replace(
        s, role=np.where(later, "purchase", s.role).astype(object), columns=columns, raw=raw
    )
    np.testing.assert_allclose(
        model.score(changed, asked), model.score(s, asked), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", LEARNERS)
def test_one_arm_gives_everybody_the_same(name: str) -> None:
    encoder, examples, _ = campaign(50)
    model = make(name)
    model.fit(
        replace(examples, treatment=np.ones(50, dtype=np.float32)), None, encoder=encoder, seed=0
    )
    assert len(np.unique(model.score(examples.sequences, examples.queries))) == 1


@pytest.mark.parametrize("name", [*LEARNERS, "x_learner"])
def test_examples_must_say_who_was_treated(name: str) -> None:
    encoder, examples, _ = campaign(50)
    with pytest.raises(InputError, match="treatment"):
        make(name).fit(replace(examples, treatment=None), None, encoder=encoder, seed=0)


def test_unknown_base_is_refused() -> None:
    with pytest.raises(InputError, match="logistic"):
        DRLearner(base="forest")  # type: ignore[arg-type]
