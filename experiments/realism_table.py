"""How does the default shop with several seeds compare with real logs? The realism table.

Usage::

    python experiments/realism_table.py [--users 10000] [--days 60] [--seeds 7,11,23] [LOG ...]

Prints Markdown. The scorecard itself is `python -m simulator realism LOG --json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def scorecard(log: Path) -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, "-m", "simulator", "realism", str(log), "--json"],
        capture_output=True,
        text=True,
    )
    if not run.stdout.startswith("{"):
        raise SystemExit(run.stderr)
    card: dict[str, Any] = json.loads(run.stdout)
    return card


def cell(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "–"
    return f"{row['value']:.3g}" + ("" if row["inside"] else "*")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seeds", default="7,11,23")
    parser.add_argument("logs", nargs="*", type=Path, metavar="LOG")
    arguments = parser.parse_args()
    cards = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds.split(","):
            log = Path(folder) / seed
            size = ["--users", str(arguments.users), "--days", str(arguments.days), "--seed", seed]
            command = [sys.executable, "-m", "simulator", "run", *size, "--out", str(log)]
            subprocess.run(command, check=True, stdout=sys.stderr)  # standard output is the table's
            cards[f"seed {seed}"] = scorecard(log)
    for log in arguments.logs:
        cards[log.name] = scorecard(log)
    print("| fact | range | source | " + " | ".join(cards) + " |")
    print("|---|---|---|" + "---|" * len(cards))
    for rows in zip(*(card["facts"] for card in cards.values()), strict=True):
        first = rows[0]
        values = " | ".join(cell(row) for row in rows)
        print(
            f"| {first['name']} | {first['low']:g} to {first['high']:g} | {first['source']} | "
            f"{values} |"
        )
    counts = []
    for card in cards.values():
        shown = [row for row in card["facts"] if row["value"] is not None]
        counts.append(f"{sum(row['inside'] for row in shown)} of {len(shown)}")
    print("| **inside** | | | " + " | ".join(counts) + " |")


if __name__ == "__main__":
    main()
