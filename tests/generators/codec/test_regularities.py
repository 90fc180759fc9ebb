"""What a log keeps to, its twin keeps to: prices by the day, sessions no longer than any was, what
goes with what.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog
from eventlog.log import sort_events, tidy
from generators.base import Generator
from generators.codec.regularities import typical_codes
from generators.models.vae import Vae
from generators.nn.affinity import (
    AffinityTensors,
    add_affinity,
    add_recent_item_affinity,
    affinities,
    affinity_additions,
    recent_item_additions,
    recent_item_affinity,
)
from generators.sequences import codes
from generators.sequences.encode import encode

LONGEST = 9  # rows of a session


def habit_log(users: int = 300, *, seed: int = 0, reduced_by_day: bool = True) -> EventLog:
    """Sessions of 2 to LONGEST rows: a search, then views in the category that is searched for, or
    in one of twenty sessions in another. A fifth of the prices are reduced, for a day or row by
    row; a tenth of the sessions are abroad.
    """
    rng, elsewhere = np.random.default_rng(seed), np.random.default_rng(seed + 1_000)
    owner = np.repeat(np.arange(users), rng.integers(2, 9, users))
    session = np.repeat(np.arange(len(owner)), rng.integers(2, LONGEST + 1, len(owner)))
    n, user = len(session), owner[session]
    first = np.append(True, np.diff(session) > 0)
    query = rng.integers(0, 24, len(owner))[session]
    found = query + (elsewhere.random(len(owner)) < 0.05)[session]
    item = found % 8 + 8 * (15 * rng.random(n) ** 2).astype(np.int64)
    gap = np.where(first, rng.exponential(86_400_000, n), rng.exponential(40_000, n)).astype(
        np.int64
    )
    time = pd.Series(gap).groupby(user).cumsum().to_numpy() + 1_760_000_000_000
    cheap = (
        (item * 7919 + time // 86_400_000 * 104_729) % 5 == 0
        if reduced_by_day
        else rng.random(n) < 0.2
    )
    abroad = rng.random(len(owner)) < 0.1
    country = np.where(abroad, rng.integers(0, 5, len(owner)), rng.integers(0, 5, users)[owner])[
        session
    ]
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u:05d}" for u in user],
            "session_id": [f"s{k:06d}" for k in session],
            "timestamp": pd.to_datetime(time, unit="ms", utc=True),
            "event": np.where(first, "search", "view_item"),
            "item_id": np.where(
                first, None, np.array([f"i{k}" for k in range(120)], dtype=object)[item]
            ),
            "category": np.where(
                first, None, np.array([f"c{k}" for k in range(8)], dtype=object)[item % 8]
            ),
            "query": np.where(
                first, np.array([f"q{k}" for k in range(24)], dtype=object)[query], None
            ),
            "price": np.where(first, np.nan, (10.0 + item) * np.where(cheap, 0.8, 1.0)),
            "country": np.array(["DE", "GB", "FR", "IT", "ES"], dtype=object)[country],
        }
    )
    events = sort_events(tidy(frame))
    events.insert(0, "event_id", np.arange(n, dtype=np.int64))
    return EventLog(events=events, manifest={"made_by": "tests"})


@pytest.fixture(scope="module")
def log() -> EventLog:
    return habit_log()


@pytest.fixture(scope="module")
def vae(log: EventLog) -> Vae:
    torch.set_num_threads(1)
    model = generators.fit(
        log, model="vae", seed=1, settings={"epochs": 25, "width": 32, "latent": 8}
    )
    assert isinstance(model, Vae)
    return model


@pytest.fixture(scope="module", params=["markov", "vae"])
def fitted(request: pytest.FixtureRequest, log: EventLog, vae: Vae) -> Generator:
    return vae if request.param == "vae" else generators.fit(log, model=request.param, seed=1)


@pytest.fixture(scope="module")
def twin(fitted: Generator) -> EventLog:
    return fitted.sample(300, seed=2)


def prices_of_days(log: EventLog) -> pd.Series:
    """How many prices each item has on each day."""
    rows = log.events.dropna(subset=["item_id", "price"])
    return rows.groupby([rows["item_id"].astype(str), rows["timestamp"].dt.floor("D")])[
        "price"
    ].nunique()


def sessions_of(log: EventLog) -> tuple[np.ndarray, np.ndarray]:
    """Rows and seconds of each session."""
    time = log.events.groupby(log.events["session_id"].astype(str))["timestamp"]
    return time.size().to_numpy(), (time.max() - time.min()).dt.total_seconds().to_numpy()


def test_an_item_has_one_price_a_day_where_it_has_in_the_log(log: EventLog, twin: EventLog) -> None:
    assert (prices_of_days(log) == 1).all() and (prices_of_days(twin) == 1).all()
    assert len(np.unique(twin.events["price"].dropna())) > 100  # the reduced ones are there


def test_days_on_which_a_category_is_reduced_are_kept() -> None:
    log = habit_log(200)
    events = log.events
    mine, days = events["category"].astype(str) == "c3", events["timestamp"].dt.floor("D")
    day = events[mine].groupby(days[mine])["user_id"].nunique().idxmax()
    sale = mine & (days == day)
    log = replace(
        log,
        events=events.assign(
            price=np.where(
                sale, (10.0 + events["item_id"].str[1:].astype(float)) * 0.5, events["price"]
            )
        ),
    )
    model = generators.fit(log, model="markov", seed=1, settings={"min_users": 3})
    code = model.codec_.categories.values.index("c3") + 1  # type: ignore[attr-defined]
    assert [(c, d, round(r, 2)) for c, d, r in model.codec_.prices.reduced if c == code] == [
        (code, day.value // 86_400_000_000_000, -0.69)
    ]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("model", "settings"), [("vae", {"epochs": 6}), ("markov", {})])
def test_what_is_paid_with_a_coupon_is_not_the_price_of_the_day(model: str, settings: dict) -> None:
    """One view in ten is a purchase, three of ten at .85 of the price that everybody sees."""
    log, rng = habit_log(300), np.random.default_rng(3)
    event, price = log.events["event"].astype(str), log.events["price"]
    bought = (event == "view_item") & (rng.random(len(event)) < 0.1)
    coupon = bought & (rng.random(len(event)) < 0.3)
    log = replace(
        log,
        events=log.events.assign(
            event=event.where(~bought, "purchase"), price=(price * np.where(coupon, 0.85, 1.0))
        ),
    )
    twin = generators.fit(log, model=model, seed=1, settings=settings).sample(600, seed=2)

    def with_coupon(of: EventLog) -> tuple[float, float]:
        usual = 10.0 + of.events["item_id"].str[1:].astype(float)
        ratio = of.events["price"] / usual
        found = np.isclose(ratio, 0.85, atol=0.005) | np.isclose(ratio, 0.68, atol=0.005)
        is_bought = of.events["event"].astype(str) == "purchase"
        return float(found[is_bought].mean()), float(found[~is_bought].mean())

    real, made = with_coupon(log), with_coupon(twin)
    assert 0.27 < real[0] < 0.33 and real[1] == 0
    assert made[0] == pytest.approx(real[0], abs=0.08) and made[1] < 0.01
    views = replace(twin, events=twin.events[twin.events["event"].astype(str) == "view_item"])
    assert (prices_of_days(views) == 1).mean() > 0.99


@pytest.mark.parametrize(("model", "settings"), [("vae", {"epochs": 8}), ("markov", {})])
def test_who_sees_a_sale_buys_and_pays_less(model: str, settings: dict) -> None:
    """Each category costs half on some days: three times as many views are followed by a purchase,
    whose discount is .5; that of others is 0.
    """
    log, rng = shop_log(users=400, rows=25, items=60), np.random.default_rng(3)
    looks = log.events[log.events["event"].astype(str) == "view_item"]
    code = looks["category"].astype(str).str[1:].astype(int)
    sale = (looks["timestamp"].dt.dayofyear + 2 * code) % 4 == 0
    events = looks.assign(price=looks["price"] * np.where(sale, 0.5, 1.0))
    user, time = events["user_id"].astype(str), events["timestamp"]
    gap = (time.shift(-1) - time).where(user == user.shift(-1))
    chance = np.where(sale, 0.3, 0.1) * (gap < pd.Timedelta(minutes=20))
    is_bought = rng.random(len(sale)) < chance
    bought = events[is_bought].assign(
        event="purchase",
        timestamp=(time + rng.uniform(0.3, 0.7, len(sale)) * gap).dt.floor("ms")[is_bought],
        discount=np.where(sale[is_bought], 0.5, 0.0),
    )
    both = pd.concat([events.astype({"event": str}), bought]).drop(columns="event_id")
    both = sort_events(tidy(both))
    both.insert(0, "event_id", np.arange(len(both), dtype=np.int64))
    log = replace(log, events=both, labels=None)
    twin = generators.fit(log, model=model, seed=1, settings=settings).sample(800, seed=2)

    def figures(of: EventLog) -> list[float]:
        rows = of.events[of.events["item_id"].notna()]
        ratio = rows["price"] / (5.0 + rows["item_id"].str[1:].astype(float))
        reduced, is_bought = ratio < 0.6, rows["event"].astype(str) == "purchase"
        paid_less, follows = rows["discount"] > 0, is_bought.shift(-1, fill_value=False)
        return [float(paid_less[is_bought & (reduced == yes)].mean()) for yes in (True, False)] + [
            float(follows[~is_bought & reduced].mean() / follows[~is_bought & ~reduced].mean())
        ]

    (on_sale, usual, times), (made, made_usual, made_times) = figures(log), figures(twin)
    assert on_sale == 1 and usual == 0 and times > 2.5
    assert made > 0.9 and made_usual < 0.2
    assert made_times > 1.8


def test_prices_by_the_row_stay_so() -> None:
    log = habit_log(150, reduced_by_day=False)
    twin = generators.fit(log, model="markov", seed=1).sample(150, seed=2)
    assert (prices_of_days(log) > 1).mean() > 0.02 and (prices_of_days(twin) > 1).mean() > 0.02


def test_no_session_is_longer_than_any_was(log: EventLog, twin: EventLog) -> None:
    for real, made in zip(sessions_of(log), sessions_of(twin), strict=True):
        assert made.max() <= real.max() + 0.001
    assert (
        abs(
            twin.events["user_id"].value_counts().mean()
            / log.events["user_id"].value_counts().mean()
            - 1
        )
        < 0.2
    )


def test_what_never_changes_within_a_session_does_not(fitted: Generator, twin: EventLog) -> None:
    assert "country" in fitted.codec_.rules.constant_in_session  # type: ignore[attr-defined]
    assert (
        twin.events.groupby(twin.events["session_id"].astype(str))["country"].nunique() == 1
    ).all()


def test_who_was_abroad_comes_home_and_a_search_leads_to_its_category(
    log: EventLog, vae: Vae
) -> None:
    twin = vae.sample(300, seed=2)

    def at_home(log: EventLog) -> float:
        rows = (
            log.events.groupby(["user_id", "country"], observed=True)
            .size()
            .groupby("user_id", observed=True)
        )
        return float(rows.max().sum() / rows.sum().sum())

    def as_searched(log: EventLog) -> float:
        events = log.events.assign(q=log.events["query"].astype(object).ffill())
        views = events[events["event"] == "view_item"]
        return float(
            (
                views["q"].str[1:].astype(int) % 8
                == views["category"].astype(str).str[1:].astype(int)
            ).mean()
        )

    assert as_searched(log) > 0.94 and as_searched(twin) > 0.8
    assert at_home(twin) > at_home(log) - 0.05
    queries, categories = (vae.codec_.values["query"].values, vae.codec_.categories.values)
    assert vae.codec_.rules.usual_category == {
        "query": [0] + [categories.index(f"c{int(q[1:]) % 8}") + 1 for q in queries]
    }


def test_nothing_of_it_is_learnt_under_a_budget(log: EventLog) -> None:
    codec = generators.fit(log, model="markov", seed=1, epsilon=5.0, delta=1e-5).codec_
    assert (
        codec.private
        and not codec.rules.constant_in_session
        and not codec.rules.usual_category
        and not codec.prices.daily.any()
        and codec.pace.longest == (0, 0)
    )
    assert not codec.items.levels and affinities(codec) == {}


def with_additions(outputs: torch.Tensor, listed: torch.Tensor, size: int) -> torch.Tensor:
    """Return the logits of `size` codes, with the outputs added that are `listed`."""
    row, code, by = listed.long().T
    out = outputs[:, :size].clone()
    return out.index_put_((row, code), outputs[row, by], accumulate=True)


def test_compiled_likeness_is_that_of_training(log: EventLog, vae: Vae) -> None:
    steps, found = encode(log, vae.codec_), affinities(vae.codec_)
    assert set(found) == {"category", "query", "country"}
    rows = np.arange(0, len(steps.features), 7)
    user_attributes = steps.user_attributes[
        torch.from_numpy(np.repeat(np.arange(len(steps)), steps.lengths()))
    ]
    for name, like in found.items():
        size = vae.codec_.fields()[name]
        logits = torch.randn(
            (len(rows), size + len(like.columns)), generator=torch.Generator().manual_seed(0)
        )
        whole = AffinityTensors(like).added(logits, steps.features[rows], user_attributes[rows])
        made = add_affinity(
            logits.numpy(), rows, steps.features.numpy(), user_attributes.numpy(), like
        )
        torch.testing.assert_close(torch.from_numpy(made), whole)
        listed = affinity_additions(
            steps.features[rows], user_attributes[rows], torch.arange(len(rows)), like
        )
        torch.testing.assert_close(with_additions(logits, listed, size), whole)
        assert (whole != logits[:, :size]).any()
    like = recent_item_affinity(vae.codec_, found["category"])
    assert like is not None
    logits = torch.randn(
        (len(rows), codes.N_COPY_ACTIONS + like.n_level_weights + len(like.categories.columns)),
        generator=torch.Generator().manual_seed(0),
    )
    everyone = torch.arange(len(rows))
    listed = recent_item_additions(
        steps.known[rows], steps.features[rows], user_attributes[rows], everyone, like
    )
    whole = with_additions(logits, listed, codes.N_COPY_ACTIONS)
    made = add_recent_item_affinity(
        logits.numpy(),
        rows,
        steps.known.long().numpy(),
        steps.features.numpy(),
        user_attributes.numpy(),
        like,
    )
    torch.testing.assert_close(torch.from_numpy(made), whole)
    assert (
        whole[:, codes.FIRST_COPY : codes.EARLIER] != logits[:, codes.FIRST_COPY : codes.EARLIER]
    ).any() and (whole[:, : codes.FIRST_COPY] == logits[:, : codes.FIRST_COPY]).all()


def test_what_is_typical_of_an_item_is_what_sets_it_apart() -> None:
    """All are sold one by one in most rows; item 1 comes in packs of 5, item 2 of 7, item 3 not."""
    item = np.repeat([1, 2, 3], [100, 100, 300])
    code = np.ones(500, dtype=np.int64)
    code[:30], code[100:140], code[200:205] = 5, 7, 9
    assert typical_codes(item, code, 6).tolist() == [0, 5, 7, 1, 0, 0]
    assert typical_codes(item[:0], code[:0], 2).tolist() == [0, 0]


def test_a_gift_is_no_missing_price() -> None:
    """What three rows paid nothing for had no code, and was missing in as many rows of a sample."""
    log = shop_log(users=80, rows=20, seed=3)
    bought = log.events["price"].notna()
    log.events.loc[log.events.index[bought][:3], "price"] = 0.0
    twin = generators.fit(log, model="markov", seed=1).sample(300, seed=2)
    without = log.events.loc[~bought, "event"].astype(str).unique()
    priced = ~twin.events["event"].astype(str).isin(set(without))
    assert priced.sum() > 500
    assert twin.events.loc[priced, "price"].notna().all()
