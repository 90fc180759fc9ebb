"""Training of a RowNet without a privacy budget; `dp_sgd` trains it with one.

The loss is the evidence lower bound (Kingma and Welling 2014, arXiv:1312.6114) with free bits
(Kingma et al. 2016, arXiv:1606.04934) and word dropout (Bowman et al. 2016, arXiv:1511.06349),
which keep the decoder from ignoring the latent. The more often a log is passed over, the more
rows, and the more of the items before a row, are hidden, so that users are not learnt by heart.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from eventlog._runtime.console import track
from eventlog._runtime.errors import WorkError
from generators.codec.codec import Codec
from generators.nn.batches import TrainingPlan, batches, hidden, pack
from generators.nn.field_plan import FieldPlan
from generators.nn.losses import open_loss
from generators.nn.network import RowNet
from generators.nn.optimizer import Adam
from generators.nn.posterior import latents_of
from generators.sequences.encode import EncodedSequences

WARM_UP = 0.1  # share of the updates in which the learning rate rises
WARM_UP_OF_FEW = 0.03  # likewise of less than FEW_EPOCHS passes
EPOCHS = (2, 60)  # least and most, where the plan gives rows
FEW_EPOCHS = 3  # up to which no items are hidden; below it fewer rows than the plan says
# Training of users' attributes
HELD_USERS = 20  # held-out users that it takes to say when to stop
UPDATES_UNCHECKED = 200  # where there are fewer
DROPOUT = 0.3  # of hidden units
ATTRIBUTE_RATE = 2e-3  # learning rate
ATTRIBUTE_BETAS = (0.9, 0.999)
CHECK_EVERY = 25  # updates
PATIENCE = 8  # checks without an improvement


def train(
    net: RowNet, codec: Codec, steps: EncodedSequences, plan: TrainingPlan, *, seed: int
) -> list[float]:
    """Train without a privacy budget; return the mean loss per step of each epoch, in nats."""
    rng = np.random.default_rng([seed, 4])
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 5)
    fields = FieldPlan.of(net, codec, steps)
    epochs = epochs_of(plan, len(steps.features))
    unseen = shares_hidden(plan, epochs)
    optimizer = Adam(net.row_parameters(), net.sparse_weights(), net.sparse_heads())
    schedule = [list(batches(steps, plan, rng)) for _ in range(epochs)]
    updates = [(epoch, users) for epoch, part in enumerate(schedule) for users in part]
    sums = np.zeros((len(schedule), 2))  # loss and steps of each epoch
    net.train()
    # Update by update: the first of them say how long the training takes, however long an epoch is.
    for done, (epoch, users) in enumerate(track(updates, "training")):
        batch = hidden(pack(steps, users, plan.window), *unseen, generator)
        n = len(batch.owner)
        noise = torch.randn((len(users), net.latent), generator=generator)
        z, cost = latents_of(net, batch, plan, noise)
        rows = open_loss(net, batch, z, fields, rng)
        # the latent costs nothing at first, and in full after a third of the updates
        loss = rows + cost * min(1.0, 3 * done / len(updates))
        (loss / n).backward()
        optimizer.step(plan.rate * rate_at(done / len(updates), epochs))
        sums[epoch] += float(loss.detach()), n
    net.eval()
    return [float(total / max(count, 1)) for total, count in sums]


def train_attributes(
    net: RowNet,
    attributes: torch.Tensor,
    z: torch.Tensor,
    log_shares: Callable[[torch.Tensor], list[torch.Tensor]],
    *,
    seed: int,
    updates: int = 1_000,
    batch: int = 256,
) -> float:
    """Go on training what draws users' attributes, on users alone.

    A user is one row here and many in `train`, which therefore learns little about how attributes
    depend on each other. A tenth of the users is held out and says when to stop; the best weights
    are kept.

    Args:
        attributes: (n_users, S) codes.
        z: (n_users, Z) latents.
        log_shares: users (n,) -> for each attribute the logits (n, size) to which the network adds,
            learnt from other users.
        updates: at most.

    Returns:
        Nats per user of those held out; NaN where there are too few to hold any out.
    """
    rng = np.random.default_rng([seed, 13])
    weights = [p for part in net.attribute_modules() for p in part.parameters()]
    order = torch.from_numpy(rng.permutation(len(attributes)))
    held, learnt = order[: len(order) // 10], order[len(order) // 10 :]
    if len(held) < HELD_USERS:
        held, learnt, updates = order[:0], order, UPDATES_UNCHECKED

    def loss_of(users: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        loss = net.attribute_loss(z[users], attributes[users], log_shares(users), keep)
        return loss / max(len(users), 1)

    net.start_from_log_shares()
    optimizer = Adam(weights, betas=ATTRIBUTE_BETAS)
    with torch.no_grad():
        best, worse = [p.detach().clone() for p in weights], 0
        lowest = float(loss_of(held)) if len(held) else float("nan")
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 13)
    for update in range(updates):
        users = learnt[torch.from_numpy(rng.integers(len(learnt), size=min(batch, len(learnt))))]
        keep = (torch.rand((len(users), net.width), generator=generator) >= DROPOUT) / (1 - DROPOUT)
        loss_of(users, keep).backward()
        optimizer.step(ATTRIBUTE_RATE)
        if len(held) and update % CHECK_EVERY == CHECK_EVERY - 1:
            with torch.no_grad():
                now = float(loss_of(held))
            worse = worse + 1 if now >= lowest else 0
            if not worse:
                best, lowest = [p.detach().clone() for p in weights], now
            if worse == PATIENCE:
                break
    if len(held):
        with torch.no_grad():
            for p, kept in zip(weights, best, strict=True):
                p.copy_(kept)
    return lowest


def epochs_of(plan: TrainingPlan, rows: int) -> int:
    """Return the passes over `rows`: the plan's, or more of a small log than of a large one."""
    return plan.epochs or int(np.clip(round(plan.rows / max(rows, 1)), *EPOCHS))


def shares_hidden(plan: TrainingPlan, epochs: int) -> tuple[float, float]:
    """Return the shares of rows and of last items that are hidden in each of so many passes."""
    rows = plan.word_dropout * min(1.0, epochs / FEW_EPOCHS)
    return rows, plan.item_dropout * (1 - min(1.0, FEW_EPOCHS / epochs))


def rate_at(share: float, epochs: int) -> float:
    """Return the factor of the learning rate after a share of the updates of so many passes.

    It rises to 1, then falls to 0.01 along a half cosine. Of few passes it falls to 0 along a line
    (Defazio et al. 2023, arXiv:2310.07831), and rises faster: little is learnt by heart in them.
    """
    if epochs < FEW_EPOCHS:
        return min((share + 0.002) / WARM_UP_OF_FEW, (1 - share) / (1 - WARM_UP_OF_FEW))
    if share < WARM_UP:
        return share / WARM_UP + 0.01
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * (share - WARM_UP) / (1 - WARM_UP))))


def check_finite(net: nn.Module) -> None:
    """Raise WorkError if a weight is not a finite number: the training diverged."""
    if not all(bool(torch.isfinite(p).all()) for p in net.parameters()):
        raise WorkError(
            "The training diverged: some weights are not finite numbers. Choose a smaller rate."
        )
