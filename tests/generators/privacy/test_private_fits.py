"""The guarantee: each user's gradient is that user's alone and is clipped; the ledger adds up to no
more than was asked for.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures.shop_logs import shop_log
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants import RDPAccountant
from opacus.grad_sample import GradSampleModule
from scipy.stats import norm

import generators
import simulator
from eventlog import EventLog, InputError
from eventlog.privacy.noise import UserStreams, gaussian_epsilon, seeded_secret
from generators.codec.clock import private_days
from generators.codec.codec import Codec
from generators.models.markov import Markov
from generators.models.vae import Vae
from generators.nn.dp_sgd import optimizer_of, user_losses
from generators.privacy.accounting import PrivacyLedger, epsilon_of, noise_for
from generators.privacy.counts import backed_off, raked
from generators.privacy.queries import PrivateQueries, threshold_of_shares
from generators.sequences.encode import EncodedSequences, encode

SMALL = {"width": 24, "latent": 6, "private_epochs": 2, "batch_users": 32, "private_rows": 16}
NAMES = {"event": ["view_item", "add_to_cart", "purchase", "search", "refund"]}
SETTINGS = {"markov": {}, "vae": SMALL, "gan": SMALL | {"private_generator_steps": 5}}


@pytest.fixture(scope="module")
def log() -> EventLog:
    return shop_log(users=150, seed=4)


@pytest.fixture(scope="module", params=["markov", "vae", "gan"])
def private(request: pytest.FixtureRequest, log: EventLog) -> generators.Generator:
    torch.set_num_threads(1)
    return generators.fit(
        log,
        model=request.param,
        epsilon=6.0,
        public=NAMES,
        seed=1,
        noise_seed=3,
        settings=SETTINGS[request.param],
    )


def test_the_ledger_composes_to_at_most_the_epsilon_that_was_asked_for(
    private: generators.Generator,
) -> None:
    statement = private.privacy
    assert statement["unit"] == "user"
    assert 0 < statement["epsilon_spent"] <= statement["epsilon"] == 6.0
    accountant = RDPAccountant()
    accountant.history = [
        (e["sigma"], e["sampling_rate"], e["steps"]) for e in statement["ledger"] if e["sigma"]
    ]
    pure = sum(e["epsilon"] for e in statement["ledger"] if not e["sigma"])
    thresholds = sum(e["delta"] for e in statement["ledger"])
    assert thresholds < statement["delta"]
    rdp = pure + accountant.get_epsilon(statement["delta"] - thresholds)
    if isinstance(private, Markov):  # no samples of users: composed exactly, which is tighter
        assert 0.8 * rdp < statement["epsilon_spent"] < rdp
    else:
        assert rdp == pytest.approx(statement["epsilon_spent"], rel=1e-3)
    if not isinstance(private, Markov):
        assert any("DP-SGD" in e["mechanism"] for e in statement["ledger"])
    assert any("counts" in e["mechanism"] for e in statement["ledger"]), (
        "vocabularies and times are paid for too"
    )


def test_a_private_sample_says_what_was_spent(private: generators.Generator) -> None:
    sample = private.sample(30, seed=2)
    assert len(sample) > 0
    assert sample.manifest["privacy"]["epsilon"] == 6.0


def test_the_gradient_of_a_user_is_that_users_alone(log: EventLog) -> None:
    """What opacus holds for user i equals what autograd gives for the loss of user i, parameter by
    parameter.
    """
    model = Vae(**SMALL)
    ledger = PrivacyLedger(epsilon=None)
    census = PrivateQueries(n_users=150, rng=np.random.default_rng(0), min_users=2, ledger=ledger)
    codec, steps = _coded(log, census)
    model.codec_ = codec
    net = model._build(3)
    net.per_user = True
    net.train()
    users = np.arange(5)
    own = UserStreams(seeded_secret(0), steps.ids, "test")
    each = user_losses(net, steps, users, model.plan, codec.items.start, own, 0)
    parameters = [p for p in net.parameters() if p.requires_grad]
    alone = [
        torch.autograd.grad(each[i], parameters, retain_graph=True, allow_unused=True)
        for i in range(len(users))
    ]
    wrapped = GradSampleModule(net, loss_reduction="sum")
    each = user_losses(net, steps, users, model.plan, codec.items.start, own, 0)
    each.sum().backward()
    for k, p in enumerate(parameters):
        # of what items are like, which a budget does not pay for
        if p.grad_sample is None:  # type: ignore[attr-defined]
            assert all(a[k] is None for a in alone)
            continue
        got = p.grad_sample if isinstance(p.grad_sample, torch.Tensor) else sum(p.grad_sample)
        want = torch.stack(
            [torch.zeros_like(p) if alone[i][k] is None else alone[i][k] for i in range(len(users))]
        )
        torch.testing.assert_close(got, want, rtol=2e-3, atol=2e-5)
    wrapped.remove_hooks()


def _coded(log: EventLog, census: PrivateQueries) -> tuple[Codec, EncodedSequences]:
    from generators.codec.fit import learn
    from generators.sequences.validity import learn_needs, learn_rules

    census.plan = 100.0
    codec = learn(log, census)
    rules = replace(codec.rules, required_flags=learn_needs(log, codec, census))
    codec = replace(codec, rules=rules)
    steps = encode(log, codec, max_rows=16)
    return learn_rules(codec, steps, census), steps


def test_no_user_moves_a_step_by_more_than_the_clip() -> None:
    layer = torch.nn.Linear(3, 1)
    wrapped = GradSampleModule(layer, loss_reduction="sum")
    optimizer = optimizer_of(
        wrapped, rate=0.1, sigma=0.0, clip=0.5, expected=1.0, noise=np.random.default_rng(0)
    )
    one = torch.tensor([[1.0, 2.0, 3.0]])

    def summed(rows: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        (layer(rows) * 1e4).sum().backward()
        optimizer.clip_and_accumulate()
        total = torch.cat([p.summed_grad.flatten() for p in layer.parameters()])
        optimizer.zero_grad(set_to_none=True)
        for p in layer.parameters():
            p.summed_grad = None
        return total

    assert float((summed(torch.cat([one, -one])) - summed(one)).norm()) <= 0.5 + 1e-5


@pytest.mark.parametrize("epsilon", [0.5, 3.0, 10.0])
def test_noise_is_enough_and_not_much_more(epsilon: float) -> None:
    plan = [(0.05, 200), (0.1, 50)]
    sigma = noise_for(plan, epsilon=epsilon, delta=1e-5, history=[(8.0, 1.0, 1)])

    def spent(multiplier: float) -> float:
        return epsilon_of([(8.0, 1.0, 1), *((multiplier, *phase) for phase in plan)], 1e-5)

    assert spent(sigma) <= epsilon < spent(sigma / 1.006)  # over all orders


def test_a_noisy_vocabulary_leaves_out_what_one_user_has() -> None:
    ledger = PrivacyLedger(epsilon=3.0, delta=1e-4)
    census = PrivateQueries(n_users=2000, rng=np.random.default_rng(1), min_users=5, ledger=ledger)
    user = np.append(np.repeat(np.arange(1999), 1), 1999)
    value = np.append(np.zeros(1999, dtype=np.int64), 7)
    kept, _ = census.popular("secret", user, value, per_user=2)
    assert kept.tolist() == [0]


def test_dp_accounting_agrees_with_what_a_ledger_says_was_spent(
    private: generators.Generator,
) -> None:
    """An independent library composes the ledger's entries: the exact figure to four digits, RDP's
    from below.
    """
    import dp_accounting as dp
    from dp_accounting.pld import PLDAccountant

    statement = private.privacy
    accountant = PLDAccountant(
        dp.NeighboringRelation.ADD_OR_REMOVE_ONE, value_discretization_interval=1e-3
    )
    for entry in statement["ledger"]:
        if entry["sigma"]:
            event: dp.DpEvent = dp.GaussianDpEvent(entry["sigma"])
            if entry["sampling_rate"] < 1:
                event = dp.PoissonSampledDpEvent(entry["sampling_rate"], event)
            accountant.compose(event, entry["steps"])
    pure = sum(e["epsilon"] for e in statement["ledger"] if not e["sigma"])
    left = statement["delta"] - sum(e["delta"] for e in statement["ledger"])
    found = pure + accountant.get_epsilon(left)
    if isinstance(private, Markov):
        assert found == pytest.approx(statement["epsilon_spent"], rel=2e-3)
    assert found <= statement["epsilon"] * 1.001


def test_the_gaussian_mechanism_costs_what_its_privacy_profile_says() -> None:
    # One Gaussian query: delta(eps) = Phi(1/(2s) - eps s) - e^eps Phi(-1/(2s) - eps s), Balle and
    # Wang 2018.
    sigma = 4.0
    alone = gaussian_epsilon(1 / sigma, 1e-5)
    assert norm.cdf(0.5 / sigma - alone * sigma) - np.exp(alone) * norm.cdf(
        -0.5 / sigma - alone * sigma
    ) == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0.0, None), (float("nan"), None), (1.0, 0.5), (None, 1e-6)]
)
def test_an_impossible_budget_is_refused(
    log: EventLog, epsilon: float | None, delta: float | None
) -> None:
    with pytest.raises(InputError, match=r"epsilon|delta"):
        generators.fit(log, model="vae", epsilon=epsilon, delta=delta, settings=SMALL)


def test_a_generator_without_a_guarantee_refuses_to_give_one(log: EventLog) -> None:
    class Unproved(Markov):
        supports_epsilon = False

    with pytest.raises(InputError, match="cannot be fitted with epsilon"):
        Unproved().fit(log, seed=0, epsilon=3.0)


@pytest.mark.parametrize("days", [40, 400])
def test_the_span_is_found_where_no_single_day_is_shared_by_many(days: int) -> None:
    """Within a few per cent at both ends, whatever the length of the log; one user far outside does
    not move it.
    """
    rng, users, first = np.random.default_rng(2), 4_000, 14_000
    user = np.sort(rng.integers(users, size=5 * users))
    day = first + rng.integers(days, size=len(user))
    ledger = PrivacyLedger.open(3.0, None, users + 1, noise_seed=5)
    census = PrivateQueries(
        n_users=users + 1, rng=ledger.rng(1), min_users=5, ledger=ledger, plan=30.0
    )
    low, high = private_days(census, np.append(user, users), np.append(day, 3))
    assert abs(low - first) <= 0.05 * days
    assert abs(high - (first + days - 1)) <= 0.05 * days
    with_few = PrivateQueries(n_users=10, rng=ledger.rng(2), min_users=5, ledger=ledger, plan=30.0)
    # ten users are not heard
    assert private_days(with_few, np.arange(10), np.full(10, first))[0] != first


def test_the_span_of_a_log_that_ends_quietly_is_not_cut_short() -> None:
    """Fewer than one in twenty users vote for the last weeks; those were lost."""
    rng, users, first, days = np.random.default_rng(3), 24_000, 10_000, 540
    again = rng.random(users) < 0.4
    rows = np.where(again, 1 + rng.geometric(0.25, users), 1)
    user = np.repeat(np.arange(users), rows)
    start = rng.integers(84, size=users)[user]
    day = first + start + (rng.random(len(user)) ** 1.5 * (days - start)).astype(np.int64)
    day[np.append(True, user[1:] != user[:-1])] = first + start[np.append(True, np.diff(user) > 0)]
    for seed in range(5):
        ledger = PrivacyLedger.open(3.0, None, users, noise_seed=seed)
        census = PrivateQueries(
            n_users=users, rng=ledger.rng(1), min_users=5, ledger=ledger, plan=50.0
        )
        low, high = private_days(census, user, day)
        assert abs(low - first) <= 10
        assert abs(high - (first + days - 1)) <= 20


def test_what_does_not_stand_out_of_the_noise_is_what_the_coarser_context_says() -> None:
    rng = np.random.default_rng(2)
    base = np.array([0.6, 0.3, 0.1])
    plain = np.tile(base * 1000, (50, 1))
    found = backed_off(plain + rng.normal(0, 20, plain.shape), [50], base, noise=20.0)
    assert np.abs(found - base).max() < 0.01, "fifty contexts that are alike stay alike"
    plain[7] = [100, 300, 600]
    found = backed_off(plain + rng.normal(0, 20, plain.shape), [50], base, noise=20.0)
    assert found[7] == pytest.approx([0.1, 0.3, 0.6], abs=0.06), "and one that is not is seen"


def test_with_a_large_budget_markov_does_what_the_log_does_as_often() -> None:
    log = simulator.simulate("shop", users=700, days=25, seed=3)
    log.truth = {}
    model = generators.fit(
        log,
        model="markov",
        epsilon=1000.0,
        public=["items", "category", "brand", "event"],
        seed=1,
        noise_seed=4,
    )
    twin = model.sample(log.events["user_id"].nunique(), seed=1)
    assert len(twin) == pytest.approx(len(log), rel=0.25)
    for event, within in (
        ("view_item", 0.15),
        ("search", 0.25),
        ("add_to_cart", 0.4),
        # 93 rows: over draws of the noise, between .47 and 2.3 times as often
        ("purchase", 0.85),
    ):
        real, made = (float((x.events["event"].astype(str) == event).mean()) for x in (log, twin))
        assert made == pytest.approx(real, rel=within), event
    name, columns = twin.events["event"].astype(str), ["price", "quantity", "payment_method"]
    assert twin.events.loc[name == "search", columns].isna().all(axis=None), "no search has any"
    assert twin.events.loc[name == "view_item", "price"].notna().mean() > 0.99, "and views have"
    real, made = (rows_in_last_tenth(x) for x in (log, twin))
    assert made == pytest.approx(real, abs=0.06), "users need not hurry at their end"


def rows_in_last_tenth(log: EventLog) -> float:
    """Return the share of rows in the last tenth of their users' time, of users of 20 rows."""
    time = log.events["timestamp"].astype("int64")
    users = time.groupby(log.events["user_id"].astype(str))
    first, last, rows = (users.transform(of) for of in ("min", "max", "size"))
    return float((last - time < 0.1 * (last - first))[rows >= 20].mean())


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 9))
@settings(deadline=None, max_examples=30)
def test_raked_shares_lead_to_the_marginal(seed: int, contexts: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(size), contexts)
    before, marginal = rng.dirichlet(np.ones(contexts)), rng.dirichlet(np.ones(size))
    found = raked(share, before, marginal)
    assert found.sum(1) == pytest.approx(np.ones(contexts))
    assert before @ found == pytest.approx(marginal, abs=1e-3)


