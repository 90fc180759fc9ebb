"""Make eventlog/datasets/online-retail from UCI's file, or check that it equals a new import.

    python experiments/make_online_retail.py online_retail.csv.gz [--check]

The import is the project's own (preset online-retail). The files are compressed harder than the
import does, because they are shipped; the rows that it set aside are not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from eventlog import EventLog
from eventlog._runtime.files import sha256, write_json
from eventlog.datasets import load
from eventlog.ingest.ingest import import_file
from eventlog.ingest.mapping import preset

TARGET = Path(__file__).parents[1] / "eventlog" / "datasets" / "online-retail"
SHIPPED = ("events/part-00000.parquet", "items.parquet")
RISING = ("event_id", "timestamp")  # ascending within a user: stored as differences


def main() -> int:
    """Make the dataset, or compare it with a new import."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", type=Path, help="UCI's Online Retail as CSV")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        imported = Path(temporary) / "log"
        import_file(
            arguments.file,
            imported,
            mapping=preset("online-retail"),
            made_with="preset online-retail",
        )
        if not arguments.check:
            ship(imported, TARGET)
        one, two = EventLog.read(imported), load("online-retail")
    pd.testing.assert_frame_equal(one.events, two.events)
    pd.testing.assert_frame_equal(one.items, two.items)
    size = sum(p.stat().st_size for p in TARGET.rglob("*") if p.is_file())
    print(f"{TARGET.name}: {len(two):,} events, {size / 1e6:.2f} MB, equal to the import")
    return 0


def ship(imported: Path, target: Path) -> None:
    """Write the events and items of a log folder with the strongest compression."""
    (target / "events").mkdir(parents=True, exist_ok=True)
    manifest = json.loads((imported / "manifest.json").read_text(encoding="utf-8"))
    files = {}
    for name in SHIPPED:
        table = pq.read_table(imported / name)
        rising = [c for c in RISING if c in table.column_names]
        pq.write_table(
            table,
            target / name,
            compression="zstd",
            compression_level=22,
            store_schema=False,
            use_dictionary=[c for c in table.column_names if c not in rising],
            column_encoding=dict.fromkeys(rising, "DELTA_BINARY_PACKED") or None,
        )
        files[name] = {"rows": table.num_rows, "sha256": sha256(target / name)}
    named = {"title": "Online Retail (UCI)", "licence": "CC BY 4.0"}
    write_json(target / "manifest.json", {**named, **manifest, "files": files})


if __name__ == "__main__":
    sys.exit(main())
