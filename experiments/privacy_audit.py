r"""Does the white-box audit at length contradict the proved epsilon of any generator?

Usage::

    PYTHONPATH=.:tests python experiments/privacy_audit.py --models markov,vae \
        --users 100,150,300 --trials 400000

A row a generator and size of log: the most that one more user moves any answer, and any step of
training, over the bound that is paid for; and the lower bound of epsilon that an attacker shows at
the claim, with a quarter of the noise, and where a user's noise follows from the user's place.
Every user is in every batch, so that nothing hides behind sampling.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from fixtures.dp_audit import Moved, epsilon_lower_bound, moved, neighbours, replayed, scores
from fixtures.shop_logs import shop_log

from eventlog.privacy.noise import UserStreams
from generators.base import Generator
from generators.models.gan import Gan
from generators.models.markov import Markov
from generators.models.transformer import Transformer
from generators.models.vae import Vae

NET = {"width": 24, "layers": 1, "private_epochs": 2, "private_rows": 16, "batch_users": 100_000}
MAKE: dict[str, Callable[[], Generator]] = {
    "markov": Markov,
    "vae": lambda: Vae(latent=6, **NET),
    "gan": lambda: Gan(
        latent=6, private_generator_steps=2, critic_steps=2, adversarial_width=32, **NET
    ),
    "transformer": lambda: Transformer(heads=2, **NET),
}
HEAD = (
    "model",
    "users",
    "answers",
    "counts moved",
    "steps moved",
    "mu used / paid",
    "epsilon shown",
    "quarter of the noise",
    "noise by place: steps moved",
    "epsilon shown",
    "CPU s",
)


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default=",".join(MAKE))
    parser.add_argument("--users", default="100,150,300")
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--trials", type=int, default=400_000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD), flush=True)
    for name in args.models.split(","):
        for users in map(int, args.users.split(",")):
            print("| " + " | ".join(row(name, users, args.epsilon, args.trials)) + " |", flush=True)


def row(name: str, users: int, epsilon: float, trials: int) -> list[str]:
    """One generator on one size of log."""
    began = time.process_time()
    log = shop_log(users=users, items=40, seed=4)
    odd = [
        neighbours(log, place, rows=rows)
        for place, rows in (("first", 60), ("middle", 60), ("last", 2_000))
    ]
    worlds = replayed(MAKE[name], log, *odd, epsilon=epsilon)
    found, delta = [moved(worlds[0], w) for w in worlds[1:]], worlds[0].privacy["delta"]
    best = max(found, key=lambda m: m.mu)
    shown = [
        epsilon_lower_bound(*scores(best, trials=trials, weaker=w), delta=delta) for w in (1.0, 4.0)
    ]
    broken = _by_place(name, log, odd[0], epsilon)
    by_place = ["–", "–"]
    if broken is not None:
        by_place = [
            f"{_most(broken, True):.2f}",
            f"{epsilon_lower_bound(*scores(broken, trials=trials), delta=delta):.2f}",
        ]
    steps = max(_most(m, True) for m in found)
    return [
        name,
        str(users),
        str(len(best.what)),
        f"{max(_most(m, False) for m in found):.6f}",
        f"{steps:.6f}" if steps else "–",
        f"{best.mu / best.allowed:.2f}",
        *(f"{s:.2f}" for s in shown),
        *by_place,
        f"{time.process_time() - began:.0f}",
    ]


def _most(found: Moved, steps: bool) -> float:
    """The most that an answer moved over its bound: of the steps of a training, or of the
    counts.
    """
    of = np.array([w.startswith("step ") for w in found.what]) == steps
    return float((found.distance / found.bound)[of].max(initial=0.0))


def _by_place(name: str, log: object, odd: object, epsilon: float) -> Moved | None:
    """What one user more moves where each user's noise follows from their place, as it did before;
    None without training.
    """
    if name == "markov":
        return None
    right = UserStreams.__init__

    def by_place(self: UserStreams, secret: bytes, ids: list[str], purpose: str) -> None:
        right(self, secret, [str(k) for k in range(len(ids))], purpose)

    UserStreams.__init__ = by_place  # type: ignore[method-assign, assignment]
    try:
        return moved(*replayed(MAKE[name], log, odd, epsilon=epsilon))  # type: ignore[arg-type]
    finally:
        UserStreams.__init__ = right  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
