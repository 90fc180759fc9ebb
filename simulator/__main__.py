"""The command line `python -m simulator`: run, scenarios, realism, calibrate, audit."""

from __future__ import annotations

import argparse

from eventlog._runtime import console
from eventlog._runtime.errors import InputError

Commands = argparse._SubParsersAction  # of the parser, which adds its subcommands


def parser() -> console.Parser:
    """Return the parser of the command line."""
    top = console.Parser(
        prog="python -m simulator",
        description="Simulate a shop, its shoppers and its fraudsters, with the truth.",
        epilog="example:\n  python -m simulator run --users 2000 --days 60 --seed 7 --out shoplog",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_run, _add_scenarios, _add_realism, _add_calibrate, _add_audit):
        add(commands)
    return top


def main(argv: list[str]) -> int:
    """Parse and dispatch; each subcommand imports the work that it does."""
    arguments = parser().parse_args(argv)
    work: int = arguments.work(arguments)
    return work


# --- arguments ------------------------------------------------------------------------------------


def _add_run(commands: Commands) -> None:
    run = commands.add_parser(
        "run",
        help="simulate a log",
        description="Simulate a log and write it as a folder. The same arguments give the same "
        "bytes, whatever --workers is.",
        epilog="example:\n  python -m simulator run --scenario shop --users 10000 --days 60 "
        "--seed 7 --set fraud.share=0.03 --out mylog",
    )
    run.add_argument(
        "--scenario",
        default="shop",
        help="a name that 'scenarios' lists, or your own TOML file (default: shop)",
    )
    run.add_argument("--users", type=int, required=True, help="number of shoppers")
    run.add_argument("--days", type=int, required=True, help="number of days")
    run.add_argument("--seed", type=console.seed, required=True, help="seed of all random draws")
    run.add_argument("--workers", type=int, default=1, help="number of processes (default: 1)")
    run.add_argument(
        "--engine", default="processes", help="serial, processes or dask (default: processes)"
    )
    run.add_argument(
        "--address",
        metavar="tcp://HOST:PORT",
        help="address of the dask scheduler, with --engine dask; all workers must see --out",
    )
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting of the scenario; may be repeated ('scenarios --keys' lists them)",
    )
    run.add_argument(
        "--policy",
        help="what decides which items each user sees: random, trending, markov, ease, taste (an "
        "oracle), own (the shop's own recommender, the default) or your own Python file",
    )
    run.add_argument(
        "--policy-from",
        type=int,
        default=0,
        metavar="DAY",
        help="first day of the policy; before it the shop's own recommender is at work (default: "
        "0, the first day)",
    )
    console.add_out(run, "LOG", "folder to write the log to")
    run.set_defaults(work=_run)


def _add_scenarios(commands: Commands) -> None:
    scenarios = commands.add_parser(
        "scenarios",
        help="list the scenarios, or every setting with its range",
        description="List the scenarios, their files and what they are.",
        epilog="examples:\n  python -m simulator scenarios\n  python -m simulator scenarios --keys"
        "\n  python -m simulator scenarios --schema > scenario.schema.json",
    )
    what = scenarios.add_mutually_exclusive_group()
    what.add_argument(
        "--keys", action="store_true", help="list every setting with its default and range instead"
    )
    what.add_argument(
        "--schema",
        action="store_true",
        help="print the JSON schema of a scenario file instead, for editors that check TOML",
    )
    scenarios.set_defaults(work=_scenarios)


def _add_realism(commands: Commands) -> None:
    realism = commands.add_parser(
        "realism",
        help="compare a log with published logs",
        description="Compare a log with what published e-commerce logs show, fact by fact.",
        epilog="examples:\n  python -m simulator realism mylog\n"
        "  python -m simulator realism mylog --against otherlog\n"
        "  python -m simulator realism mylog --json > scorecard.json",
    )
    realism.add_argument("log", metavar="LOG", help="a log folder")
    realism.add_argument(
        "--against",
        metavar="OTHERLOG",
        help="also say how well a detector tells the sessions of the two logs apart, and by what",
    )
    realism.add_argument("--json", action="store_true", help="print JSON instead of a table")
    realism.set_defaults(work=_realism)


def _add_calibrate(commands: Commands) -> None:
    calibrate = commands.add_parser(
        "calibrate",
        help="fit a scenario to your own log",
        description="Fit a scenario to a log by matching its stylised facts. Run the same command "
        "again to continue an interrupted run.",
        epilog="examples:\n  python -m simulator calibrate mylog --out my.toml\n"
        "  python -m simulator calibrate mylog --out my.toml --epsilon 3 --public items\n"
        "  python -m simulator run --scenario ./my.toml --users 10000 --days 60 --seed 1 "
        "--out synthetic",
    )
    calibrate.add_argument("log", metavar="LOG", help="a log folder")
    console.add_out(calibrate, "FILE.toml", "scenario file to write")
    calibrate.add_argument(
        "--trials", type=int, default=60, help="number of simulations at most (default: 60)"
    )
    calibrate.add_argument(
        "--days", type=int, help="match the last DAYS days of the log (default: all, up to 120)"
    )
    calibrate.add_argument(
        "--users", type=int, help="shoppers in each simulation (default: by the size of the log)"
    )
    calibrate.add_argument(
        "--seed", type=console.seed, default=0, help="seed of the simulations (default: 0)"
    )
    calibrate.add_argument(
        "--epsilon",
        type=float,
        help="privacy budget: learn the log's facts under differential privacy for every user",
    )
    calibrate.add_argument(
        "--delta",
        type=float,
        help="with --epsilon (default: min(1e-6, users^-1.5), of a noisy number of users)",
    )
    calibrate.add_argument(
        "--public",
        default="",
        metavar="A,B",
        help="with --epsilon: what is public; 'items' = the catalogue, if the import was given one",
    )
    calibrate.add_argument(
        "--noise-seed",
        type=console.seed,
        help="with --epsilon: makes the noise repeatable; no guarantee against anyone who knows it",
    )
    calibrate.set_defaults(work=_calibrate)


