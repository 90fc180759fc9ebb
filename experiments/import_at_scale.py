"""What do a large import and the commands after it cost, alone and beside DuckDB and Polars?

Usage::

    python experiments/import_at_scale.py WORK --rows 50000000
        [--format csv|jsonl] [--steps import,check,describe,clean,encode,duckdb,polars] [--seed 1]
        [--visits]

Writes WORK/events.FORMAT of users in random order (1,500,000 users and 100,000 items to 50 million
rows; nearly each row is a session of its own), or with --visits as a shop writes it: by time, six
rows a session, 20 rows a user, one of 20,000 items, and a device. Runs each step in a process of
its own with one thread, prints its CPU seconds, its peak memory and the bytes that it wrote, and
removes what it wrote. `duckdb` and `polars` read the file, sort it by user and time, and write
Parquet with zstd; Polars need not be installed in the environment of this project:
`--polars PYTHON` names one that has it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

ROWS_PER_USER, ROWS_PER_ITEM = 33, 500
ROWS_PER_VISIT, ROWS_PER_VISITOR, ITEMS_VISITED = 6, 20, 20_000
SECONDS_APART = 40  # rows of a session
BLOCK = 1_000_000  # rows that are written at once
DAYS = 180
EVENTS = ("view_item", "add_to_cart", "purchase")
THREADS = ("OMP_NUM_THREADS", "ARROW_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS")

ENCODE = """
import sys
from eventlog.encode import Encoder
encoder = Encoder.fit(sys.argv[1])
print(encoder.encode(sys.argv[1], out=sys.argv[2]))
"""
DUCKDB = """
import sys, duckdb
source, out, folder = sys.argv[1:]
sql = duckdb.connect(config={"threads": 1, "temp_directory": folder, "memory_limit": "2GB"})
sql.execute("SET enable_progress_bar = false")
read = "read_json" if source.endswith("jsonl") else "read_csv"
sql.execute(
    f"COPY (SELECT * FROM {read}('{source}') ORDER BY user_id, timestamp) TO '{out}' "
    "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
)
"""
POLARS = """
import sys, polars as pl
source, out, _ = sys.argv[1:]
if source.endswith("jsonl"):
    table = pl.scan_ndjson(source).with_columns(pl.col("timestamp").str.to_datetime())
else:
    table = pl.scan_csv(source, try_parse_dates=True)
