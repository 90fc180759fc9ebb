"""Do the sales of the simulated shop follow its prices as the scenario says?

Usage::

    python experiments/elasticities.py [--sensitivities 0,1,2,4,6] [--seeds 4] [--users 4000]

For each `shoppers.price_sensitivity` and seed, three worlds that share their shoppers and their
luck: reference prices; a price test that raises a random 30 % of the items by a quarter; all prices
raised by a quarter. An elasticity is the change of log units per change of log price; with 95 %
intervals over seeds, paired. Prints Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np

import simulator
from benchmark.report.closed_loop_section import ratio

RISE = 0.25
# Who has filled a cart checks out more often: more orders to count, and no other choice.
WORLD = {"checkout.begin": -1.0, "fraud.share": 0.0, "truth.programme": False}
TEST = {"pricing.test_share": 0.3, "pricing.test_change": RISE}
ALL = {"pricing.level": 1 + RISE}


def sold(arguments: argparse.Namespace, seed: int, settings: dict[str, Any]) -> tuple[Any, Any]:
    """Return units sold by item, and the prices of the items."""
    log = simulator.simulate(
        "shop",
        users=arguments.users,
        days=arguments.days,
        seed=seed,
        settings={**WORLD, **settings},
    )
    lines = log.events[log.events["event"] == "purchase"]
    units = lines.groupby(lines["item_id"].astype(str))["quantity"].sum()
    prices = log.items.set_index(log.items["item_id"].astype(str))["price"]
    return units.reindex(prices.index, fill_value=0).to_numpy(), prices.to_numpy()


def row(arguments: argparse.Namespace, sensitivity: float) -> list[str]:
    """Return the elasticities at a price sensitivity as cells of a table."""
    setting = {"shoppers.price_sensitivity": sensitivity}
    units: dict[str, list[tuple[float, float]]] = {"own": [], "cross": [], "all": []}
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        base, price = sold(arguments, seed, setting)
        test, raised = sold(arguments, seed, setting | TEST)
        everything, _ = sold(arguments, seed, setting | ALL)
        tested = raised > (1 + RISE / 2) * price
        units["own"].append((base[tested].sum(), test[tested].sum()))
        units["cross"].append((base[~tested].sum(), test[~tested].sum()))
        units["all"].append((base.sum(), everything.sum()))
    cells = [f"{sensitivity:g}", f"{sum(before for before, _ in units['all']):,.0f}"]
    for pairs in units.values():
        found = np.log(ratio(*np.array(pairs, dtype=np.float64).T)) / np.log1p(RISE)
        cells.append("{:.2f} [{:.2f}, {:.2f}]".format(*found))
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sensitivities", default="0,1,2,4,6")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=5)
    parser.add_argument("--users", type=int, default=4_000)
    parser.add_argument("--days", type=int, default=24)
    arguments = parser.parse_args()
    start = time.process_time()
    print("| `price_sensitivity` | units at reference prices | own | cross | all prices |")
    print("|---|---|---|---|---|")
    for sensitivity in map(float, arguments.sensitivities.split(",")):
        print("| " + " | ".join(row(arguments, sensitivity)) + " |", flush=True)
    print(f"{time.process_time() - start:.0f} CPU seconds", file=sys.stderr)


if __name__ == "__main__":
    main()