def _add_audit(commands: Commands) -> None:
    audit = commands.add_parser(
        "audit",
        help="check that a simulated log does not give its fraud away",
        description="Check whether a single column, an id or the order of rows gives the fraud of "
        "a simulated log away.",
        epilog="examples:\n  python -m simulator audit mylog\n"
        "  python -m simulator audit mylog --out docs/results/leak-audit.md\n"
        "The exit code is 1 if anything leaks.",
    )
    audit.add_argument("log", metavar="LOG", help="a simulated log folder, with its truth")
    audit.add_argument("--out", metavar="FILE.md", help="also write the audit as a page")
    audit.set_defaults(work=_audit)


# --- work -----------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    import time

    from eventlog._runtime import terminal
    from eventlog._runtime.files import check_replaceable, read_json
    from simulator.api import run
    from simulator.scenario import parse_settings

    check_replaceable(arguments.out, overwrite=arguments.overwrite)
    begin = time.monotonic()
    out = run(
        arguments.scenario,
        users=arguments.users,
        days=arguments.days,
        seed=arguments.seed,
        out=arguments.out,
        workers=arguments.workers,
        engine=arguments.engine,
        address=arguments.address,
        settings=parse_settings(arguments.set),
        overwrite=arguments.overwrite,
        policy=arguments.policy,
        policy_from=arguments.policy_from,
    )
    rows = sum(
        entry["rows"]
        for name, entry in read_json(out / "manifest.json")["files"].items()
        if name.startswith("events/")
    )
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
    return 0


def _scenarios(arguments: argparse.Namespace) -> int:
    from simulator import scenario

    if arguments.schema:
        import json

        print(json.dumps(scenario.file_schema(), indent=2))
        return 0
    if arguments.keys:
        for key, default, low, high, doc in scenario.settings():
            bounds = "" if low is None else f"{low:g} to {high:g}"
            print(f"{key:<30}{default!s:<12}{bounds:<20}{doc}")
        return 0
    for name in scenario.names():
        made = scenario.load(name)
        print(f"{name:<14}{made.description}\n{'':<14}{scenario.file_of(name)}")
    return 0


def _realism(arguments: argparse.Namespace) -> int:
    from eventlog.log import EventLog
    from simulator.realism import scorecard as realism

    log = EventLog.read(arguments.log)
    if len(log) == 0:
        raise InputError(f"{arguments.log} has no events.")
    found = None
    if arguments.against:
        from simulator.realism.detector import detect

        found = detect(log, EventLog.read(arguments.against))
    facts = realism.score(log)
    print(realism.to_json(facts, found) if arguments.json else realism.table(facts))
    if found is not None and not arguments.json:
        print(f"\n{found.table()}")
    return 0


def _calibrate(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from eventlog._runtime.files import check_file_replaceable
    from eventlog.log import EventLog
    from simulator.calibration.calibrate import calibrate
    from simulator.calibration.result import ledger_path

    out = Path(arguments.out)
    if out.suffix != ".toml":
        raise InputError(f"--out is {out}; a scenario file ends in .toml.")
    check_file_replaceable(out, overwrite=arguments.overwrite)
    public = tuple(name for name in arguments.public.split(",") if name)
    fit = calibrate(
        EventLog.read(arguments.log, truth=False),
        trials=arguments.trials,
        epsilon=arguments.epsilon,
        delta=arguments.delta,
        public=public,
        days=arguments.days,
        users=arguments.users,
        seed=arguments.seed,
        noise_seed=arguments.noise_seed,
        keep=out.with_suffix(".trials.jsonl"),
        name=Path(arguments.log).name,
    )
    fit.write(out)
    print(fit.table())
    distances = f"distance {fit.distance_before:.2f} before, {fit.distance:.2f} after"
    print(f"{out}: {distances} {fit.trials} trials")
    if fit.privacy:
        print(f"{ledger_path(out)}: {fit.privacy['statement']}")
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    from eventlog._runtime.files import new_file
    from eventlog.log import EventLog
    from simulator.realism import audit

    log = EventLog.read(arguments.log)
    checks = audit.audit(log)
    print(audit.table(checks))
    if arguments.out:
        with new_file(arguments.out) as path:
            path.write_text(audit.markdown(checks, log), encoding="utf-8")
    return 1 if any(c.passed is False for c in checks) else 0


if __name__ == "__main__":
    console.run(main)
