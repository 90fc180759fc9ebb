"""Show results on a terminal: tables that fit it, the sentences that matter, what to do next.

Where standard output is no terminal the same text comes without colours, a line each, and without
the suggestions.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from eventlog._runtime.console import as_typed

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 160  # columns of a table that goes into a pipe
WRAPPED = 24  # columns that a last column of sentences gets at least


def table(
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    first: Sequence[int] = (),
    wrap: bool = False,
) -> None:
    """Print a table; columns of numbers stand on the right.

    Args:
        title: what stands above it.
        head: the names of its columns.
        rows: a text for each column. Where they do not fit, the last columns are left out.
        first: indices of the rows to be set in bold.
        wrap: whether the last column is of texts that may break into several lines.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    console = _console()
    shown = _fitting(head, rows, console.width, wrap=wrap)
    printed = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for i in shown:
        numeric = any(row[i][:1].isdigit() or row[i][:2] in ("-.", "–") for row in rows)
        name_or_text = not numeric or i == 0
        breaks = wrap and i == len(head) - 1
        justify: Literal["left", "right"] = "left" if name_or_text or breaks else "right"
        printed.add_column(head[i], justify=justify, no_wrap=not breaks)
    for k, row in enumerate(rows):
        printed.add_row(*(_literal(row[i]) for i in shown), style="bold" if k in first else None)
    console.print(printed)
    if len(shown) < len(head):
        console.print(f"  not shown for want of room: {', '.join(head[max(shown) + 1 :])}\n")


def say(sentences: Sequence[str]) -> None:
    """Print sentences, each as a paragraph of its own."""
    console = _console()
    for sentence in sentences:
        console.print(_literal(sentence))


def files(written: Mapping[str, object]) -> None:
    """Print where files are, with what each is for."""
    width = max(map(len, map(str, written.values())))
    for purpose, path in written.items():
        print(f"  {path!s:{width}}  {purpose}")


def suggest(commands: Mapping[str, str]) -> None:
    """Print what to try next, on a terminal only: command -> what it is for."""
    if not sys.stdout.isatty():
        return
    typed = {as_typed(command): purpose for command, purpose in commands.items()}
    console, width = _console(), max(map(len, typed))
    console.print("\n[bold]next[/bold]")
    for command, purpose in typed.items():
        console.print(_literal(f"  {command:{width}}  {purpose}"), soft_wrap=True)


def _console() -> Console:
    from rich.console import Console

    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else PIPE_WIDTH
    return Console(width=width, highlight=False, soft_wrap=False)


def _literal(text: str) -> str:
    """Return a text of which rich shows every character: a bracket would begin a style."""
    from rich.markup import escape

    return escape(text)


def _fitting(
    head: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, wrap: bool
) -> list[int]:
    """Return the indices of the first columns that fit into `width`, three at least."""
    shown: list[int] = []
    used = 2
    for i, name in enumerate(head):
        needs = max([len(name), *(len(row[i]) for row in rows)])
        used += (min(needs, WRAPPED) if wrap and i == len(head) - 1 else needs) + 2
        if used > width and len(shown) >= 3:
            break
        shown.append(i)
    return shown
