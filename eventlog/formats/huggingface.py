"""A folder that `datasets.load_dataset(PATH, "events")` reads, with a card for the Hub.

Each table is a configuration with one split. See
https://huggingface.co/docs/hub/datasets-manual-configuration.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from eventlog.log import TABLES, EventLog, part_bounds, write_parquet

FOLDER = True
ROWS_PER_FILE = 1_000_000
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))


def write(log: EventLog, folder: Path, name: str) -> None:
    """Write the tables of the data set `name` as Parquet, and its card."""
    bounds = list(part_bounds(log.events, ROWS_PER_FILE))
    for number, (start, stop) in enumerate(bounds):
        file = folder / "events" / f"events-{number:05d}-of-{len(bounds):05d}.parquet"
        write_parquet(file, log.events.iloc[start:stop])
    given = ["events", *(t for t in TABLES if getattr(log, t) is not None)]
    for table in given[1:]:
        write_parquet(folder / table / f"{table}.parquet", getattr(log, table))
    (folder / "README.md").write_text(_card(log, name, given), encoding="utf-8", newline="\n")


def _card(log: EventLog, name: str, tables: list[str]) -> str:
    rows = len(log)
    size = next((text for most, text in SIZES if rows < most), "1M<n<10M")
    size = size if rows < 10**7 else "10M<n<100M"
    lines = ["---", f"pretty_name: {json.dumps(name, ensure_ascii=False)}"]
    lines += ["tags:", "- e-commerce", "- event-log", "size_categories:", f"- {size}", "configs:"]
    for table in tables:
        lines += [f"- config_name: {table}"]
        lines += ["  default: true"] if table == "events" else []
        lines += ["  data_files:", "  - split: train", f'    path: "{table}/*.parquet"']
    first, last = log.span
    lines += ["---", "", f"# {name}", ""]
    lines += [
        f"An event log of a shop: {rows:,} events of {log.events['user_id'].nunique():,} users, "
        f"{first:%Y-%m-%d} to {last:%Y-%m-%d} (UTC).",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        f'events = load_dataset("{name}", "events", split="train")',
        "```",
        "",
        "| table | rows | columns |",
        "|---|---|---|",
    ]
    for table in tables:
        frame: pd.DataFrame = getattr(log, table)
        columns = ", ".join(f"`{c}`" for c in frame).replace("|", "\\|")
        lines.append(f"| {table} | {len(frame):,} | {columns} |")
    for key in ("made_by", "privacy"):
        if isinstance(log.manifest.get(key), str):
            lines += ["", f"{key.replace('_', ' ').capitalize()}: {log.manifest[key]}"]
    return "\n".join([*lines, ""])
