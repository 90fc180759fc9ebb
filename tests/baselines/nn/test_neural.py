"""Properties that hold for every neural model, for next items and for labels."""

import copy
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from baselines.base import Model
from baselines.sequences.transition_counts import Counts
from eventlog import EventLog
from eventlog._runtime import plugins
from eventlog.arrays import FIRST, Examples, Queries
from eventlog.encode import Encoder
from eventlog.log import tidy

# `gru` and `transformer_hybrid` differ in a cell or a backbone: test_hard_logs.py has them.
MODELS = ("lstm", "transformer", "bert", "hstu", "esasrec", "coles", "lstm_hybrid")
SMALL = {"dim": 16, "length": 12, "budget": 0.03, "batch_rows": 200, "pretrain": 0.3}
SETTINGS = [{}, {"full_softmax": 1, "negatives": 8}]
pytestmark = pytest.mark.usefixtures("one_thread")


def log_of(n_users=30, n_items=20, rows=14, seed=0) -> EventLog:
    """Each user walks along the items in order, from a place of their own; now and then a step is
    skipped.
    """
    rng = np.random.default_rng(seed)
    length = rng.integers(3, rows, n_users)
    user = np.repeat(np.arange(n_users), length)
    step = np.arange(len(user)) - np.repeat(np.cumsum(length) - length, length)
    item = (
        np.repeat(rng.integers(0, n_items, n_users), length) + step + (rng.random(len(user)) < 0.1)
    ) % n_items
    second = np.repeat(rng.integers(0, 90_000, n_users), length) + step * 600
    time = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(second, unit="s")
    events = pd.DataFrame(
        {
            "event_id": np.arange(len(user)),
            "user_id": [f"u{u:03d}" for u in user],
            "timestamp": time,
            "event": np.where(rng.random(len(user)) < 0.2, "purchase", "view_item"),
            "item_id": [f"i{i}" for i in item],
            "category": [f"c{i % 3}" for i in item],
            "price": (5.0 + item).astype(np.float32),
            "device": [f"d{u % 4}" for u in user],
        }
    )
    return EventLog(events=tidy(events))


@pytest.fixture(scope="module")
def shop():
    log = log_of()
    encoder = Encoder.fit(log)
    return encoder, encoder.encode(log)


def next_item(sequences) -> Examples:
    row = np.setdiff1d(np.arange(sequences.n_rows), sequences.offsets[:-1])
    queries = Queries(sequences.row_user()[row], row, sequences.time[row])
    return Examples(sequences, queries, sequences.columns["item"][row])


def binary(sequences) -> Examples:
    """Was the last known row's item an even code? Asked after each third row, and once of a user
    without rows before.
    """
    row = np.append(sequences.offsets[0], np.arange(1, sequences.n_rows, 3))
    row = row[(row > sequences.offsets[sequences.row_user()[row]]) | (np.arange(len(row)) == 0)]
    queries = Queries(sequences.row_user()[row], row, sequences.time[row] + 1000)
    return Examples(
        sequences, queries, (sequences.columns["item"][row - 1] % 2 == 0).astype(np.float32)
    )


def uplift(sequences) -> Examples:
    """The same questions, every other one treated."""
    examples = binary(sequences)
    return replace(examples, treatment=(np.arange(len(examples)) % 2).astype(np.float32))


TASKS = {"next_item": next_item, "binary": binary, "uplift": uplift}


def class_of(name) -> type[Model]:
    return plugins.load("baselines.models", name, Model, kind="model")


def model_of(name, **settings) -> Model:
    return class_of(name)(**{**SMALL, **settings})


CASES = [(m, t) for m in MODELS for t in TASKS if t in class_of(m).kinds]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def fitted(request, shop):
    name, task = request.param
    encoder, sequences = shop
    examples = TASKS[task](sequences)
    model = model_of(name)
    model.fit(examples, examples, encoder=encoder, seed=1)
    return model, examples, name, task


