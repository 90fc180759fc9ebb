"""Users' steps one after another say what padded sequences, and users one by one, say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from generators.models.vae import Vae
from generators.nn import network, sampled_codes
from generators.nn.batches import hidden, make_batch, pack
from generators.nn.field_plan import FieldPlan
from generators.nn.losses import open_loss
from generators.nn.network import RowNet
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences
from tests.fixtures.shop_logs import shop_log

WINDOW = 64


@pytest.fixture(scope="module", params=[network.MOST_FUSED_CODES, 6])
def case(
    request: pytest.FixtureRequest,
) -> Iterator[tuple[RowNet, EncodedSequences, FieldPlan, np.ndarray]]:
    """A network before training, whose weights are not at their start, and users of all lengths.

    Its fields have few codes, or some of them so many that a batch looks up only those chosen.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "MOST_FUSED_CODES", request.param)
        found = untrained()
        assert bool(found[0].large_chosen) == (request.param == 6)
        yield found


def untrained() -> tuple[RowNet, EncodedSequences, FieldPlan, np.ndarray]:
    """Return what `case` does."""
    held: list[EncodedSequences] = []

    class Untrained(Vae):
        def _learn(self, steps: EncodedSequences, **_: object) -> None:
            held.append(steps)

    vae = Untrained(width=16, latent=4)
    vae.fit(shop_log(users=60, seed=3), seed=0)
    net = vae._build(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn(
                parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())
            )
    (steps,) = held
    fits = np.flatnonzero(steps.lengths() <= WINDOW)
    return net, steps, FieldPlan.of(net, vae.codec_, steps), fits[:12]


@torch.no_grad()
def test_states_and_posteriors_are_those_of_padded_sequences(
    case: tuple[RowNet, EncodedSequences, FieldPlan, np.ndarray],
) -> None:
    net, steps, _, users = case
    padded, packed = make_batch(steps, users, WINDOW), pack(steps, users, WINDOW)
    condition = net.condition(torch.zeros(len(users), 4), padded.user_attributes)
    torch.testing.assert_close(
        net.packed_states(packed.features, condition[packed.owner], packed.starts),
        net.states(padded.features, condition)[padded.mask],
        rtol=1e-4,
        atol=1e-4,
    )
    theirs = net.posterior(
        padded.features[:, 1:], padded.user_attributes, padded.mask[:, 1:], padded.length
    )
    seen = packed.features[packed.encoded]
    ours = net.packed_posterior(seen, packed.encoded_starts, packed.user_attributes, packed.length)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_loss_of_users_is_the_sum_of_theirs(
    case: tuple[RowNet, EncodedSequences, FieldPlan, np.ndarray],
) -> None:
    net, steps, plan, _ = case
    users = np.append(np.argsort(steps.lengths())[-2:], np.arange(6))  # the longest, and some

    def loss(users: np.ndarray) -> float:
        z = torch.linspace(-1, 1, 4).repeat(len(users), 1)
        return float(open_loss(net, pack(steps, users, WINDOW), z, plan))

    assert loss(users) == pytest.approx(sum(loss(users[[k]]) for k in range(len(users))), rel=1e-5)


@pytest.mark.parametrize("draws", [32, 4_000])
def test_codes_that_are_drawn_stand_for_all(draws: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few draws are right on average, and many each time: loss, and where it leads."""
    for name, value in (("MOST_FUSED_CODES", 6), ("MOST_COMPARED", 6)):
        monkeypatch.setattr(network, name, value)
    monkeypatch.setattr(sampled_codes, "DRAWS", draws)
    net, steps, plan, users = untrained()
    assert plan.samplers
    for name in plan.samplers:  # codes differ in how likely they are
        head = net.heads[network.key_of(name)]
        torch.nn.init.normal_(head.bias, generator=torch.Generator().manual_seed(5))
    batch, z, rng = pack(steps, users, WINDOW), torch.zeros((len(users), 4)), np.random.default_rng

    def found(rng: np.random.Generator | None) -> tuple[float, torch.Tensor]:
        loss = open_loss(net, batch, z, plan, rng)
        heads = net.sparse_heads()
        slopes = torch.autograd.grad(loss, heads)
        return float(loss.detach()), torch.cat([s.to_dense().flatten() for s in slopes])

    loss, slope = found(None)
    times = 60 if draws == 32 else 2
    each = [found(rng(k)) for k in range(times)]
    # the mean of logarithms is below the logarithm of the mean: few draws make it a bit less
    near = 0.01 if draws == 32 else 2e-3
    assert np.mean([other for other, _ in each]) == pytest.approx(loss, rel=near)
    mean = torch.stack([other for _, other in each]).mean(0)
    assert float((mean - slope).norm() / slope.norm()) < 15 * near


def test_each_step_of_a_user_is_in_one_window(
    case: tuple[RowNet, EncodedSequences, FieldPlan, np.ndarray],
) -> None:
    _, steps, _, _ = case
    users = np.array([int(np.argmax(steps.lengths())), 0, 3])
    batch = pack(steps, users, 10)
    whole = [steps.features[steps.offsets[u] : steps.offsets[u + 1]] for u in users]
    assert torch.equal(batch.features, torch.cat(whole))
    windows = np.concatenate([np.append([10] * (len(w) // 10), len(w) % 10) for w in whole])
    assert batch.starts.diff().tolist() == windows[windows > 0].tolist()


@torch.no_grad()
def test_what_is_hidden_tells_nothing(
    case: tuple[RowNet, EncodedSequences, FieldPlan, np.ndarray],
) -> None:
    net, steps, _, users = case
    batch, generator = pack(steps, users, WINDOW), torch.Generator().manual_seed(1)
    some = hidden(batch, 0.0, 0.3, generator)
    assert torch.equal(some.features, batch.features)
    is_hidden = some.seen != batch.features
    items = slice(layout.LAST_ITEMS, layout.LAST_ITEMS + layout.N_LAST_ITEMS)
    assert (some.seen[is_hidden] == -1).all()
    assert float(is_hidden[:, items].float().mean()) == pytest.approx(0.3, abs=0.05)
    is_hidden[:, items] = False
    assert not is_hidden.any()
    unseen = net.look(hidden(batch, 1.0, 0.0, generator).seen)
    assert torch.equal(unseen, torch.zeros_like(unseen))
