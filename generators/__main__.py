"""Command line: python -m generators share | fit | sample | report | budget | list."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventlog._runtime.console import Parser, add_out, note, run, seed
from eventlog._runtime.errors import InputError
from generators.report.options import add_arguments

if TYPE_CHECKING:
    from eventlog import EventLog

DAYS = 30.0  # how long a log is continued

EXAMPLE = """example:
  python -m generators share mylog --epsilon 3 --out shared
  python -m generators fit mylog --model vae --seed 1 --out mymodel
  python -m generators sample mymodel --users 10000 --seed 1 --out twin
  python -m generators report --real mylog --synthetic twin --out report
"""
FIT_EXAMPLE = """example:
  python -m generators fit mylog --model vae --epsilon 3 --public items,event=names.txt \\
      --set epochs=5 --seed 1 --out mymodel
With --epsilon the noise that protects the users is drawn anew each time, whatever --seed is.
"""
SAMPLE_EXAMPLE = """examples:
  python -m generators sample mymodel --users 10000 --seed 1 --out twin
  python -m generators sample mymodel --users 10000 --where country=DE --set fraud_rate=0.05 \\
      --out twin
  python -m generators sample mymodel --continue mylog --days 30 --out next_month
  python -m generators sample /shared/mymodel --users 1000000 --engine dask \\
      --address tcp://10.0.0.1:8786 --out twin
"""
BUDGET_EXAMPLE = """examples:
  python -m generators budget book.json --epsilon 8     # new book: at most epsilon 8 in all
  python -m generators fit mylog --epsilon 3 --budget book.json --out mymodel
  python -m generators budget book.json                 # what is spent, and what is left
"""
SHARE_EXAMPLE = """examples:
  python -m generators share mylog --epsilon 3 --public event=names.txt --out shared
  python -m generators share mylog --model vae --purpose "course on churn" \\
      --recipient "ACME University" --out shared

DIR/handover/ may travel and exists only after a release: log/, statement.json, data_card.md.
DIR/internal/ stays: model/, report/ (report.html), utility.json, canaries.json, figures.json,
the real log as fitted/ and held_out/, synthetic/. After a kill the same command continues where it
stopped; a finished fit is not repeated. To write the report again (--utility and --canaries where
these were run):
  cd DIR/internal && python -m generators report --real fitted --holdout held_out \\
      --synthetic synthetic --model model --utility utility.json --canaries canaries.json \\
      --out ../../report
Exit code: 0 release, with or without conditions; 1 do not release, or the work failed; 2 wrong
input. Epsilon covers what is handed over. The audit with canaries fits a second model and discards
it; like utility and attacks it stays inside and is not in the budget.
"""
STRUCTURE_EXAMPLE = """example:
  python -m generators structure mylog --out structure.toml
  python -m generators fit mylog --structure structure.toml --out mymodel
"""
LIST_EXAMPLE = """example:
  python -m generators list