def test_scores_have_the_right_shape_and_are_finite(fitted, shop):
    model, examples, _, task = fitted
    scores = model.score(examples.sequences, examples.queries)
    assert scores.shape == (
        (len(examples), shop[0].n_items) if task == "next_item" else (len(examples),)
    )
    assert np.isfinite(scores).all()
    assert scores.dtype == np.float32
    if task != "next_item":
        assert ((scores >= (0 if task == "binary" else -1)) & (scores <= 1)).all()
    else:
        # log-probabilities of known items
        np.testing.assert_allclose(np.exp(scores[:, FIRST:]).sum(1), 1, rtol=1e-2)
        nothing = Queries(
            np.array([0]), examples.sequences.offsets[:1], examples.sequences.time[:1]
        )
        assert np.isfinite(model.score(examples.sequences, nothing)).all()


def test_no_questions_no_scores(fitted):
    model, examples, _, _ = fitted
    assert len(model.score(examples.sequences, examples.queries[np.zeros(0, dtype=np.int64)])) == 0


def test_rows_at_or_after_the_end_are_not_read(fitted):
    model, examples, _, _ = fitted
    s, rng = examples.sequences, np.random.default_rng(0)
    user = np.unique(examples.queries.user)[::2]
    end = (s.offsets[user] + s.offsets[user + 1] + 1) // 2
    queries = Queries(user, end, s.time[end - 1] + 5)
    later = np.zeros(s.n_rows, dtype=bool)
    for u, e in zip(user, end, strict=True):
        later[e : s.offsets[u + 1]] = True
    columns = {}
    for name, values in s.columns.items():
        columns[name] = values.copy()
        columns[name][later] = rng.permutation(values[later])
    role, time = s.role.copy(), s.time.copy()
    role[later] = "purchase"
    time[later] += 10_000_000
    changed = replace(
        s,
        columns=columns,
        role=role,
        time=time,
        raw={k: np.where(later, 1e6, v) for k, v in s.raw.items()},
    )
    np.testing.assert_allclose(
        model.score(changed, queries), model.score(s, queries), rtol=1e-5, atol=1e-6
    )


def test_padding_and_order_of_questions_change_nothing(fitted):
    model, examples, _, _ = fitted
    scores = model.score(examples.sequences, examples.queries)
    order = np.random.default_rng(1).permutation(len(examples))
    np.testing.assert_allclose(
        model.score(examples.sequences, examples.queries[order]),
        scores[order],
        rtol=1e-4,
        atol=1e-5,
    )
    for i in order[:8]:  # alone, without padding
        np.testing.assert_allclose(
            model.score(examples.sequences, examples.queries[[i]])[0],
            scores[i],
            rtol=1e-4,
            atol=1e-5,
        )


def test_a_log_without_a_column_can_be_scored(fitted):
    model, examples, _, _ = fitted
    s = examples.sequences
    fewer = replace(
        s,
        columns={
            k: v
            for k, v in s.columns.items()
            if k not in ("price", "device", "new_device", "category")
        },
        raw={},
    )
    assert np.isfinite(model.score(fewer, examples.queries)).all()


@pytest.mark.parametrize("settings", SETTINGS, ids=["default", "sampled"])
@pytest.mark.parametrize(("name", "task"), CASES, ids=lambda x: x)
def test_same_seed_same_scores_and_the_callers_generator_is_left_alone(name, task, settings, shop):
    if settings and task != "next_item":
        pytest.skip("settings of next items")
    encoder, sequences = shop
    examples = TASKS[task](sequences)
    state = torch.random.get_rng_state()
    runs = []
    for seed in (3, 3, 4):
        model = model_of(name, **settings)
        model.fit(examples, None, encoder=encoder, seed=seed)
        runs.append(model.score(sequences, examples.queries))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("name", ["lstm", "bert", "hstu", "esasrec"])
