"""Sampling row by row says what the network says of whole sequences in training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.shop_logs import shop_log

import generators
from generators.neural_generator import NeuralGenerator
from generators.nn.per_user_losses import _attribute_loss
from generators.sampling.step_decoder import StepDecoder
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences, encode


@pytest.fixture(scope="module", params=["vae", "transformer"])
def fitted(request: pytest.FixtureRequest) -> tuple[NeuralGenerator, EncodedSequences]:
    log = shop_log(users=40, rows=20, items=60, seed=1)
    model = generators.fit(
        log, model=request.param, seed=1, settings={"epochs": 1, "width": 32, "min_users": 1}
    )
    assert isinstance(model, NeuralGenerator)
    return model, encode(log, model.codec_)


@torch.no_grad()
def test_states_and_items_are_those_of_the_whole_sequence(
    fitted: tuple[NeuralGenerator, EncodedSequences],
) -> None:
    model, steps = fitted
    net, rows = model.net_, 6
    users = np.flatnonzero(steps.lengths() >= rows)[:8]
    at = torch.from_numpy(steps.offsets[users][:, None] + np.arange(rows))  # (B, T)
    features, user_attributes = steps.features[at], steps.user_attributes[users]
    condition = net.condition(torch.zeros((len(users), net.latent)), user_attributes)
    whole = net.states(features, condition)
    sampler = StepDecoder(model.codec_, net, None, {})
    sampler.condition, sampler.user_attributes, sampler.state = (
        condition,
        user_attributes.numpy(),
        [],
    )
    everyone, start = np.arange(len(users)), model.codec_.items.start
    stocked = np.flatnonzero(start[1:] > start[:-1])
    category = np.sort(stocked[everyone % len(stocked)])
    for t in range(rows):
        sampler.step(features[:, t].numpy())
        torch.testing.assert_close(sampler.u, whole[:, t], rtol=1e-4, atol=1e-5)
        weight = sampler.item_weights(category, everyone)
        kin = net.affinity_logits(whole[:, t], features[:, t], user_attributes)
        for k, c in enumerate(category):
            first, stop = int(start[c]), int(start[c + 1])
            logits = net.item_weight()[first:stop] @ net.item_query(whole[k, t])
            logits += net.item_head.bias[first:stop] + kin[k, net.traits[first:stop]].sum(1)
            made = torch.from_numpy(weight[k, : stop - first])
            torch.testing.assert_close(
                made / made.sum(), torch.softmax(logits, 0), rtol=1e-3, atol=1e-6
            )
    assert (features[:, :, layout.LAST_ITEMS] > 0).any()


@torch.no_grad()
def test_the_loss_of_attributes_is_that_of_the_fields_one_after_another(
    fitted: tuple[NeuralGenerator, EncodedSequences],
) -> None:
    """They have a training of their own, in which they are fused."""
    model, steps = fitted
    z = torch.randn((len(steps), model.net_.latent), generator=torch.Generator().manual_seed(1))
    codes = steps.user_attributes
    shares = [model.attributes_.log_shares(k, codes[:, :k]) for k in range(codes.shape[1])]
    torch.testing.assert_close(
        model.net_.attribute_loss(z, codes, shares),
        _attribute_loss(model.net_, codes, z).sum(),
    )
