"""Training of a RowNet: whole users in batches, long ones cut into windows; plainly, or with
per-user DP-SGD.

The loss is the evidence lower bound per step (Kingma and Welling 2014) with free bits (Kingma et
al. 2016) and word dropout (Bowman et al. 2016), so that the latent is used. DP-SGD (Abadi et al.
2016): Poisson samples of users, one gradient a user by opacus, clipped to `clip`, Gaussian noise on
their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from eventlog._runtime.console import track
from eventlog._runtime.errors import WorkError
from generators.codec.codec import SESSION_LABEL, Codec
from generators.nn.network import RowNet, open_fields
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences, current_session_label

Noise = Callable[[np.ndarray], torch.Tensor]  # users (B,) -> standard normal numbers (B, Z)
HELD_USERS = 20  # users that can say when to stop
WARM_UP = 0.1  # share of the updates in which the learning rate rises
DROPOUT = 0.3  # of what static codes are drawn from, in their own training
# share of the loss that sessions with an intent have at least: there are few, and they matter
MIN_LABELLED_LOSS_SHARE = 0.1


@dataclass(frozen=True)
class Plan:
    """How a network is trained. `batch_steps` counts rows, `batch_users` is the expected number of
    users of a private batch.
    """

    epochs: int = 0  # 0: as many as `rows` allows
    rows: int = 1_300_000  # rows seen in training where `epochs` is 0
    rate: float = 4e-3
    batch_steps: int = 768
    window: int = 128
    word_dropout: float = 0.1
    free_bits: float = 0.1  # nats of each latent dimension that cost nothing
    private_epochs: int = 12
    private_rows: int = 64  # rows of a user that are learnt from under a budget
    batch_users: int = 192
    clip: float = 1.0
    private_rate: float = 2e-3


@dataclass(frozen=True)
class Batch:
    """R windows of B users; the first window of each user comes first."""

    features: torch.Tensor  # (R, T, F)
    clock: torch.Tensor  # (R, T, 3)
    target: torch.Tensor  # (R, T, n_fields), -1 = not asked
    mask: torch.Tensor  # (R, T) bool: is there a step?
    owner: torch.Tensor  # (R,) row of the user in `static`
    known: torch.Tensor  # (R, T, RANKS), see Steps
    static: torch.Tensor  # (B, S)
    length: torch.Tensor  # (B,) steps of the user


def make_batch(steps: EncodedSequences, users: np.ndarray, window: int) -> Batch:
    """The windows of `users` (B,), padded to the longest."""
    lengths = steps.lengths()[users]
    windows = np.maximum(-(-lengths // window), 1)
    owner = np.append(np.arange(len(users)), np.repeat(np.arange(len(users)), windows - 1))
    number = np.append(
        np.zeros(len(users), dtype=np.int64),
        np.concatenate([np.arange(1, w) for w in windows]) if len(users) else [],
    )
    start = steps.offsets[users][owner] + number.astype(np.int64) * window
    size = np.minimum(lengths[owner] - number.astype(np.int64) * window, window)
    at = start[:, None] + np.arange(int(size.max(initial=1)))[None, :]
    mask = np.arange(at.shape[1])[None, :] < size[:, None]
    index = torch.from_numpy(np.where(mask, at, start[:, None]))
    target = steps.target[index].masked_fill(~torch.from_numpy(mask)[..., None], -1)
    return Batch(
        steps.features[index],
        steps.clock[index],
        target,
        torch.from_numpy(mask),
        torch.from_numpy(owner),
        steps.known[index],
        steps.user_attributes[users],
        torch.from_numpy(lengths),
    )


def batches(steps: EncodedSequences, plan: Plan, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Users in batches of about `batch_steps` steps and of like length, in random order."""
    noise = rng.random(len(steps))
    order = np.lexsort((noise, np.round(np.log2(steps.lengths() + 1) * 4)))
    padded = np.minimum(steps.lengths()[order], plan.window) * np.maximum(
        -(-steps.lengths()[order] // plan.window), 1
    )
    batch = np.cumsum(padded) // plan.batch_steps
    groups = np.split(order, np.flatnonzero(np.diff(batch)) + 1)
    for k in rng.permutation(len(groups)):
        yield groups[k]


def latent_of(
    net: RowNet, batch: Batch, plan: Plan, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A draw z (B, Z) of each user's latent from standard normal `noise` (B, Z), and what it costs
    (B,) in nats.
    """
    n = len(batch.static)
    if not net.latent:
        return torch.zeros((n, 0)), torch.zeros(n)
    center, spread = net.posterior(
        batch.features[:n, 1:], batch.static, batch.mask[:n, 1:], batch.length
    )
    cost = 0.5 * (center**2 + spread.exp() - 1 - spread)  # (B, Z)
    if net.per_user:
        # a mean over users would mix their gradients
        kl = cost.clamp(min=plan.free_bits).sum(1)
    else:
        kl = cost.mean(0).clamp(min=plan.free_bits).sum().expand(n)
    return center + (0.5 * spread).exp() * noise, kl


def posterior_draws(net: RowNet, steps: EncodedSequences, plan: Plan, noise: Noise) -> np.ndarray:
    """Return a draw from the posterior of each user, (n_users, Z) float32 in the order of `steps`.

    Args:
        noise: users (B,) -> standard normal numbers (B, Z). Under a privacy budget the numbers of
            a user must depend on that user alone.
    """
    out = np.zeros((len(steps), net.latent), dtype=np.float32)
    if not net.latent:
        return out
    with torch.no_grad():
        for users in batches(steps, plan, np.random.default_rng(6)):
            batch = make_batch(steps, users, plan.window)
            out[users] = latent_of(net, batch, plan, noise(users))[0].numpy()
    return out


def normal_of(latent: int, seed: int) -> Noise:
    """Return noise that is drawn batch by batch from one stream: for training without a budget."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 6)
    return lambda users: torch.randn((len(users), latent), generator=generator)


def losses(
    net: RowNet,
    batch: Batch,
    z: torch.Tensor,
    fields: dict[str, torch.Tensor],
    names: tuple[str, ...],
    start: np.ndarray,
    keep: torch.Tensor | None,
    emphasis: float = 1.0,
) -> torch.Tensor:
    """(R,) summed negative log likelihood in nats of each window.

    Where gradients are wanted user by user the statics count with a user's first window; elsewhere
    they have a training of their own. What is drawn given an intent, or given that one is to come,
    counts `emphasis` times (not where gradients are wanted user by user).
    """
    condition = net.condition(z, batch.static)[batch.owner]
    states = net.states(batch.features, condition, keep)  # (R, T, D)
    if not net.per_user:
        return _open_rows(net, states, batch, fields, names, start, emphasis)
    return _static_loss(net, batch.static, z) + _whole_rows(net, states, batch, names, start)


def _static_loss(net: RowNet, static: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    hidden, total = None, torch.zeros(len(static))
    for k in range(static.shape[1]):
        logits, hidden = net.static_logits(z, k, hidden)
        total = total + F.cross_entropy(logits, static[:, k], reduction="none")
        hidden = net.told_static(hidden, k, static[:, k])
    return total


def _open_rows(
    net: RowNet,
    states: torch.Tensor,
    batch: Batch,
    fields: dict[str, torch.Tensor],
    names: tuple[str, ...],
    start: np.ndarray,
    emphasis: float,
) -> torch.Tensor:
    """(R,) loss; each field is computed on the rows that ask for it only."""
    window = torch.nonzero(batch.mask)[:, 0]  # (n,) window of each step
    u, target, clock, features, known = (
        x[batch.mask] for x in (states, batch.target, batch.clock, batch.features, batch.known)
    )
    static = batch.static[batch.owner][window]
    event = target[:, names.index("event")].clamp(min=0)
    # the step that asks for the end is no row
    is_row = target[:, names.index("event")] >= 0
    total = torch.zeros(len(batch.owner))
    # of the gap, which is drawn before a new intent
    weight = _emphasis(features[:, layout.LAST_SESSION_LABEL] > 1, emphasis)
    # of the intent itself; where none is to come it is never drawn
    coming = _emphasis(features[:, net.marks_column] > 0, emphasis)
    for k, name in enumerate(names):
        code = target[:, k]
        if name == "item":
            if net.n_items > 1:
                total = total + _item_loss(
                    net, u, code, features, static, known, window, len(batch.owner), start, weight
                )
            continue
        asked = code >= 0
        if name in fields:
            asked = asked & (fields[name][event] > 0)
        rows = torch.nonzero(asked)[:, 0]
        logits = net.logits(name, u, features, static, known, rows)
        loss = F.cross_entropy(logits, code[rows], reduction="none")
        total = total.index_add(
            0, window[rows], loss * (coming if name == SESSION_LABEL else weight)[rows]
        )
        if name == "gap":
            added = net.chosen_embedding(name, code.clamp(min=0))
            assert added is not None
            u = u + (added + net.clock_embedding(clock)) * is_row[:, None]
        elif name == SESSION_LABEL:  # it holds for the whole session: every row is told
            intent = current_session_label(code, features)
            added = net.chosen_embedding(name, intent)
            u = u + added * is_row[:, None] if added is not None else u
            weight = _emphasis(intent > 0, emphasis)
        # a copied item's category is known from the item: it is told as well
        elif name == "category":
            open_rows = torch.nonzero(is_row & (fields[name][event] > 0))[:, 0]
            told = net.chosen_embedding(name, batch_category(batch, names)[batch.mask][open_rows])
            u = u.index_add(0, open_rows, told) if told is not None else u
        else:
            added = net.chosen_embedding(name, code[rows])
            u = u.index_add(0, rows, added) if added is not None else u
    return total


def batch_category(batch: Batch, names: tuple[str, ...]) -> torch.Tensor:
    """(R, T) the row's category, copied or drawn: it stands in the features of the step after."""
    after = torch.cat(
        [
            batch.features[:, 1:, layout.LAST_CATEGORY] - 1,
            batch.target[:, -1:, names.index("category")],
        ],
        1,
    )
    return after.clamp(min=0)


def batch_intent(batch: Batch, names: tuple[str, ...]) -> torch.Tensor:
    """(R, T) intent of the row's session: drawn where it begins, that of the row before
    elsewhere.
    """
    return current_session_label(batch.target[..., names.index(SESSION_LABEL)], batch.features)


def _item_loss(
    net: RowNet,
    u: torch.Tensor,
    code: torch.Tensor,
    features: torch.Tensor,
    static: torch.Tensor,
    known: torch.Tensor,
    window: torch.Tensor,
    n: int,
    start: np.ndarray,
    weight: torch.Tensor,
) -> torch.Tensor:
    """(n,) loss of fresh items within their categories, among those that would not be copies; one
    matrix product a category.
    """
    rows = torch.nonzero(code > 0)[:, 0]
    total = torch.zeros(n)
    if len(rows) == 0:
        return total
    category = torch.from_numpy(np.searchsorted(start, code[rows].numpy(), side="right") - 1)
    order = torch.argsort(category, stable=True)
    rows, category = rows[order], category[order]
    query, weights = net.item_query(u[rows]), net.item_weight()
    kin = (
        net.affinity_logits(u[rows], features[rows], static[rows]) if net.traits.shape[1] else None
    )
    present, counts = torch.unique_consecutive(category, return_counts=True)
    known = known[rows]
    parts, at = [], 0
    for c, size in zip(present.tolist(), counts.tolist(), strict=True):
        first, stop, mine = int(start[c]), int(start[c + 1]), slice(at, at + size)
        logits = net.item_logits(
            query[mine], None if kin is None else kin[mine], weights, first, stop
        )
        row, rank = torch.nonzero((known[mine] >= first) & (known[mine] < stop), as_tuple=True)
        logits = logits.index_put(
            (row, known[mine][row, rank].long() - first), logits.new_tensor(-1e9)
        )
        parts.append(F.cross_entropy(logits, code[rows[mine]] - first, reduction="none"))
        at += size
    return total.index_add(0, window[rows], torch.cat(parts) * weight[rows])


def _emphasis(heard: torch.Tensor, times: float) -> torch.Tensor:
    """(n,) float: `times` where `heard`, 1 elsewhere."""
    return 1.0 + (times - 1.0) * heard


def emphasis_of(steps: EncodedSequences) -> float:
    """How much what is drawn given an intent must count to have HEARD of the loss; 1 where it has
    that anyway, or there is none.
    """
    if SESSION_LABEL not in steps.names:
        return 1.0
    share = float((steps.features[:, layout.LAST_SESSION_LABEL] > 1).float().mean())
    return float(np.clip(MIN_LABELLED_LOSS_SHARE / share, 1.0, 30.0)) if share > 0 else 1.0


def _whole_rows(
    net: RowNet, states: torch.Tensor, batch: Batch, names: tuple[str, ...], start: np.ndarray
) -> torch.Tensor:
    """(B,) loss with every field on every row: each layer sees the users along its first dimension,
    as opacus needs it.
    """
    u, total = states, torch.zeros(len(states))
    is_row = (batch.target[..., names.index("event")] >= 0)[..., None]
    category = batch_category(batch, names)
    for k, name in enumerate(names):
        code = batch.target[..., k]
        if name == "item":
            if net.n_items > 1:
                logits = net.item_head(net.item_query(u))  # (B, T, n_items)
                of = torch.from_numpy(
                    np.searchsorted(start, np.arange(net.n_items), side="right") - 1
                )
                logits = logits.masked_fill(
                    (of != category[..., None]) & (code > 0)[..., None], -1e9
                )
                total = total + _sum_loss(logits, torch.where(code > 0, code, -1))
            continue
        logits = net.head(name, u)
        total = total + _sum_loss(
            logits + net.cycle_of(batch.features) if name == "gap" else logits, code
        )
        told = (
            category
            if name == "category"
            else batch_intent(batch, names)
            if name == SESSION_LABEL
            else code.clamp(min=0)
        )
        added = net.chosen_embedding(name, told)
        if added is not None:
            u = u + added * is_row
        if name == "gap":
            u = u + net.clock_embedding(batch.clock) * is_row
    return total


def _sum_loss(logits: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits.transpose(1, 2), code, ignore_index=-1, reduction="none").sum(1)


def train(
    net: RowNet, codec: Codec, steps: EncodedSequences, plan: Plan, *, seed: int
) -> list[float]:
    """Train without a budget. Returns the mean loss per step (nats) of each epoch."""
    rng, generator = (
        np.random.default_rng([seed, 4]),
        torch.Generator().manual_seed(seed * 1_000_003 + 5),
    )
    fields, start, emphasis = open_fields(codec), codec.items.start, emphasis_of(steps)
    optimizer = torch.optim.Adam(net.parameters(), lr=plan.rate, betas=(0.9, 0.98), fused=True)
    schedule = [list(batches(steps, plan, rng)) for _ in range(epochs_of(plan, steps))]
    n_updates = sum(map(len, schedule))
    done, history = 0, []
    net.train()
    weights = list(net.parameters())  # walking all modules takes as long as a layer
    for epoch in track(schedule, "training", total=len(schedule)):
        total, count = 0.0, 0
        for users in epoch:
            batch = make_batch(steps, users, plan.window)
            for group in optimizer.param_groups:
                group["lr"] = plan.rate * _rate_at(done / n_updates)
            z, kl = latent_of(
                net, batch, plan, torch.randn((len(users), net.latent), generator=generator)
            )
            keep = (torch.rand(batch.mask.shape, generator=generator) >= plan.word_dropout).float()
            loss = losses(
                net, batch, z, fields, steps.names, start, keep, emphasis
            ).sum() + kl.sum() * min(1.0, 3 * done / n_updates)
            n = int(batch.mask.sum())
            optimizer.zero_grad(set_to_none=True)
            (loss / n).backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            total, count, done = total + float(loss.detach()), count + n, done + 1
        history.append(total / max(count, 1))
    net.eval()
    return history


def train_statics(
    net: RowNet,
    static: torch.Tensor,
    z: torch.Tensor,
    *,
    seed: int,
    most: int = 1_000,
    batch: int = 256,
) -> float:
    """Go on training what draws the static codes, on users alone; returns nats a user of those held
    out (NaN where there are too few).

    `static` (n_users, S) codes, `z` (n_users, Z) latents. A user is one row here and many in
    `train`, which therefore hardly learns how stay, length and the others hang together. A tenth of
    the users says when to stop; the best weights are kept.
    """
    rng = np.random.default_rng([seed, 13])
    weights = [p for part in net.static_parts() for p in part.parameters()]
    order = torch.from_numpy(rng.permutation(len(static)))
    held, learnt = order[: len(order) // 10], order[len(order) // 10 :]
    if len(held) < HELD_USERS:
        held, learnt, most = order[:0], order, 200
    optimizer = torch.optim.Adam(weights, lr=2e-3, fused=True)
    best, lowest, worse = [p.detach().clone() for p in weights], float("nan"), 0
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 13)
    for update in range(most):
        users = learnt[torch.from_numpy(rng.integers(len(learnt), size=min(batch, len(learnt))))]
        keep = (torch.rand((len(users), net.width), generator=generator) >= DROPOUT) / (1 - DROPOUT)
        loss = net.static_losses(z[users], static[users], keep).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if len(held) and update % 25 == 24:
            with torch.no_grad():
                now = float(net.static_losses(z[held], static[held]).mean())
            worse = worse + 1 if now >= lowest else 0
            if not worse:
                best, lowest = [p.detach().clone() for p in weights], now
            if worse == 8:
                break
    if len(held):
        with torch.no_grad():
            for p, kept in zip(weights, best, strict=True):
                p.copy_(kept)
    return lowest


def epochs_of(plan: Plan, steps: EncodedSequences) -> int:
    """Passes over the log: a small log is passed over more often, a large one at least 3 times."""
    return plan.epochs or int(np.clip(round(plan.rows / max(len(steps.features), 1)), 3, 60))


def _rate_at(share: float) -> float:
    """Rises to 1 in the first WARM_UP of the updates, then a half cosine down to a hundredth."""
    if share < WARM_UP:
        return share / WARM_UP + 0.01
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * (share - WARM_UP) / (1 - WARM_UP))))


def check_finite(net: nn.Module) -> None:
    """Raise WorkError if a weight is not a finite number: the training diverged."""
    if not all(bool(torch.isfinite(p).all()) for p in net.parameters()):
        raise WorkError(
            "The training diverged: some weights are not finite numbers. Choose a smaller rate."
        )