def test_a_few_sequences_can_be_learnt_by_heart(name):
    log = log_of(n_users=6, n_items=40, rows=10, seed=5)
    encoder = Encoder.fit(log)
    sequences = encoder.encode(log)
    plain = {"dim": 32, "dropout": 0.0, "layers": 1, "budget": 1.2}
    examples = next_item(sequences)
    model = model_of(name, **plain, lr=1e-2)
    model.fit(examples, examples, encoder=encoder, seed=0)
    # Told only the past, a model that learnt masked rows from both sides knows a little less.
    hit = model.score(sequences, examples.queries).argmax(1) == examples.target
    assert hit.mean() > (0.7 if name == "bert" else 0.95)
    if "binary" in class_of(name).kinds:
        labels = binary(sequences)
        model = model_of(name, **plain, label_lr=1e-2)
        model.fit(labels, None, encoder=encoder, seed=0)
        assert np.abs(model.score(sequences, labels.queries) - labels.target).mean() < 0.1


@pytest.mark.parametrize(("name", "task"), CASES, ids=lambda x: x)
def test_rows_after_the_last_training_question_do_not_matter_to_fitting(name, task, shop):
    """Nor to pre-training: what lies after a user's last question is the future."""
    encoder, sequences = shop
    examples = TASKS[task](sequences)
    early = examples.queries.end < sequences.offsets[examples.queries.user] + 3
    queries = examples.queries[early]
    train = replace(
        examples,
        queries=queries,
        target=examples.target[early],
        treatment=None if examples.treatment is None else examples.treatment[early],
    )
    first = np.repeat(sequences.offsets[:-1], np.diff(sequences.offsets))
    later = np.arange(sequences.n_rows) >= first + 3
    # Users who are not asked about may be learnt from until the last question.
    later &= np.isin(sequences.row_user(), queries.user)
    assert (queries.end <= sequences.offsets[queries.user] + 3).all() and later.any()
    changed = replace(
        sequences,
        columns={k: np.where(later, 0, v).astype(v.dtype) for k, v in sequences.columns.items()},
        raw={k: np.where(later, 1e3, v) for k, v in sequences.raw.items()},
        time=np.where(later, sequences.time + 10**9, sequences.time),
        role=np.where(later, "purchase", sequences.role).astype(object),
    )
    scores = []
    for s in (sequences, changed):
        model = model_of(name)
        model.fit(replace(train, sequences=s), None, encoder=encoder, seed=0)
        scores.append(model.score(sequences, train.queries))
    np.testing.assert_array_equal(*scores)


def test_what_another_log_taught_is_taken_over_by_name(shop):
    encoder, sequences = shop
    examples = binary(sequences)
    source = model_of("bert")
    source.fit(examples, None, encoder=encoder, seed=0)
    other = log_of(n_users=20, n_items=9, seed=8)
    other.events["price"] = other.events["price"] * 7
    other.events = tidy(other.events.rename(columns={"device": "channel"}))
    here = Encoder.fit(other)
    target = here.encode(other)
    model = model_of("bert", budget=1e-6, pretrain=0.0, label_lr=1e-12)
    model.begin_with(source)
    model.fit(binary(target), None, encoder=here, seed=1)
    mine, its = model.network_, source.network_
    same = lambda a, b: torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    for a, b in zip(mine.backbone.parameters(), its.backbone.parameters(), strict=True):
        same(a, b)
    code, from_code = (e.vocabularies["event"].index("purchase") + FIRST for e in (here, encoder))
    assert (
        mine.embedding.fields.categorical[0][0] == its.embedding.fields.categorical[0][0] == "event"
    )
    same(mine.embedding.codes.weight[code], its.embedding.codes.weight[from_code])
    place = [n.embedding.fields.numeric.index("price") for n in (mine, its)]
    same(mine.embedding.numeric.weight[:, place[0]], its.embedding.numeric.weight[:, place[1]])
    assert not torch.equal(mine.embedding.mean, its.embedding.mean)  # scales are this log's
    wider = model_of("bert", dim=32, budget=1e-6, pretrain=0.0)
    wider.begin_with(source)
    wider.fit(binary(target), None, encoder=here, seed=1)  # nothing fits: as without


