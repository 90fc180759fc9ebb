"""python -m benchmark run."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime.commands import documented, names, picked, positive, seeds
from eventlog._runtime.console import Parser, as_typed
from eventlog._runtime.errors import InputError

SUMMARY = "run a suite: train, test and rank what has no result yet"
DESCRIPTION = (
    "Run a suite. Finished cells are never run again unless what decides their result changed."
)
EXAMPLES = """examples:
  python -m benchmark run --suite all
  python -m benchmark run --suite recommendation --log mylog --models popularity,lstm,./mine.py"""
OPTIONS = """
--suite SUITE              a suite's name or TOML file (default: all)
--log LOG                  a log folder that replaces the suite's logs
--tasks A,B                tasks by name or file, instead of the suite's; trains no generator
--models A,B               models by name or file, instead of the suite's; trains no generator
--generators A,B           generators by name or file, instead of the suite's; 'none' for none. With
                           --models or --tasks alone none is trained.
--seeds N|A,B              how many seeds (3 means 0, 1, 2), or a list of them
--profile PROFILE          smoke (a quick look), default (10 to 15 minutes on 2 cores), published or
                           full
--set KEY=VALUE            override anything in the suite, as in settings.models.lstm.budget=5; may
                           be repeated
--engine ENGINE            processes (default), serial or dask
--address tcp://HOST:PORT  scheduler of a Dask cluster (default: one on this machine)
--shared URL               where workers without a common disk keep logs and data: s3://, gs://, ...
                           (fsspec)
--workers N                cells at a time (default: cores)
--out DIR                  where results are kept (default: results)
--track A,B                pass what each model reaches and costs to mlflow, tensorboard or wandb as
                           well
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("--suite", default="all")
    add("--log")
    add("--tasks", type=names)
    add("--models", type=names)
    add("--generators", type=names)
    add("--seeds", type=seeds)
    add("--profile", default="default")
    add("--set", dest="settings", action="append", default=[])
    add("--engine", default="processes")
    add("--address")
    add("--shared")
    add("--workers", type=positive)
    add("--out", default="results")
    add("--track", type=names, default=[])


def run(arguments: argparse.Namespace) -> int:
    """Run the suite and show what it found; the exit code is 1 where a cell failed."""
    from benchmark.execution import runner
    from benchmark.execution.outcome import summary
    from benchmark.execution.results import Store
    from benchmark.report import generated_section, leaderboard, terminal
    from benchmark.report.aggregate import boards

    generators = [] if arguments.generators == ["none"] else arguments.generators
    outcome = runner.run_suite(
        arguments.suite,
        generators=generators,
        engine_name=arguments.engine,
        **picked(arguments, "log", "tasks", "models", "seeds", "profile", "settings"),
        **picked(arguments, "workers", "address", "shared", "out", "track"),
        command=runner.command_line(),
    )
    store = Store(arguments.out)
    if outcome.tasks_left_out():
        raise InputError(f"No task of the suite fits the log: {outcome.tasks_left_out()}.")
    found = boards(store, store.plan()["cells"])
    page = leaderboard.write(store, Path(arguments.out), found=found)
    terminal.show(store, found)
    for line in (*generated_section.copiers(store), *summary(outcome)):
        print(as_typed(line))
    _say_what_is_next(arguments, page)
    return 1 if outcome.failed or outcome.blocked else 0


def _say_what_is_next(arguments: argparse.Namespace, page: Path) -> None:
    """Print where the results are, and what to do with them."""
    from eventlog._runtime import terminal

    terminal.files(
        {
            "every table, as text": page,
            "tables that filter, plots, downloads": page.parent / "leaderboard" / "index.html",
        }
    )
    log = f" --log {arguments.log}" if arguments.log else ""
    beside = ",".join([name for name in arguments.models or () if "/" not in name])
    models = f"{beside},./mine.py" if beside else "./mine.py"
    terminal.suggest(
        {
            f"python -m benchmark view {arguments.out}": "open the page in the browser",
            f"python -m benchmark run{log} --models {models}": "rank a model of your own",
            f"python -m benchmark run{log} --seeds 3": "test whether the order is chance",
        }
    )
