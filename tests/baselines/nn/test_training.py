"""The training loop: it learns, stops, and gives back the best weights."""

import numpy as np
import torch
from torch import nn

from baselines.nn.losses import (
    Repeats,
    binary_item_loss,
    gated_log_probability,
    item_logits,
    sampled_log_probability,
    softmax_log_probability,
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
    values = iter([0.0, 0.1, 0.9, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    weights = []
    holder = {}

    def measure():
        weights.append(holder["m"].weight.item() if holder else None)
        return next(values)

    torch.manual_seed(0)
    module = holder["m"] = nn.Linear(1, 1)
    x = torch.ones(4, 1)
    history = train(
        module,
        forever(lambda: [x]),
        lambda b: (module(b) ** 2).mean(),
        Schedule(steps=80, lr=0.1, patience=3),
        measure,
    )
    assert history.best_step == 20
    assert history.steps == 50  # three evaluations after the best
    assert module.weight.item() == weights[2]


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


def test_sampled_softmax_agrees_where_everything_is_sampled():
    hidden, items, bias, repeats, target = scene()
    proposal = torch.full((40,), 1 / 40)
    full = softmax_log_probability(hidden, items, bias, repeats, target)
    sampled = sampled_log_probability(hidden, items, bias, repeats, target, proposal=proposal, n=40)
    torch.testing.assert_close(sampled, full, rtol=1e-4, atol=1e-4)


def test_gated_mixture_is_a_distribution():
    network = torch.log_softmax(torch.randn(3, 7), -1)
    counted = [torch.softmax(torch.randn(3, 7), -1) for _ in range(2)]
    gate = torch.log_softmax(torch.randn(3, 3), -1)
    mixed = gated_log_probability(network, counted, gate[:, None])
    torch.testing.assert_close(mixed.exp().sum(-1), torch.ones(3), rtol=1e-4, atol=1e-4)


def test_binary_losses_are_those_of_numpy_where_every_item_is_a_negative():
    hidden, items, bias, repeats, target = scene()
    logits = item_logits(hidden, items, bias, repeats).double().numpy()
    positive = logits[np.arange(6), target]
    softplus = lambda x: np.logaddexp(0, x)
    others = softplus(logits[:, 2:]).sum(1) - softplus(positive)  # codes 0 and 1 are no items
    got = binary_item_loss(hidden, items, bias, repeats, target, n=38)
    np.testing.assert_allclose(got.numpy(), softplus(-positive) + others, rtol=1e-4)
    alpha, t = 1.0, 0.75  # everything but the target is drawn: nothing to take back
    got = binary_item_loss(hidden, items, bias, repeats, target, n=38, calibration=t)
    np.testing.assert_allclose(
        got.numpy(),
        alpha * (t * (1 - 1 / alpha) + 1 / alpha) * softplus(-positive) + others,
        rtol=1e-4,
    )
    one = binary_item_loss(hidden, items, bias, repeats, target, n=1)
    assert one.shape == (6,) and (one.numpy() <= got.numpy() + 1e-5).all()


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