"""


def condition(text: str) -> tuple[str, str]:
    """Return ('version', '1.10') for 'version=1.10': the value is text as it was typed.

    'age>=30' and 'age<=40' are ranges: ('age', '30..') and ('age', '..40').
    """
    name, equals, value = text.partition("=")
    if name.endswith((">", "<")) and value:
        name, value = name[:-1], f"{value}.." if name.endswith(">") else f"..{value}"
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def setting(text: str) -> tuple[str, Any]:
    """Return ('epochs', 5) for 'epochs=5'; a value that is not JSON is text."""
    name, value = condition(text)
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def once(given: list[tuple[str, Any]], option: str) -> dict[str, Any]:
    """Return the settings as a dict. Raises InputError where a name was given twice."""
    found = dict(given)
    if len(found) < len(given):
        names = [name for name, _ in given]
        raise InputError(
            f"{option} {next(n for n in names if names.count(n) > 1)} was given twice; give it "
            "once."
        )
    return found


def parser() -> Parser:
    """Return the parser of the command line."""
    top = Parser(
        prog="python -m generators",
        description="Learn from an event log, sample a new one that can be shared.",
        epilog=EXAMPLE,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_share(commands)
    fit = commands.add_parser(
        "fit",
        help="learn a generator from a log",
        description="Learn a generator from a log.",
        epilog=FIT_EXAMPLE,
    )
    fit.add_argument("log", metavar="LOG", help="a log folder")
    fit.add_argument(
        "--model",
        default="vae",
        help="a name from 'list', or a Python file that defines a Generator (default: vae)",
    )
    fit.add_argument(
        "--epsilon",
        type=float,
        help="guarantee (epsilon, delta)-differential privacy for every user",
    )
    fit.add_argument(
        "--delta", type=float, help="default: min(1e-6, users^-1.5), with a noisy number of users"
    )
    fit.add_argument(
        "--public",
        default="",
        metavar="A,B=FILE",
        help=(
            "what is public anyway: 'items' (the catalogue), a column of it, or NAME=FILE with a "
            "list from elsewhere"
        ),
    )
    fit.add_argument(
        "--set",
        dest="settings",
        action="append",
        type=setting,
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the generator",
    )
    fit.add_argument("--seed", type=seed, default=0)
    fit.add_argument(
        "--noise-seed",
        type=seed,
        help="with --epsilon: makes the noise repeatable, for tests; voids the guarantee "
        "against anyone who knows it",
    )
    fit.add_argument(
        "--budget",
        metavar="BOOK",
        help="with --epsilon: record the fit in this budget book, which refuses to be exceeded",
    )
    fit.add_argument(
        "--structure",
        metavar="FILE",
        help=(
            "what is determined in the log: a file that 'structure' wrote, or SDV's metadata.json; "
            "with --epsilon only what it declares is used"
        ),
    )
    add_out(fit, "MODEL", "folder to write")
    structure = commands.add_parser(
        "structure",
        help="find what is determined in a log",
        description="Find what is determined in a log, and write it to a file to confirm or edit.",
        epilog=STRUCTURE_EXAMPLE,
    )
    structure.add_argument("log", metavar="LOG", help="a log folder")
    structure.add_argument(
        "--min-users",
        type=int,
        default=5,
        metavar="N",
        help="values that fewer users have are not written (default: 5)",
    )
    add_out(structure, "FILE", "TOML file to write")
    sample = commands.add_parser(
        "sample",
        help="sample a log",
        description="Sample a log from a fitted generator.",
        epilog=SAMPLE_EXAMPLE,
    )
    sample.add_argument("fitted", metavar="MODEL", help="a folder that 'fit' wrote")
    sample.add_argument("--users", type=int, help="how many users")
    sample.add_argument(
        "--where",
        action="append",
        type=condition,
        default=[],
        metavar="COLUMN=VALUE",
        help="only users with this value of a static column (LOW..HIGH for a number)",
    )
    sample.add_argument(
        "--set",
        dest="rates",
        action="append",
        type=setting,
        default=[],
        metavar="LABEL_rate=SHARE",
        help="share of rows with the label, of those that can have it",
    )
    sample.add_argument(
        "--continue",
        dest="past",
        metavar="LOG",
        help="instead of new users: what the users of this log do next, under their own ids; "
        "no privacy is guaranteed for them, whatever --epsilon was",
    )
    sample.add_argument("--days", type=float, help="with --continue: how many days (default: 30)")
    sample.add_argument(
        "--model", help="the Python file of the generator, where it was fitted from one"
    )
    sample.add_argument("--seed", type=seed, default=0)
    sample.add_argument(
        "--engine",
        help=(
            "serial, processes or dask: sample users in parts, which gives the same log "
            "(default: all at once)"
        ),
    )
    sample.add_argument(
        "--workers",
        type=int,
        help="with --engine: parts at a time on this machine (default: cores)",
    )
    sample.add_argument(
        "--address",
        metavar="tcp://HOST:PORT",
        help="with --engine dask: the scheduler; MODEL must be on shared storage",
    )
    add_out(sample, "LOG", "log folder to write")
    report = commands.add_parser(
        "report",
        help="compare a synthetic log with the real one",
        description="Fidelity, privacy and a data card of a synthetic log.",
    )
    add_arguments(report)
    book = commands.add_parser(
        "budget",
        help="open a budget book, or see what is spent",
        epilog=BUDGET_EXAMPLE,
        description="A budget book: what all fits of logs about the same people may cost together.",
    )
    book.add_argument("book", metavar="BOOK", help="the book, a JSON file")
    book.add_argument("--epsilon", type=float, help="open a new book with this limit")
    book.add_argument("--delta", type=float, help="limit of a new book (default: 1e-5)")
    book.add_argument(
        "--drop",
        type=int,
        metavar="N",
        help="remove entry N, which was begun and from which nothing was released",
    )
    commands.add_parser(
        "list",
        help="the generators that are installed",
        description="List the generators that are installed.",
        epilog=LIST_EXAMPLE,
    )
    return top


def _add_share(commands: argparse._SubParsersAction[Parser]) -> None:
    share = commands.add_parser(
        "share",
        help="make a hand-over: fit, sample, measure, attack, decide",
        epilog=SHARE_EXAMPLE,
        description=(
            "Make a synthetic log that may travel, with its statement and data card, and decide "
            "whether it may."
        ),
    )
    share.add_argument("log", metavar="LOG", help="a log folder")
    share.add_argument(
        "--model",
        default="markov",
        help="a name from 'list', or a Python file that defines a Generator (default: markov)",
    )
    share.add_argument(
        "--epsilon",
        type=float,
        help=(
            "guarantee (epsilon, delta)-differential privacy for every user; without it the "
            "attacks alone decide"
        ),
    )
    share.add_argument("--delta", type=float, help="default: min(1e-6, users^-1.5)")
    share.add_argument(
        "--public", default="", metavar="A,B", help="as for 'fit': what is public anyway"
    )
    share.add_argument(
        "--users",
        type=int,
        metavar="N",
        help="users of the synthetic log (default: as many as the log has)",
    )
    share.add_argument(
        "--holdout",
        type=float,
        default=0.2,
        metavar="SHARE",
        help=(
            "share of the users who are held out of the fit, for attacks and tests (default: 0.2)"
        ),
    )
    share.add_argument(
        "--tasks",
        metavar="A,B|none",
        help="tasks by which utility is measured (default: all that the log can answer)",
    )
    share.add_argument(
        "--canaries",
        type=int,
        metavar="N",
        help="canaries for the audit; 0 for none (default: a tenth of the users, at most 200)",
    )
    share.add_argument(
        "--set",
        dest="settings",
        action="append",
        type=setting,
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the generator",
    )
    share.add_argument(
        "--budget",
        metavar="FILE",
        help="budget book of this log: the fit is refused where it would exceed it",
    )
    share.add_argument(
        "--purpose",
        default="",
        metavar="TEXT",
        help="what the log is for; shown on the report and the data card",
    )
    share.add_argument(
        "--recipient",
        default="",
        metavar="TEXT",
        help="who gets the log; shown on the report and the data card",
    )
    share.add_argument(
        "--seed",
        type=seed,
        default=0,
        help="of everything but the noise, which is drawn anew (default: 0)",
    )
    share.add_argument("--out", required=True, metavar="DIR", help="folder to write")


def main(argv: list[str]) -> int:
    """Run one command; returns its exit code."""
    args = parser().parse_args(argv)
    if args.command == "list":
        from eventlog._runtime.plugins import names

        print("\n".join(names("generators.models")))
    elif args.command == "fit":
        _fit(args)
    elif args.command == "structure":
        _structure(args)
    elif args.command == "budget":
        _budget(args)
    elif args.command == "sample":
        _sample(args)
    elif args.command == "share":
        return _share(args)
    else:
        from generators.report.build import main as report

        return int(report(args) or 0)
    return 0


def _fit(args: argparse.Namespace) -> None:
    from eventlog import EventLog
    from eventlog._runtime.files import check_replaceable
    from eventlog._runtime.terminal import suggest
    from generators.persistence import fit, save

    check_replaceable(args.out, overwrite=args.overwrite)
    model = fit(
        EventLog.read(args.log, truth=False),
        model=args.model,
        epsilon=args.epsilon,
        delta=args.delta,
        public=args.public,
        seed=args.seed,
        noise_seed=args.noise_seed,
        settings=once(args.settings, "--set"),
        budget=args.budget,
        structure=args.structure,
    )
    save(model, args.out)
    note(model.privacy["statement"])
    for line in model.changes():
        note(line)
    print(args.out)
    suggest(
        {
            f"python -m generators sample {args.out} --users 1000 --out twin": "draw a log from it",
            f"python -m generators report --real {args.log} --synthetic twin --model {args.out} "
            "--out report": "then judge that log",
        }
    )


def _structure(args: argparse.Namespace) -> None:
    from eventlog import EventLog
    from eventlog._runtime.files import check_replaceable
    from generators.structure.declared import as_toml
    from generators.structure.find import find_structure

    check_replaceable(args.out, overwrite=args.overwrite)
    log = EventLog.read(args.log, truth=False).ordered()
    found = find_structure(log, min_users=args.min_users)
    Path(args.out).write_text(as_toml(found), encoding="utf-8")
    for line in found.sentences():
        note(line)
    print(args.out)


def _budget(args: argparse.Namespace) -> None:
    from generators.privacy import budget_book

    if args.epsilon is not None:
        if args.drop is not None:
            raise InputError("--drop is for an existing book; leave --epsilon out.")
        book = budget_book.create(args.book, epsilon=args.epsilon, delta=args.delta)
    elif args.delta is not None:
        raise InputError("--delta is the limit of a new book; give --epsilon as well.")
    else:
        book = (
            budget_book.read(args.book)
            if args.drop is None
            else budget_book.drop(args.book, args.drop)
        )
    print(book.table())


def _share(args: argparse.Namespace) -> int:
    from generators.handover.pipeline import Request
    from generators.handover.share import share

    outcome = share(
        Request(
            log=Path(args.log),
            out=Path(args.out),
            model=args.model,
            epsilon=args.epsilon,
            delta=args.delta,
            public=tuple(p.strip() for p in args.public.split(",") if p.strip()),
            users=args.users,
            seed=args.seed,
            settings=once(args.settings, "--set"),
            budget=Path(args.budget) if args.budget else None,
            purpose=args.purpose,
            recipient=args.recipient,
            holdout=args.holdout,
            canaries=args.canaries,
            tasks=_names(args.tasks),
        )
    )
    _show_shared(Path(args.out), outcome.sentence)
    return outcome.exit_code


def _show_shared(out: Path, sentence: str) -> None:
    """Print what the report says, the decision, where the files are and what to do with them."""
    from eventlog._runtime import terminal
    from eventlog._runtime.files import read_json
    from generators.report.terminal import show

    report = out / "internal" / "report"
    if (report / "report.json").exists():
        show(read_json(report / "report.json"))
    released = (out / "handover").exists()
    travels = {"may travel": out / "handover"} if released else {}
    terminal.files({**travels, "the page to read and sign": report / "report.html"})
    print(sentence)
    if released:
        log = out / "handover" / "log"
        terminal.suggest(
            {
                f"python -m eventlog describe {log}": "what the recipient gets",
                f"python -m benchmark run --log {log}": "rank models on it",
            }
        )


def _names(text: str | None) -> tuple[str, ...] | None:
    """Return ('a', 'b') for 'a,b' and () for 'none'; None, which means all, for None."""
    if text is None:
        return None
    return () if text == "none" else tuple(part.strip() for part in text.split(",") if part.strip())


def _sample(args: argparse.Namespace) -> None:
    from eventlog import EventLog
    from eventlog._runtime.files import check_replaceable
    from generators.base import SampleConditions, sample_under
    from generators.persistence import load

    if (args.users is None) == (args.past is None):
        raise InputError(
            "Give either --users (how many new users to draw) or --continue LOG (whose users to "
            "continue)."
        )
    where, rates = once(args.where, "--where"), once(args.rates, "--set")
    if args.users is not None and args.users < 1:
        raise InputError(f"--users is {args.users}; at least one is needed.")
    if args.days is not None and args.past is None:
        raise InputError(
            "--days says how long to continue a log; give --continue LOG with it, or leave it out."
        )
    if args.past is not None and (where or rates):
        raise InputError("--where and --set are for new users; leave them out with --continue.")
    if args.engine is None and (args.workers is not None or args.address is not None):
        raise InputError("--workers and --address need --engine processes or --engine dask.")
    if args.engine is not None and (args.past is not None or args.rates):
        raise InputError(
            "--engine is for new users at their own rates; leave it out with --continue or --set."
        )
    check_replaceable(args.out, overwrite=args.overwrite)
    if args.engine is not None:
        from generators.distributed import sample

        log = sample(
            args.fitted,
            args.users,
            seed=args.seed,
            engine=args.engine,
            workers=args.workers,
            address=args.address,
            where=where,
            model=args.model,
        )
        _written(log, args.out)
        return
    model = load(args.fitted, model=args.model)
    if args.past is not None:
        log = model.continue_log(
            EventLog.read(args.past, truth=False),
            days=DAYS if args.days is None else args.days,
            seed=args.seed,
        )
        note(log.manifest["privacy"]["statement"])
    else:
        conditions = SampleConditions(where, rates)
        log = sample_under(model, args.users, seed=args.seed, conditions=conditions)
    _written(log, args.out)


def _written(log: EventLog, out: str) -> None:
    log.write(out)
    from eventlog._runtime.terminal import suggest

    print(f"{out}: {len(log):,} events of {log.events['user_id'].nunique():,} users")
    suggest(
        {
            f"python -m eventlog describe {out}": "what is in it",
            f"python -m generators report --real LOG --synthetic {out} --out report": (
                "how like the real log it is, and how safe"
            ),
        }
    )


if __name__ == "__main__":
    run(main)