def test_markov_repeats_no_step_between_items_that_one_user_alone_made(log: EventLog) -> None:
    model = generators.fit(log, model="markov", seed=1)
    assert isinstance(model, Markov)
    steps = encode(log, model.codec_)
    item = steps.target[:, steps.names.index("item")].numpy()
    fresh = item >= 0
    owner = np.repeat(np.arange(len(steps)), steps.lengths())[fresh]
    pairs = {}
    for user, before, after in zip(
        owner, steps.features[fresh, 6].numpy(), item[fresh], strict=True
    ):
        pairs.setdefault((before, after), set()).add(user)
    kept = model.tables_["successor"]
    found = [(b, a) for b in range(len(kept)) for a in kept[b][kept[b] > 0]]
    assert found and all(len(pairs[pair]) > 1 for pair in found)


@pytest.mark.parametrize("values", [1, 3, 30])
def test_what_one_user_alone_has_passes_the_threshold_of_shares_as_rarely_as_is_paid_for(
    values: int,
) -> None:
    """By simulation at a delta that can be seen, for a user with few values and with many."""
    sigma, delta, rng = 4.0, 0.05, np.random.default_rng(values)
    threshold = threshold_of_shares(sigma, delta, 64)
    noisy = 1 / np.sqrt(values) + rng.normal(0, sigma, (40_000, values))
    passed = float((noisy > threshold).any(1).mean())
    assert passed < delta * 1.08
    assert values < 30 or passed > delta * 0.3, (
        "where they are many, the threshold is no higher than it must be"
    )


def test_shares_let_more_items_of_a_large_shop_into_the_vocabulary() -> None:
    """Users with forty items each: counted by shares, more of the popular ones are heard with the
    same noise.
    """
    rng, users = np.random.default_rng(0), 3_000
    item = np.minimum(rng.zipf(1.3, users * 40), 2_000)
    owner = np.repeat(np.arange(users), 40)

    def kept(per_user: int, shares: bool) -> int:
        census = PrivateQueries(
            n_users=users,
            min_users=5,
            ledger=PrivacyLedger(epsilon=3.0, delta=1e-6, noise_seed=4),
            plan=10.0,
        )
        return len(census.popular("items", owner, item, per_user=per_user, shares=shares)[0])

    assert kept(64, True) > 1.3 * kept(8, False) > 0
