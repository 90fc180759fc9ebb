"""Events, values and labelled sessions come in a sample as often as in the log."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog
from eventlog.sessions import session_ids
from generators.models.markov import Markov
from generators.neural_generator import NeuralGenerator
from generators.sampling import calibration
from generators.sampling.biases import ANYWHERE, Biases, shapes_of_biases
from generators.sampling.calibration import FEW, FEW_OF_CODE, _step, calibrate_fields
from generators.sampling.contexts import Contexts
from generators.sampling.counted_rows import CountedRows
from generators.sampling.habits import given
from generators.sequences.codes import CART, SEEN
from generators.sequences.encode import encode
from generators.sequences.sampled import Sampled


def followed(log: EventLog, before: str, after: str) -> float:
    """Return the share of a user's rows after `before` that are `after`."""
    events = log.ordered().events
    name = events["event"].astype(str)
    next_ = name.groupby(events["user_id"].astype(str)).shift(-1)
    return float((next_[(name == before) & next_.notna()] == after).mean())


def test_what_was_drawn_too_rarely_is_as_frequent_as_in_the_log() -> None:
    """The network itself, after two passes, is far from what the log has."""
    log = shop_log(users=300, rows=30, seed=3)
    fitted = generators.fit(log, model="vae", seed=1, settings={"epochs": 2})
    assert isinstance(fitted, NeuralGenerator)
    pairs = [("view_item", "add_to_cart"), ("add_to_cart", "purchase"), ("search", "view_item")]

    def off() -> float:
        sample = fitted.sample(600, seed=2)
        return sum(abs(followed(sample, *p) - followed(log, *p)) for p in pairs)

    calibrated = off()
    fitted.biases_ = {}
    assert calibrated < max(0.06, 0.7 * off())