table = table.sort("user_id", "timestamp", maintain_order=True).collect()
table.write_parquet(out, compression="zstd", compression_level=1)
"""


def blocks(rows: int, seed: int) -> Iterator[pa.Table]:
    """Yield the rows of the file; users and times are in random order."""
    rng = np.random.default_rng(seed)
    start = np.datetime64("2026-01-01", "ms").astype(np.int64)
    for first in range(0, rows, BLOCK):
        n = min(BLOCK, rows - first)
        time = start + rng.integers(0, DAYS * 86_400_000, n)
        text = pa.array(np.datetime_as_string(time.astype("datetime64[ms]")))
        yield pa.table(
            {
                "user_id": pa.array(rng.integers(0, rows // ROWS_PER_USER + 1, n)).cast("string"),
                "timestamp": text,
                "event": pa.array(np.array(EVENTS)[rng.choice(3, n, p=(0.9, 0.07, 0.03))]),
                "item_id": pc.binary_join_element_wise(
                    "i", pa.array(rng.integers(0, rows // ROWS_PER_ITEM + 1, n)).cast("string"), ""
                ),
                "price": np.round(rng.lognormal(3, 1, n), 2),
            }
        )


def visits(rows: int, seed: int) -> Iterator[pa.Table]:
    """Yield the rows of the file as a shop writes it, each block after the one before."""
    rng = np.random.default_rng(seed)
    start = np.datetime64("2026-01-01", "ms").astype(np.int64)
    span = DAYS * 86_400_000 * BLOCK // max(rows, BLOCK)  # ms in a block
    for number, first in enumerate(range(0, rows, BLOCK)):
        n = min(BLOCK, rows - first)
        length = rng.geometric(1 / ROWS_PER_VISIT, n)
        visit = np.repeat(np.arange(n), length)[:n]
        user = rng.integers(0, rows // ROWS_PER_VISITOR + 1, n)[visit]
        gaps = rng.exponential(1_000 * SECONDS_APART, n).astype(np.int64).cumsum()
        since = gaps - gaps[np.searchsorted(visit, visit)]
        time = start + number * span + rng.integers(0, span, n)[visit] + since
        order = np.argsort(time, kind="stable")
        user, time = user[order], time[order]
        items = rng.zipf(1.3, n) % ITEMS_VISITED
        yield pa.table(
            {
                "user_id": pa.array(user).cast("string"),
                "timestamp": pa.array(np.datetime_as_string(time.astype("datetime64[ms]"))),
                "event": pa.array(np.array(EVENTS)[rng.choice(3, n, p=(0.9, 0.07, 0.03))]),
                "item_id": pc.binary_join_element_wise("i", pa.array(items).cast("string"), ""),
                "price": np.round(5 + items % 97 * 1.37, 2),
                "device": pa.array(np.array(["mobile", "desktop", "tablet"])[user % 3]),
            }
        )


def _json(table: pa.Table) -> pa.ChunkedArray:
    """Return each row as a line with a JSON object."""
    pieces: list[pa.ChunkedArray | str] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        quote = '"' if pa.types.is_string(column.type) else ""
        pieces += [f'{", " if pieces else "{"}"{name}": {quote}', column.cast(pa.string()), quote]
    return pc.binary_join_element_wise(*pieces, "}\n", "")


def write(path: Path, tables: Iterator[pa.Table]) -> None:
    """Write the file as CSV, or as JSON lines where its name says so."""
    with open(path, "wb") as file:
        for i, table in enumerate(tables):
            if path.suffix == ".csv":
                pacsv.write_csv(table, file, pacsv.WriteOptions(include_header=i == 0))
            else:
                file.writelines(line.encode() for line in _json(table).to_pylist())


def make(path: Path, rows: int, seed: int, *, visited: bool) -> None:
    """Write the file of one of both kinds."""
    write(path, (visits if visited else blocks)(rows, seed))


def cost(arguments: list[str]) -> tuple[float, float]:
    """Run a process; return its CPU seconds and its peak memory in MiB."""
    settings = {**os.environ, **dict.fromkeys(THREADS, "1")}
    pid = os.posix_spawn(arguments[0], arguments, settings)
    _, status, used = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{arguments} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def size_of(path: Path) -> int:
    """Return the bytes of a file or of a folder's files."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(p.stat().st_size for p in files if p.is_file())


def main() -> None:
    """Make the file, run the steps and print what each takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="a new folder, removed at the end")
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--visits", action="store_true", help="sessions of several rows, by time")
    parser.add_argument("--format", choices=("csv", "jsonl"), default="csv")
    parser.add_argument("--steps", default="import,check,describe,clean,encode,duckdb")
    parser.add_argument("--polars", default=sys.executable, help="a Python that has Polars")
    given = parser.parse_args()
    given.work.mkdir(parents=True)
    source, log = given.work / f"events.{given.format}", str(given.work / "log")
    out = given.work / "out"
    here = [sys.executable, "-m", "eventlog"]
    sorted_by = [str(source), str(out), str(given.work)]
    steps = {
        "import": [*here, "import", str(source), "--out", log],
        "check": [*here, "check", log],
        "describe": [*here, "describe", log],
        "clean": [*here, "clean", log, "--out", str(out)],
        "encode": [sys.executable, "-c", ENCODE, log, str(out)],
        "duckdb": [sys.executable, "-c", DUCKDB, *sorted_by],
        "polars": [given.polars, "-c", POLARS, *sorted_by],
    }
    try:
        # In a process of its own: what this one takes at most would count as its children's peak.
        with ProcessPoolExecutor(1) as pool:
            pool.submit(make, source, given.rows, given.seed, visited=given.visits).result()
        print(f"{given.rows:,} rows, {size_of(source) / 1e6:,.0f} MB", flush=True)
        for step in given.steps.split(","):
            seconds, peak = cost(steps[step])
            made = Path(log) if step == "import" else out
            written = size_of(made) / 1e6 if made.exists() else 0
            print(
                f"{step}: {seconds:.1f} CPU s, {given.rows / seconds:,.0f} rows a CPU second, "
                f"peak {peak:,.0f} MiB, wrote {written:,.0f} MB",
                flush=True,
            )
            if out.is_dir():
                shutil.rmtree(out)
            out.unlink(missing_ok=True)
    finally:
        shutil.rmtree(given.work)


if __name__ == "__main__":
    main()
