"""python -m simulator run."""

from __future__ import annotations

import argparse

from eventlog._runtime.commands import documented, picked
from eventlog._runtime.console import Parser, add_out, seed

SUMMARY = "simulate a log"
DESCRIPTION = (
    "Simulate a log and write it as a folder. The same arguments give the same bytes, whatever "
    "--workers is."
)
EXAMPLES = """example:
  python -m simulator run --scenario shop --users 10000 --days 60 --seed 7 \\
      --set fraud.share=0.03 --out mylog"""
OPTIONS = """
--scenario SCENARIO        a name that 'scenarios' lists, or your own TOML file (default: shop)
--users USERS              number of shoppers
--days DAYS                number of days
--seed SEED                seed of all random draws
--workers WORKERS          number of processes (default: 1)
--engine ENGINE            serial, processes or dask (default: processes)
--address tcp://HOST:PORT  address of the dask scheduler, with --engine dask; all workers must see
                           --out
--set KEY=VALUE            change a setting of the scenario; may be repeated ('scenarios --keys'
                           lists them)
--policy POLICY            what decides which items each user sees: random, trending, markov, ease,
                           taste (an oracle), own (the shop's own recommender, the default) or your
                           own Python file
--policy-from DAY          first day of the policy; before it the shop's own recommender is at work
                           (default: 0, the first day)
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("--scenario", default="shop")
    add("--users", type=int, required=True)
    add("--days", type=int, required=True)
    add("--seed", type=seed, required=True)
    add("--workers", type=int, default=1)
    add("--engine", default="processes")
    add("--address")
    add("--set", action="append", default=[])
    add("--policy")
    add("--policy-from", type=int, default=0)
    add_out(parser, "LOG", "folder to write the log to")


def run(arguments: argparse.Namespace) -> None:
    """Simulate, and say how much and how fast."""
    import time

    from eventlog._runtime import terminal
    from eventlog._runtime.files import check_replaceable, read_json
    from eventlog._runtime.garbage import importing

    with importing():
        from simulator import api
        from simulator.scenario import parse_settings

    check_replaceable(arguments.out, overwrite=arguments.overwrite)
    begin = time.monotonic()
    out = api.run(
        arguments.scenario,
        settings=parse_settings(arguments.set),
        **picked(arguments, "users", "days", "seed", "policy", "policy_from"),
        **picked(arguments, "workers", "engine", "address", "out", "overwrite"),
    )
    files = read_json(out / "manifest.json")["files"]
    rows = sum(entry["rows"] for name, entry in files.items() if name.startswith("events/"))
    seconds = time.monotonic() - begin
    made = f"{rows:,} events of {arguments.users:,} users over {arguments.days} days"
    print(f"{out}: {made} in {seconds:.1f} s ({rows / seconds:,.0f} rows/s)")
    terminal.suggest(
        {
            f"python -m eventlog describe {out}": "what is in it",
            f"python -m simulator realism {out}": "how like a real shop's log it is",
            f"python -m benchmark run --log {out} --profile smoke": "rank models on it",
        }
    )