def labelled_log(users: int, labelled: int, rows: int = 30) -> EventLog:
    """Return a log in which `labelled` of the users have one fraud, anywhere among their rows."""
    log = shop_log(users=users, rows=rows, seed=4)
    assert log.labels is not None
    owner = log.events.set_index("event_id")["user_id"].reindex(log.labels["event_id"])
    one = log.labels[~owner.duplicated().to_numpy()].iloc[:: users // labelled]
    return EventLog(events=log.events, labels=one.reset_index(drop=True), manifest=log.manifest)


@pytest.mark.parametrize("labelled", [130, 24])
def test_labels_come_as_often_as_in_the_log(labelled: int) -> None:
    """However few users have any, and no session has more than it has in the log, which is one."""
    log = labelled_log(users=400, labelled=labelled)
    fitted = generators.fit(log, model="transformer", seed=1, settings={"epochs": 6})
    assert log.labels is not None
    real = len(log.labels) / log.events["user_id"].nunique()
    samples = [fitted.sample(1_000, seed=seed) for seed in range(2, 6)]
    labels = [s.labels["event_id"] for s in samples if s.labels is not None]
    assert 0.75 * real < sum(map(len, labels)) / 4_000 < 1.3 * real
    again = 0
    for sample, event_id in zip(samples, labels, strict=True):
        events = sample.events.assign(session=session_ids(sample.events))
        again += int(events["session"][events["event_id"].isin(event_id)].duplicated().sum())
    assert again < 0.1 * sum(map(len, labels))


def test_no_more_users_with_labels_are_looked_for_than_can_be_found() -> None:
    """One user in 300 is to have any: 20,000 rows would be those of 2 million users."""
    log = labelled_log(users=2_000, labelled=100, rows=3)
    assert log.labels is not None
    assert 5 <= len(log.labels) <= 12
    fitted = generators.fit(log, model="vae", seed=1, settings={"epochs": 1})
    labels = fitted.sample(4_000, seed=2).labels
    assert labels is not None
    assert 0.3 * len(log.labels) < len(labels) / 2 < 3 * len(log.labels)


def test_a_bias_knows_the_cart_and_the_label() -> None:
    """A session that goes on with an empty cart is another context than one with something in it,
    one that has a label another than one that has none.
    """
    fitted = generators.fit(shop_log(users=60), model="vae", seed=1, settings={"epochs": 1})
    assert isinstance(fitted, NeuralGenerator)
    codec, n = fitted.codec_, 8
    contexts, row = Contexts(codec), np.arange(n)
    context = contexts.of_event(
        label=row // 2 % 2,
        begins=row % 2 > 0,
        flags=np.where(row >= 4, CART, SEEN),
        before=np.ones(n, dtype=np.int64),
    )
    needs_cart = bool((codec.effects().needs & CART).any())
    assert len(set(context)) == (8 if needs_cart else 4)
    assert context.max() < contexts.sizes(codec)["event"]


def test_a_rare_event_has_its_share_though_each_context_has_few() -> None:
    """Of 80 rows of it a context has three, which alone say nothing."""
    fitted = generators.fit(shop_log(users=60), model="vae", seed=1, settings={"epochs": 1})
    assert isinstance(fitted, NeuralGenerator)
    codec, n, rng = fitted.codec_, 20_000, np.random.default_rng(5)
    events = codec.events.size
    rare, usual = events - 1, np.arange(1, events - 1)
    before, begins, flags = (rng.integers(k, size=n) for k in (events + 1, 2, 4))

    def rows(share: float) -> CountedRows:
        event = np.where(rng.random(n) < share, rare, rng.choice(usual, n))
        nothing = np.zeros(n, dtype=np.int64)
        given: dict[str, Any] = {"before": before, "event": event, "begins": begins > 0}
        given["flags"] = flags
        given["attributes"] = np.zeros((n, len(codec.user_attributes)), dtype=np.int64)
        given["only_labels"] = nothing > 0
        given["event_shares"] = np.zeros((n, events), dtype=np.float32)
        given["event_shares"][:, usual] = (1 - share) / len(usual)
        given["event_shares"][:, rare] = share
        return CountedRows(**{name: given.get(name, nothing) for name in CountedRows._fields})

    def calibrated(drawn: CountedRows) -> float:
        shapes = shapes_of_biases(codec, network=True)
        biases = {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}
        calibration._rake_events(codec, real, drawn, biases, 1.0)
        context = Contexts(codec).of_event(drawn.label, drawn.begins, drawn.flags, drawn.before)
        assert drawn.event_shares is not None
        logit = np.log(drawn.event_shares + 1e-9) + biases["event"][context] + biases[ANYWHERE]
        return float((np.exp(logit[:, rare]) / np.exp(logit).sum(1)).mean())

    real = rows(0.002)
    in_log = (real.event == rare).mean()
    assert calibrated(rows(0.004)) == pytest.approx(in_log, rel=0.35)
    # that a sample happens to have none of it says nothing where it was as likely as in the log
    bare = rows(0.002)
    bare = bare._replace(event=np.where(bare.event == rare, usual[0], bare.event))
    assert calibrated(bare) == pytest.approx(in_log, rel=0.2)


def test_few_rows_say_little() -> None:
    many, few = (_step(n * np.array([[0.9, 0.1]]), n * np.array([[0.5, 0.5]])) for n in (1e4, 2.0))
    np.testing.assert_allclose(many, np.log([[1.8, 0.2]]), atol=0.01)
    assert (np.abs(few) < 0.5 * np.abs(many)).all()


def test_rare_codes_rise_no_more_often_than_they_fall() -> None:
    """A sample that happens to have none of a code that has its share is no reason to raise it."""
    rng, share = np.random.default_rng(2), np.array([0.979, 0.02, 0.001])
    log = 800_000 * share[None]
    for rows, most in ((50, 0.02), (2_000, 0.1), (40_000, 0.1)):
        drawn = rng.multinomial(rows, share, size=400).astype(float)
        for few in (FEW, FEW_OF_CODE):
            steps = np.array([_step(log, sample[None], few)[0] for sample in drawn])
            assert (np.abs(steps.mean(0)) < most).all()


def test_chance_in_the_last_sample_does_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Biases of which the last sample is another differ by less than samples do."""
    log = shop_log(users=150, rows=20, seed=6)
    fitted = generators.fit(log, model="markov", seed=1)
    assert isinstance(fitted, Markov)
    codec = fitted.codec_
    steps = encode(log, codec, max_rows=fitted.max_rows, private=False)

    def events(last: int) -> np.ndarray:
        def draw(biases: Biases, users: int, labelled: int, k: int) -> Sampled:
            seed = last if k == calibration.ROUNDS - 1 else 1
            return fitted._pilot(seed, biases, users, labelled, k)

        return calibrate_fields(codec, steps, draw, network=False)["event"]

    def spread() -> float:
        return float(np.std([events(seed) for seed in range(2, 8)], axis=0).mean())

    several = spread()
    monkeypatch.setattr(calibration, "ROUNDS", 1)
    assert several < 0.75 * spread()


def test_what_the_log_never_has_gets_rarer_the_more_rows_say_so() -> None:
    wanted, drawn = np.array([[1.0, 0.0]]), np.array([[0.8, 0.2]])
    steps = [_step(n * wanted, n * drawn)[0, 1] for n in (2.0, 5.0, 20.0)]
    assert 0 > steps[0] > steps[1] > steps[2]


def test_contexts_of_which_one_side_has_no_row_have_no_bias() -> None:
    wanted, drawn = np.array([[5.0, 5.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [3.0, 1.0]])
    assert (_step(wanted, drawn) == 0).all()


def plans_log() -> EventLog:
    """Return a shop's log in which users of one plan buy what they have in the cart, others do not.

    They have it on the phone, others mostly not.
    """
    rng, log = np.random.default_rng(5), shop_log(users=300, rows=30, seed=3)
    events = log.events.copy()
    users = pd.DataFrame({"user_id": pd.unique(events["user_id"].astype(str))})
    users["plan"] = rng.choice(["large", "small"], len(users), p=[0.2, 0.8])
    plan = users.set_index("user_id")["plan"].loc[events["user_id"].astype(str)].to_numpy()
    event = events["event"].astype(str).to_numpy(dtype=object)
    dropped = (event == "purchase") & (plan == "small") & (rng.random(len(events)) < 0.8)
    events["device"] = np.where(
        rng.random(len(events)) < np.where(plan == "large", 0.9, 0.2), "phone", "pc"
    )
    return replace(log, events=events[~dropped].reset_index(drop=True), users=users, labels=None)


@pytest.mark.parametrize(("model", "settings"), [("vae", {"epochs": 2}), ("markov", {})])
def test_events_and_values_follow_the_attributes_of_users(model: str, settings: dict) -> None:
    log = plans_log()
    sample = generators.fit(log, model=model, seed=1, settings=settings).sample(600, seed=2)

    def by_plan(of: EventLog) -> tuple[dict[str, float], dict[str, float]]:
        events = of.events.merge(of.users, on="user_id")
        plan, event = events["plan"].astype(str), events["event"].astype(str)
        bought, phone = (event == "purchase"), events["device"].astype(str) == "phone"
        return bought.groupby(plan).mean().to_dict(), phone.groupby(plan).mean().to_dict()

    (bought, phone), (drawn_bought, drawn_phone) = by_plan(log), by_plan(sample)
    for plan in ("large", "small"):
        assert drawn_bought[plan] == pytest.approx(bought[plan], rel=0.3)
        assert drawn_phone[plan] == pytest.approx(phone[plan], abs=0.07)


def dear(events: pd.DataFrame) -> set[str]:
    """Return the items that cost more than three of five of their category do."""
    items = events.dropna(subset="item_id").drop_duplicates("item_id")
    place = items["price"].groupby(items["category"].astype(str)).rank(pct=True)
    return set(items["item_id"].astype(str)[place > 0.6])


@pytest.mark.parametrize(("model", "settings"), [("vae", {"epochs": 2}), ("markov", {})])
def test_what_is_dear_is_put_into_the_cart_as_seldom_as_in_the_log(
    model: str, settings: dict
) -> None:
    """After a look at a dear item four of five carts are taken out of the log."""
    log, rng = shop_log(users=400, rows=30, seed=3).ordered(), np.random.default_rng(5)
    events = log.events.reset_index(drop=True)
    user, event = events["user_id"].astype(str), events["event"].astype(str)
    costly_items, look = dear(events), event.shift() == "view_item"
    is_dear = events["item_id"].astype(str).isin(costly_items)
    after_dear = look & (user.shift() == user) & is_dear.shift(fill_value=False)
    dropped = (event == "add_to_cart") & after_dear & (rng.random(len(events)) < 0.8)
    log = replace(log, events=events[~dropped].reset_index(drop=True), labels=None)
    sample = generators.fit(log, model=model, seed=1, settings=settings).sample(1_000, seed=2)

    def carts(of: EventLog) -> list[float]:
        rows = of.ordered().events.reset_index(drop=True)
        same = rows["user_id"].astype(str).shift(-1) == rows["user_id"].astype(str)
        looks = ((rows["event"] == "view_item") & same).to_numpy()
        carted = (rows["event"].astype(str).shift(-1) == "add_to_cart").to_numpy()
        costs = rows["item_id"].astype(str).isin(costly_items).to_numpy()
        return [float(carted[looks & (costs == yes)].mean()) for yes in (False, True)]

    (cheap, costly), (drawn_cheap, drawn_costly) = carts(log), carts(sample)
    assert costly < 0.4 * cheap
    assert drawn_costly / drawn_cheap == pytest.approx(costly / cheap, rel=0.35)
    assert drawn_cheap == pytest.approx(cheap, rel=0.15)


def test_the_values_of_an_attribute_do_not_say_how_often_there_is_one() -> None:
    """Of samples of few rows that differ from the log by chance none raises all of its values."""
    log = plans_log()
    fitted = generators.fit(log, model="vae", seed=1, settings={"epochs": 1})
    assert isinstance(fitted, NeuralGenerator)
    codec, rng, n = fitted.codec_, np.random.default_rng(5), 4_000
    place = list(codec.user_attributes).index("plan")
    attributes = np.zeros((n, len(codec.user_attributes)), dtype=np.int64)
    attributes[:, place] = rng.integers(1, codec.user_attributes["plan"].size, n)
    shapes = {n: s for n, s in shapes_of_biases(codec, network=True).items() if "device" in n}
    nothing, phone, raised = np.zeros(n, dtype=np.int64), 0.05, []

    def rows(shares: np.ndarray) -> CountedRows:
        value = np.where(rng.random(n) < shares[attributes[:, place]], 1, 2)
        known: dict[str, Any] = {"event": nothing + 1, "values": {"device": value}}
        known |= {"attributes": attributes, "only_labels": nothing > 0}
        return CountedRows(**{name: known.get(name, nothing) for name in CountedRows._fields})

    for _ in range(100):
        biases = {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}
        drawn = rows(rng.choice([0.005, 0.095], 3))  # as users do, who are few
        calibration._rake(codec, "device", rows(np.full(3, phone)), drawn, biases, 1.0, np.ones(n))
        by_plan = biases[given("device", place)]
        of_event = by_plan.reshape(-1, codec.events.size, by_plan.shape[1])[1:, 1]
        raised.append(of_event[:, 1:3] @ [phone, 1 - phone])
    assert abs(np.mean(raised)) < 0.01


def test_what_levels_have_in_common_is_not_theirs() -> None:
    """Two contexts, each with three levels of which the last has no row."""
    rng = np.random.default_rng(4)
    wanted = np.tile([[700.0, 300.0], [500.0, 500.0]], (3, 1))
    drawn = np.concatenate([wanted[:4, ::-1], np.zeros((2, 2))])
    assert np.abs(_step(wanted, drawn, FEW_OF_CODE, 2)).max() < 0.01
    steps = []
    for _ in range(400):  # whose levels differ by chance
        share = rng.dirichlet([1.0, 30.0], size=8)
        steps.append(_step(np.full((8, 2), [100.0, 3_000.0]), 3_000 * share, FEW_OF_CODE, 1))
    mean = np.mean(steps, axis=(0, 1))
    assert abs(mean[0]) < 0.01
