"""Does a sample have the figures that an analyst takes first?

Usage::

    python experiments/analyst_figures.py LOG [--models markov,vae] [--users 1500] [--samples 2]

LOG is a folder, a file or `online-retail`, the log that ships. Half of `--users` of its users are
learnt from, and as many are sampled. Prints Markdown, beside the two real halves: revenue and
orders a user as shares of those of the users that were learnt from; the absolute error of weekly
revenue and of retention; refunds of an item that the user had not bought.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from detect_by_trees import halves, options

import generators
from eventlog import EventLog
from generators.evaluation import analyst
from generators.evaluation.align import AlignedLog, align_logs

TITLES = ("revenue", "orders", "weekly revenue", "retention", "refunds without a purchase")


def refunds_without_purchase(log: AlignedLog) -> float:
    """Return the share of refunds of items that the user has not bought before; NaN without any."""
    item = log.codes["item_id"].astype(np.int64)
    pair = log.user * (item.max() + 2) + item + 1
    refund, bought = log.is_role("refund"), log.is_role("purchase")
    first = pd.Series(np.flatnonzero(bought)).groupby(pair[bought]).min()
    rows = np.flatnonzero(refund)
    before = first.reindex(pair[rows]).to_numpy()
    return float(1 - (before < rows).mean()) if len(rows) else float("nan")


def figures(learnt: EventLog, other: EventLog) -> list[float]:
    """Return the figures of TITLES of `other`, compared with those of `learnt`."""
    real, made = align_logs(learnt, other)
    revenue, orders = (
        [of(log).sum() / log.n_users for log in (real, made)]
        for of in (analyst.revenue_of_rows, analyst.orders_per_customer)
    )
    off = analyst.measures(real, made)
    return [
        revenue[1] / revenue[0],
        orders[1] / orders[0],
        off["weekly_revenue_wmape"],
        off["retention_error"],
        refunds_without_purchase(made),
    ]


def main() -> None:
    """Fit the models and print their figures."""
    parser = options(str(__doc__))
    parser.add_argument("--samples", type=int, default=2)
    arguments = parser.parse_args()
    learnt, held = halves(arguments)
    print(f"{len(learnt):,} rows to learn from\n")
    print("| | " + " | ".join(TITLES) + " |")
    print("|---" * (len(TITLES) + 1) + "|")
    rows = {"the users learnt from": learnt, "the other real half": held}
    for name, of in rows.items():
        _show(name, figures(learnt, of))
    for name in arguments.models.split(","):
        model = generators.fit(learnt, model=name, seed=arguments.seed)
        for k in range(arguments.samples):
            users = learnt.events["user_id"].nunique()
            _show(f"{name}, sample {k + 1}", figures(learnt, model.sample(users, seed=10 + k)))


def _show(name: str, values: list[float]) -> None:
    print(f"| {name} | " + " | ".join(f"{v:.3f}" for v in values) + " |", flush=True)


if __name__ == "__main__":
    main()
