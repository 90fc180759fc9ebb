"""Train and rank models and generators on event logs."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime.console import Parser, as_typed, note, run, seed
from eventlog._runtime.errors import InputError

Commands = argparse._SubParsersAction  # of the parser, which adds its subcommands


def parser() -> Parser:
    """Return the parser of the command line."""
    top = Parser(
        prog="python -m benchmark",
        description=__doc__,
        epilog="example:\n  python -m benchmark run --suite all --profile smoke",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (
        _add_run,
        _add_leaderboard,
        _add_view,
        _add_ceilings,
        _add_compare,
        _add_merge,
        _add_list,
    ):
        add(commands)
    return top


def main(argv: list[str]) -> int:
    """Parse and run one subcommand."""
    arguments = parser().parse_args(argv)
    return int(arguments.run(arguments) or 0)


def _add_run(commands: Commands) -> None:
    add = commands.add_parser(
        "run",
        help="run a suite: train, test and rank what has no result yet",
        description=(
            "Run a suite. Finished cells are never run again unless what decides their result "
            "changed."
        ),
        epilog="examples:\n  python -m benchmark run --suite all\n"
        "  python -m benchmark run --suite recommendation --log mylog --models "
        "popularity,lstm,./mine.py",
    )
    add.add_argument("--suite", default="all", help="a suite's name or TOML file (default: all)")
    add.add_argument("--log", metavar="LOG", help="a log folder that replaces the suite's logs")
    add.add_argument(
        "--tasks",
        metavar="A,B",
        type=_names,
        help="tasks by name or file, instead of the suite's; trains no generator",
    )
    add.add_argument(
        "--models",
        metavar="A,B",
        type=_names,
        help="models by name or file, instead of the suite's; trains no generator",
    )
    add.add_argument(
        "--generators",
        metavar="A,B",
        type=_names,
        help=(
            "generators by name or file, instead of the suite's; 'none' for none. With --models or "
            "--tasks alone none is trained."
        ),
    )
    add.add_argument(
        "--seeds",
        metavar="N|A,B",
        type=_seeds,
        help="how many seeds (3 means 0, 1, 2), or a list of them",
    )
    add.add_argument(
        "--profile",
        default="default",
        help="smoke (a quick look), default (about 10 minutes on 2 cores), published or full",
    )
    _add_set(add, ", as in settings.models.lstm.budget=5")
    add.add_argument("--engine", default="processes", help="processes (default), serial or dask")
    add.add_argument(
        "--address",
        metavar="tcp://HOST:PORT",
        help="scheduler of a Dask cluster (default: one on this machine)",
    )
    add.add_argument(
        "--shared",
        metavar="URL",
        help="where workers without a common disk keep logs and data: s3://, gs://, ... (fsspec)",
    )
    add.add_argument(
        "--workers", type=_positive, metavar="N", help="cells at a time (default: cores)"
    )
    add.add_argument(
        "--out", default="results", metavar="DIR", help="where results are kept (default: results)"
    )
    add.add_argument(
        "--track",
        metavar="A,B",
        type=_names,
        default=[],
        help="pass what each model reaches and costs to mlflow, tensorboard or wandb as well",
    )
    add.set_defaults(run=_run)


def _add_results(add: argparse.ArgumentParser) -> None:
    add.add_argument(
        "results", nargs="?", default="results", help="a results folder (default: results)"
    )


def _add_set(add: argparse.ArgumentParser, example: str = "") -> None:
    add.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="settings",
        help=f"override anything in the suite{example}; may be repeated",
    )


def _add_leaderboard(commands: Commands) -> None:
    add = commands.add_parser(
        "leaderboard",
        help="write leaderboard.md, and leaderboard/index.html with tables that sort and plots",
        description=(
            "Write the leaderboard of a results folder: DIR/leaderboard.md and "
            "DIR/leaderboard/index.html."
        ),
        epilog="example:\n  python -m benchmark leaderboard results --out docs",
    )
    _add_results(add)
    add.add_argument(
        "--out", default="docs", metavar="DIR", help="folder for leaderboard.md (default: docs)"
    )
    add.set_defaults(run=_leaderboard)


def _add_view(commands: Commands) -> None:
    add = commands.add_parser(
        "view",
        help="open the leaderboard of a results folder in the browser",
        description=(
            "Write the leaderboard of a results folder into it and open it in the browser: "
            "RESULTS/leaderboard/index.html, which needs no network."
        ),
        epilog="example:\n  python -m benchmark view results",
    )
    _add_results(add)
    add.set_defaults(run=_view)


def _add_ceilings(commands: Commands) -> None:
    add = commands.add_parser(
        "ceilings",
        help="make the stored ceilings of a suite's simulated logs anew",
        description=(
            "Learn what the history, and the slate, allow on each simulated log of a suite, from "
            "many more users of the same shop, and store the scores beside the program."
        ),
        epilog="example:\n  python -m benchmark ceilings --suite all --users 100000",
    )
    add.add_argument("--suite", default="all", help="a suite's name or TOML file (default: all)")
    add.add_argument(
        "--profile",
        default="default",
        help="smoke, default (the default), published or full",
    )
    add.add_argument(
        "--users",
        type=_positive,
        default=30_000,
        metavar="N",
        help="users of the same shop to learn from (default: 30000)",
    )
    _add_set(add)
    add.add_argument("--out", metavar="DIR", help="folder to write to (default: the program's)")
    add.set_defaults(run=_ceilings)


def _add_compare(commands: Commands) -> None:
    add = commands.add_parser(
        "compare",
        help="what changed between two results folders",
        description="What changed between two results folders, and whether it is more than noise.",
        epilog="example:\n  python -m benchmark compare results-monday results-friday",
    )
    add.add_argument("a")
    add.add_argument("b")
    add.set_defaults(run=_compare)


def _add_merge(commands: Commands) -> None:
    add = commands.add_parser(
        "merge",
        help="put the results of several machines together",
        description=(
            "Make one results folder of several, such as those of machines that ran a part of a "
            "plan each."
        ),
        epilog="example:\n  python -m benchmark merge results-a results-b --out results",
    )
    add.add_argument(
        "results",
        nargs="+",
        metavar="RESULTS",
        help="results folders; the first good record of a cell is kept",
    )
    add.add_argument("--out", required=True, metavar="DIR", help="a new results folder")
    add.set_defaults(run=_merge)


def _add_list(commands: Commands) -> None:
    add = commands.add_parser(
        "list",
        help="suites, tasks, models, generators and scenarios, one line each",
        description=(
            "Everything that is registered, one line each; with --suite, which differences between "
            "models its tables can tell apart."
        ),
        epilog="examples:\n  python -m benchmark list\n"
        "  python -m benchmark list --suite churn --profile full\n"
        "  python -m benchmark list --schema > suite.schema.json",
    )
    add.add_argument(
        "--schema",
        action="store_true",
        help="print the JSON schema of a suite file, for an editor that completes and checks it",
    )
    add.add_argument(
        "--suite", help="say which difference each table of this suite resolves at 80 %% power"
    )
    add.add_argument(
        "--profile",
        default="default",
        help="with --suite: smoke, default (default), published or full",
    )
    add.add_argument(
        "--results",
        default="results",
        metavar="DIR",
        help="with --suite: take it from these results, where they are of it (default: results)",
    )
    add.set_defaults(run=_list)


def _run(arguments: argparse.Namespace) -> int:
    from benchmark.execution import runner
    from benchmark.execution.outcome import summary
    from benchmark.execution.results import Store
    from benchmark.report import generated_section, leaderboard, terminal
    from benchmark.report.aggregate import boards

    generators = [] if arguments.generators == ["none"] else arguments.generators
    outcome = runner.run_suite(
        arguments.suite,
        log=arguments.log,
        tasks=arguments.tasks,
        models=arguments.models,
        seeds=arguments.seeds,
        generators=generators,
        profile=arguments.profile,
        engine_name=arguments.engine,
        workers=arguments.workers,
        address=arguments.address,
        shared=arguments.shared,
        out=arguments.out,
        settings=arguments.settings,
        track=arguments.track,
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
    _next(arguments, page)
    return 1 if outcome.failed or outcome.blocked else 0


def _next(arguments: argparse.Namespace, page: Path) -> None:
    """Print where the results are, and what to do with them."""
    from eventlog._runtime import terminal

    terminal.files(
        {
            "every table, as text": page,
            "tables that filter, plots, downloads": page.parent / "leaderboard" / "index.html",
        }
    )
    log = f" --log {arguments.log}" if arguments.log else ""
    terminal.suggest(
        {
            f"python -m benchmark view {arguments.out}": "open the page in the browser",
            f"python -m benchmark run{log} --models ./mine.py": "rank a model of your own",
            f"python -m benchmark run{log} --seeds 3": "test whether the order is chance",
        }
    )


def _leaderboard(arguments: argparse.Namespace) -> None:
    from benchmark.execution.results import Store
    from benchmark.report import leaderboard

    print(leaderboard.write(Store(arguments.results), Path(arguments.out)))


def _view(arguments: argparse.Namespace) -> None:
    import webbrowser

    from benchmark.execution.results import Store
    from benchmark.report import leaderboard

    folder = Path(arguments.results)
    leaderboard.write(Store(folder), folder)
    page = (folder / "leaderboard" / "index.html").resolve()
    print(page)
    if not webbrowser.open(page.as_uri()):
        note("No browser was found; open the file above yourself.")


def _ceilings(arguments: argparse.Namespace) -> None:
    from benchmark import suite as suites
    from benchmark.execution.ceilings import make_ceilings

    suite = suites.load(arguments.suite, profile=arguments.profile, overrides=arguments.settings)
    out = None if arguments.out is None else Path(arguments.out)
    for line in make_ceilings.make(suite, users=arguments.users, out=out):
        print(line, flush=True)


def _compare(arguments: argparse.Namespace) -> None:
    from benchmark.execution.results import Store
    from benchmark.report import compare

    for line in compare.lines(Store(arguments.a), Store(arguments.b)):
        print(line)


def _merge(arguments: argparse.Namespace) -> None:
    from benchmark.execution import results

    store = results.merge(arguments.results, arguments.out)
    cells = store.plan()["cells"]
    print(
        f"{arguments.out}: {sum(store.finished(c['key']) is not None for c in cells)} of "
        f"{len(cells)} cells finished"
    )


def _list(arguments: argparse.Namespace) -> None:
    if arguments.schema:
        import json

        from benchmark.suite import SuiteFile
        from eventlog._runtime.settings import json_schema

        print(json.dumps(json_schema(SuiteFile), indent=2))
        return
    if arguments.suite:
        from benchmark.report import resolution

        for line in resolution.lines(
            arguments.suite, profile=arguments.profile, results=arguments.results
        ):
            print(line)
        return
    from benchmark.report import listing

    for line in listing.lines():
        print(line)


def _names(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(",")) if name]


def _seeds(text: str) -> list[int]:
    """Return the seeds that "3" (0, 1, 2) or "3,7" means."""
    given = [seed(part) for part in text.split(",") if part.strip()]
    if "," in text and given:
        return given
    if not given or given[0] < 1:
        raise argparse.ArgumentTypeError(f"{text!r} asks for no seed")
    return list(range(given[0]))


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


if __name__ == "__main__":
    run(main)
