"""Labels from few questions: the linear start and what it reads."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from baselines.models.sequence.lstm import LSTM
from baselines.nn.label import FEWEST, STRENGTHS, best_strength, logistic, with_both
from eventlog import EventLog
from eventlog.arrays import Examples, Queries
from eventlog.encode import Encoder
from eventlog.log import tidy

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("treated", [False, True])
def test_the_penalty_is_strong_for_noise_and_weak_for_a_signal(treated: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 40))
    arm = rng.integers(0, 2, 600).astype(np.float32) if treated else None
    user = np.arange(600)
    noise = (rng.random(600) < 0.5).astype(np.float32)
    signal = (x[:, 0] + x[:, 1] > 0).astype(np.float32)
    assert best_strength(x, noise, arm, user) == min(STRENGTHS)
    assert best_strength(x, signal, arm, user) == max(STRENGTHS)
    # one user, or one answer, tells nothing and breaks nothing
    assert best_strength(x, signal, arm, np.zeros(600)) in STRENGTHS
    assert best_strength(x, np.ones(600), arm, user) in STRENGTHS


def test_rare_answers_are_all_read_and_the_intercept_is_put_right() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((60_000, 3))
    chance = 1 / (1 + np.exp(5 - x[:, 0]))
    target = (rng.random(len(x)) < chance).astype(np.float32)  # one in a hundred
    chosen, log_odds = with_both(target, 6_000)
    assert len(chosen) == 6_000
    assert (np.diff(chosen) > 0).all()
    assert target[chosen].sum() == target.sum() > FEWEST
    weight, bias = logistic(x[chosen], target[chosen], None, strength=1.0)
    assert weight[0] == pytest.approx([1, 0, 0], abs=0.15)
    assert bias[0] - log_odds == pytest.approx(-5, abs=0.25)


@pytest.mark.parametrize(("ones", "most"), [(50, 2_000), (500, 900), (0, 300), (1_000, 300)])
def test_where_all_are_read_or_answers_are_common_or_alike_nothing_is_preferred(
    ones: int, most: int
) -> None:
    target = np.zeros(1_000, dtype=np.float32)
    target[np.random.default_rng(0).permutation(1_000)[:ones]] = 1
    chosen, log_odds = with_both(target, most)
    evenly = np.linspace(0, 999, min(most, 1_000)).astype(np.int64)
    np.testing.assert_array_equal(chosen, evenly)
    assert log_odds == 0


def test_rare_rows_among_many_are_found_from_a_few_hundred_answers() -> None:
    """Who bought at least twice, among sixty views? Asked a month later."""
    rng = np.random.default_rng(1)
    users, views = 400, 60
    bought = rng.integers(0, 4, users)
    user = np.concatenate([np.repeat(np.arange(users), views), np.repeat(np.arange(users), bought)])
    start = pd.Timestamp("2026-01-01", tz="UTC")
    events = pd.DataFrame(
        {
            "event_id": np.arange(len(user)),
            "user_id": [f"u{u:03d}" for u in user],
            "timestamp": start + pd.to_timedelta(rng.integers(0, 30 * 86_400, len(user)), unit="s"),
            "event": ["view_item"] * (users * views) + ["purchase"] * int(bought.sum()),
            "item_id": [f"i{i}" for i in rng.integers(0, 200, len(user))],
            "device": [f"d{d}" for d in rng.integers(0, 4, len(user))],
        }
    )
    log = EventLog(events=tidy(events))
    encoder = Encoder.fit(log)
    sequences = encoder.encode(log)
    time = np.full(users, sequences.time.max() + 30 * 86_400_000)
    asked = Queries(np.arange(users), sequences.offsets[1:], time)
    target = (bought >= 2).astype(np.float32)
    known, others = slice(0, 300), slice(300, users)
    model = LSTM(budget=0.5)
    model.fit(Examples(sequences, asked[known], target[known]), None, encoder=encoder, seed=0)
    scores = model.score(sequences, asked[others])
    assert roc_auc_score(target[others], scores) > 0.9
