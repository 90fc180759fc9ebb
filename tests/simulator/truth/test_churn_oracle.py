"""The churn oracle plays what may follow: it is calibrated, and no model of the past beats it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import simulator
from eventlog._runtime.errors import InputError
from simulator.truth import oracles

HORIZON = pd.Timedelta(days=7)


@pytest.fixture(scope="module")
def log():
    """A shop in which many buy."""
    settings = {"shoppers.visits": 0.7, "checkout.begin": -1.2, "fraud.share": 0.05}
    return simulator.simulate("small", users=2_000, days=30, seed=21, settings=settings)


@pytest.fixture(scope="module")
def asked(log):
    """The customers at a cut within a day, whether they stayed away, and what the oracle said."""
    cut = log.time_at(0.76)
    rows = log.events[log.role() == "purchase"]
    time, user = rows["timestamp"], rows["user_id"].astype(str)
    customers = user[time < cut].unique()
    back = user[(time > cut) & (time <= cut + HORIZON)].unique()
    p = oracles.oracle_churn(log, customers.astype(object), cut, HORIZON)
    return cut, customers, ~np.isin(customers, back), p


def history(log, cut, customers):
    """(n, k) recency, counts of the last days and in all, and spend, as a shop sees them."""
    rows = log.events[log.events["timestamp"] < cut].assign(
        role=log.role()[(log.events["timestamp"] < cut).to_numpy()]
    )
    rows["user"] = rows["user_id"].astype(str)
    ago = (cut - rows["timestamp"]).dt.total_seconds() / 86_400
    columns = {}
    for role in ("view", "cart", "purchase", "login"):
        of_role = rows["role"] == role
        columns[f"{role} last"] = ago[of_role].groupby(rows["user"][of_role]).min()
        for days in (3, 7, 14, 99):
            mine = of_role & (ago < days)
            columns[f"{role} {days}"] = rows["user"][mine].value_counts()
    table = pd.DataFrame(columns).reindex(customers)
    last = [c for c in table if c.endswith("last")]
    table[last] = table[last].fillna(99)
    return np.log1p(table.fillna(0).to_numpy())


def test_no_model_of_the_history_beats_it(log, asked):
    """Not even one that learns from the answers of the other customers at the same cut."""
    cut, customers, stayed_away, p = asked
    assert len(customers) > 500
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=500))
    guessed = cross_val_predict(
        model, history(log, cut, customers), stayed_away, cv=5, method="predict_proba"
    )[:, 1]
    assert roc_auc_score(stayed_away, p) > roc_auc_score(stayed_away, guessed) + 0.01


def test_what_it_says_comes_true(asked):
    _, _, stayed_away, p = asked
    for part in np.array_split(np.argsort(p), 6):
        expected, found = p[part].mean(), stayed_away[part].mean()
        error = np.sqrt(max(expected * (1 - expected), 0.01) / len(part))
        assert abs(found - expected) < 3.5 * error + 0.01


def test_more_replays_say_the_same_with_less_noise(log, asked):
    cut, customers, _, p = asked
    few, again = (
        oracles.oracle_churn(log, customers.astype(object), cut, HORIZON, replays=5)
        for _ in range(2)
    )
    assert np.corrcoef(few, p)[0, 1] > 0.8
    np.testing.assert_array_equal(few, again)


def test_it_says_which_logs_it_cannot_play(log, asked):
    cut, customers, _, _ = asked
    users = customers[:3].astype(object)
    with pytest.raises(InputError, match="manifest"):
        oracles.oracle_churn(replace(log, manifest={}), users, cut, HORIZON)
    other = replace(log, manifest={**log.manifest, "seed": 22})
    with pytest.raises(InputError, match="this version"):
        oracles.oracle_churn(other, users, cut, HORIZON)
    with pytest.raises(InputError, match="within the log"):
        oracles.oracle_churn(log, users, cut, pd.Timedelta(days=90))
