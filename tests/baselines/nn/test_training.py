"""The training loop: it learns, stops, and gives back the best weights."""

import numpy as np
import pytest
import torch
from torch import nn

from baselines.nn import losses
from baselines.nn.dropout import Dropout
from baselines.nn.hybrid import gated_log_probability
from baselines.nn.losses import (
    Repeats,
    item_logits,
    sampled_log_probability,
    softmax_log_probability,
    softmax_loss,
)
from baselines.nn.pretraining import swap_sessions
from baselines.nn.training import Schedule, forever, train
from baselines.nn.windows import Batch


def line(steps: int, measure=None, **settings):
    torch.manual_seed(0)
    module = nn.Linear(1, 1)
    x = torch.linspace(-1, 1, 32)[:, None]
    schedule = Schedule(steps=steps, lr=0.1, **settings)
    history = train(
        module,
        forever(lambda: [x]),
        lambda b: ((module(b) - 3 * b + 1) ** 2).mean(),
        schedule,
        measure,
    )
    return module, history


def test_loss_falls_to_nothing():
    module, history = line(200, weight_decay=0.0)
    assert history.loss[-1] < 1e-3 < history.loss[0]
    assert abs(module.weight.item() - 3) < 0.05
    assert not module.training


def test_best_weights_are_restored_and_training_stops():
    given, seen = [], []
    module = nn.Linear(1, 1)

    def measure():
        seen.append(module.weight.item())
        given.append(1.0 if len(given) == 4 else 0.1 * len(given) / 10)
        return given[-1]

    history = train(
        module,
        forever(lambda: [torch.ones(4, 1)]),
        lambda b: (module(b) ** 2).mean(),
        Schedule(steps=3_000, lr=0.01, patience=3),
        measure,
    )
    assert history.best == 4 and history.at[0] == 0
    # Three measurements after the best the learning rate falls, and training ends.
    assert history.steps == history.at[7] + max(1, history.best_step // 3) == history.at[-1]
    assert module.weight.item() == seen[4]
    assert not module.training


def test_training_lasts_as_long_as_the_measure_improves():
    values = iter(range(1000))
    module = nn.Linear(1, 1)
    history = train(
        module,
        forever(lambda: [torch.ones(4, 1)]),
        lambda b: (module(b) ** 2).mean(),
        Schedule(steps=400, lr=0.01),
        lambda: float(next(values)),
    )
    assert history.steps == 400 and history.best_step == 400


def test_an_empty_epoch_ends():
    module, history = line(10)
    assert history.steps == 10
    history = train(module, forever(list), lambda b: module(b).sum(), Schedule(steps=5, lr=0.1))
    assert history.steps == 0


def scene(n_items=40, p=6, dim=8, k=5):
    g = torch.Generator().manual_seed(3)
    draw = lambda *shape: torch.randn(*shape, generator=g)
    repeats = Repeats(torch.randint(2, n_items, (p, k), generator=g), draw(p, k))
    return (
        draw(p, dim),
        draw(n_items, dim),
        draw(n_items),
        repeats,
        torch.randint(2, n_items, (p,), generator=g),
    )


def test_softmax_is_that_of_numpy():
    hidden, items, bias, repeats, target = scene()
    logits = (hidden @ items.T + bias).numpy().astype(np.float64)
    for row, (ids, values) in enumerate(
        zip(repeats.item.numpy(), repeats.bonus.numpy(), strict=True)
    ):
        np.add.at(logits[row], ids, values)
    expected = logits[np.arange(6), target] - np.log(np.exp(logits).sum(1))
    np.testing.assert_allclose(
        softmax_log_probability(hidden, items, bias, repeats, target).numpy(), expected, rtol=1e-4
    )
    np.testing.assert_allclose(
        item_logits(hidden, items, bias, repeats).numpy(), logits, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("chunk", [1, 100, 1 << 20])
def test_the_fused_loss_and_its_gradients_are_those_of_autograd(chunk, monkeypatch):
    monkeypatch.setattr(losses, "CHUNK", chunk)
    hidden, items, bias, repeats, target = scene(p=70)
    found = []
    for fused in (True, False):
        inputs = [x.clone().requires_grad_() for x in (hidden, items, bias, repeats.bonus)]
        h, i, b, bonus = inputs
        again = Repeats(repeats.item, bonus)
        if fused:
            loss = softmax_loss(h, i, b, again, target)
        else:
            loss = -softmax_log_probability(h, i, b, again, target).mean()
        (3 * loss).backward()
        found.append([loss.detach(), *(x.grad for x in inputs)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_sampled_softmax_agrees_where_everything_is_sampled():
    hidden, items, bias, repeats, target = scene()
    full = softmax_log_probability(hidden, items, bias, repeats, target)
    every = torch.randperm(40)
    sampled = sampled_log_probability(
        hidden,
        items[target],
        items[every],
        bias,
        repeats,
        target,
        every,
        log_expected=torch.zeros(40),
    )
    torch.testing.assert_close(sampled, full, rtol=1e-4, atol=1e-4)


def test_dropout_keeps_the_mean_and_drops_the_share():
    torch.manual_seed(0)
    drop = Dropout(0.3)
    got = drop(torch.ones(100_003))
    assert abs(float((got == 0).float().mean()) - 0.3) < 0.01
    assert abs(float(got.mean()) - 1) < 0.01
    assert torch.equal(drop.eval()(torch.ones(5)), torch.ones(5))


def test_gated_mixture_is_a_distribution():
    network = torch.log_softmax(torch.randn(3, 7), -1)
    counted = [torch.softmax(torch.randn(3, 7), -1) for _ in range(2)]
    gate = torch.log_softmax(torch.randn(3, 3), -1)
    mixed = gated_log_probability(network, counted, gate[:, None])
    torch.testing.assert_close(mixed.exp().sum(-1), torch.ones(3), rtol=1e-4, atol=1e-4)


def test_swapped_sessions_keep_the_first_part_and_go_on_as_one_other_window():
    rng = np.random.default_rng(0)
    length = rng.integers(1, 9, 60)
    rows = np.where(np.arange(8) < length[:, None], 10 * np.arange(60)[:, None] + np.arange(8), -1)
    pause = rng.integers(0, 5, 601)
    batch, same = swap_sessions(Batch(rows, length, length, length, length), pause, rng)
    assert 0.2 < (~same).mean() < 0.6
    for w in range(60):
        got, size = batch.rows[w], batch.length[w]
        assert (got[:size] >= 0).all() and (got[size:] == -1).all()
        owner = got[:size] // 10
        if same[w]:
            assert np.array_equal(got, rows[w])
        else:
            cut = int((owner == w).sum())
            assert (
                0 < cut < size
                and len(set(owner[cut:])) == 1
                and (np.diff(got[cut:size]) == 1).all()
            )
            assert pause[rows[w, cut]] == pause[rows[w, 1 : length[w]]].max()
    assert np.array_equal(np.bincount(batch.window, minlength=60), batch.length)
