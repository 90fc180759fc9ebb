"""python -m generators budget."""

from __future__ import annotations

import argparse

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser
from eventlog._runtime.errors import InputError

SUMMARY = "open a budget book, or see what is spent"
DESCRIPTION = "A budget book: what all fits of logs about the same people may cost together."
EXAMPLES = """examples:
  python -m generators budget book.json --epsilon 8     # new book: at most epsilon 8 in all
  python -m generators fit mylog --epsilon 3 --budget book.json --out mymodel
  python -m generators budget book.json                 # what is spent, and what is left
"""
OPTIONS = """
BOOK               the book, a JSON file
--epsilon EPSILON  open a new book with this limit
--delta DELTA      limit of a new book (default: 1e-5)
--drop N           remove entry N, which was begun and from which nothing was released
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("BOOK")
    add("--epsilon", type=float)
    add("--delta", type=float)
    add("--drop", type=int)


def run(arguments: argparse.Namespace) -> None:
    """Open a book, drop an entry or only read; print what the book says."""
    from generators.privacy import budget_book

    path, drop = arguments.book, arguments.drop
    if arguments.epsilon is not None:
        if drop is not None:
            raise InputError("--drop is for an existing book; leave --epsilon out.")
        book = budget_book.create(path, epsilon=arguments.epsilon, delta=arguments.delta)
    elif arguments.delta is not None:
        raise InputError("--delta is the limit of a new book; give --epsilon as well.")
    else:
        book = budget_book.read(path) if drop is None else budget_book.drop(path, drop)
    print(book.table())