def test_counts_leave_the_users_own_transitions_out(shop):
    encoder, sequences = shop
    examples = next_item(sequences)
    counts = Counts(examples, encoder.n_items)
    got = counts.target_probability(examples)
    item, mine = sequences.columns["item"], 7
    rest = examples.queries.user != mine
    others = Counts(
        Examples(sequences, examples.queries[rest], examples.target[rest]), encoder.n_items
    )
    others.comes_back = counts.comes_back
    asked = np.flatnonzero(examples.queries.user == mine)
    transition, repeat = others.probabilities(sequences, examples.queries[asked])
    target = item[examples.queries.end[asked]]
    known = others.out[item[examples.queries.end[asked] - 1]] > 0
    np.testing.assert_allclose(
        got[asked][known, 0], transition[np.arange(len(asked)), target][known], rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        got[asked, 1], repeat[np.arange(len(asked)), target], rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(transition.sum(1), 1, rtol=1e-4)


def test_learns_what_order_tells_and_beats_popularity(shop):
    encoder, sequences = shop
    examples = next_item(sequences)
    for name in ("lstm", "lstm_hybrid"):
        model = model_of(name, budget=0.8, dim=32)
        model.fit(examples, examples, encoder=encoder, seed=0)
        hit = (model.score(sequences, examples.queries).argmax(1) == examples.target).mean()
        # the walk is 80 % predictable; popularity gets 6 %
        assert hit > 0.6


def test_a_sequence_model_starts_from_nothing_and_a_hybrid_from_counts(shop):
    encoder, sequences = shop
    examples = next_item(sequences)
    starts = {}
    for name in ("lstm", "lstm_hybrid"):
        model = model_of(name, budget=0.3)
        model.fit(examples, examples, encoder=encoder, seed=0)
        curve = model.learning_curve()
        assert curve.measure == "ndcg@10" and curve.steps[0] == 0
        assert len(curve.steps) == len(curve.values) and np.argmax(curve.values) == curve.best
        starts[name] = curve.values[0]
        assert class_of(name).family == ("hybrid" if "hybrid" in name else "sequence")
    # At random the target is among the first ten of twenty half of the time.
    assert starts["lstm"] < 0.35 < starts["lstm_hybrid"]


@pytest.mark.parametrize(("name", "task"), CASES, ids=lambda x: x)
def test_read_only_arrays_and_a_user_in_several_rows_give_the_same_scores(name, task, shop):
    """As the judge sends them: the history of each question in rows of its own."""
    encoder, sequences = shop
    examples = TASKS[task](sequences)
    frozen = _frozen(sequences)
    model = model_of(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(replace(examples, sequences=frozen), None, encoder=encoder, seed=0)
        asked = examples.queries[np.arange(len(examples))[-40:]]
        whole = model.score(frozen, asked)
        size = asked.end - sequences.offsets[asked.user]
        offsets = np.append(0, np.cumsum(size))
        row = np.arange(offsets[-1]) + np.repeat(sequences.offsets[asked.user] - offsets[:-1], size)
        cut = replace(
            sequences,
            offsets=offsets,
            users=sequences.users[asked.user],
            **{k: getattr(sequences, k)[row] for k in ("time", "event_id", "role")},
            **{
                k: {c: v[row] for c, v in getattr(sequences, k).items()}
                for k in ("columns", "raw", "ids")
            },
        )
        queries = Queries(np.arange(len(asked)), offsets[1:], asked.time)
        got = model.score(_frozen(cut), queries)
    np.testing.assert_allclose(got, whole, rtol=1e-4, atol=1e-5)


def _frozen(sequences):
    sequences = copy.deepcopy(sequences)
    arrays = [
        sequences.offsets,
        sequences.users,
        sequences.time,
        sequences.event_id,
        sequences.role,
    ]
    for group in (sequences.columns, sequences.raw, sequences.ids):
        arrays += group.values()
    for array in arrays:
        array.flags.writeable = False
    return sequences
