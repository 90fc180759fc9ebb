"""What all command lines share: exit codes, one-sentence errors, progress."""

from __future__ import annotations

import argparse
import errno
import io
import re
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from eventlog._runtime.errors import InputError, ShopError
from eventlog._runtime.files import FULL
from eventlog._runtime.seeds import LARGEST_SEED, check_seed
from eventlog._runtime.text import one_line

T = TypeVar("T")
# The disk is full or may not be written: a traceback would explain nothing.
STORAGE = FULL | {errno.EROFS, errno.EACCES, errno.EPERM}
NO_PATH = {
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENXIO,
    errno.EEXIST,  # a link that leads nowhere
}
speaker = ""  # prefix of each line, for processes that share a console
_bars: list[Any] = []  # progress bars that are on the terminal; lines are printed above the last
_spellings: dict[str, str] = {}  # 'python -m PACKAGE COMMAND' -> how it is typed


class _HelpFormatter(argparse.HelpFormatter):
    """Fills paragraphs to the width of the terminal and leaves indented lines, which are typed."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(filled(text, width))


def filled(text: str, width: int) -> Iterator[str]:
    """Yield the lines of `text` with its paragraphs filled to `width`.

    A paragraph ends with an empty line, an indented one or a colon; indented lines stay.
    """
    paragraph: list[str] = []
    for line in [*text.splitlines(), ""]:
        inside = bool(line) and not line.startswith(" ")
        if inside:
            paragraph.append(line)
        if paragraph and (not inside or line.endswith(":")):
            words = " ".join(paragraph)
            yield from textwrap.wrap(words, width, break_long_words=False, break_on_hyphens=False)
            paragraph = []
        if not inside:
            yield line


class Parser(argparse.ArgumentParser):
    """argparse that fits help texts to the terminal and reports an error in one sentence.

    `summary` is what a parent's help says of this command.
    """

    summary = ""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("formatter_class", _HelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Print one sentence on standard error and exit with 2."""
        for kind, name in (("int", "whole number"), ("float", "number")):
            message = message.replace(f"invalid {kind} value:", f"not a {name}:")
        self.exit(2, as_typed(f"{self.prog}: {message}. Try '{self.prog} --help'.\n"))

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; what no option is called is an error of the command that was given it."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            command = self.subcommands().get(getattr(found, "command", ""), self)
            nearest = get_close_matches(unknown[0], command._option_string_actions, n=1)
            hint = f" (did you mean '{nearest[0]}'?)" if nearest else ""
            command.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return found

    def format_help(self) -> str:
        """Return the help, with commands as this program is called."""
        self.prog = as_typed(self.prog)
        return as_typed(super().format_help())

    def format_usage(self) -> str:
        """Return the usage, with the command as this program is called."""
        self.prog = as_typed(self.prog)
        return as_typed(super().format_usage())

    def subcommands(self) -> dict[str, Parser]:
        """Return the parsers of the subcommands by name, with their `summary`."""
        found: dict[str, Parser] = {}
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                found |= action.choices
                for choice in action._choices_actions:
                    found[choice.dest].summary = choice.help or ""
        return found


def spell_commands(spellings: dict[str, str]) -> None:
    """Show 'python -m PACKAGE COMMAND' as `spellings` has it in help, errors and notes."""
    _spellings.update(spellings)


def as_typed(text: str) -> str:
    """Return `text` with the commands in it as this program is called."""
    for module, typed in _spellings.items():
        text = re.sub(rf"{re.escape(module)}\b", typed, text)
    return text


def add_out(parser: argparse.ArgumentParser, metavar: str, help: str, **settings: Any) -> None:
    """Add `--out`, and `--overwrite`, without which nothing that exists is replaced."""
    parser.add_argument("--out", required=True, metavar=metavar, help=help, **settings)
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help=f"replace {metavar} if it exists; a folder only if this program wrote all that is "
        "in it",
    )


def seed(text: str) -> int:
    """Return a seed given on a command line: the `type` of an argparse argument."""
    try:
        return check_seed(int(text))
    except (ValueError, InputError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from 0 to {LARGEST_SEED:,}"
        ) from None


def run(command: Callable[[list[str]], int | None], argv: list[str] | None = None) -> NoReturn:
    """Run a command line and exit.

    The exit code is 0 if all went well, 1 if the work failed, 2 if the input or the arguments are
    wrong, and 130 after an interruption.
    """
    for stream in (sys.stdout, sys.stderr):  # a name of a file may be no text of the terminal's
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command(sys.argv[1:] if argv is None else argv) or 0
    except ShopError as error:
        _say(as_typed(f"error: {error}"))
        code = error.exit_code
    except KeyboardInterrupt:
        code = _interrupted()
    except ImportError as error:
        if not isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            raise
        code = _interrupted()  # during the import of a library that reported it as its own failure
    except (MemoryError, RuntimeError) as error:
        # torch raises RuntimeError when memory runs out
        if not isinstance(error, MemoryError) and "allocate memory" not in str(error):
            raise
        _say("error: there is not enough memory; choose a smaller log or smaller settings.")
        code = 1
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except OSError as error:
        if error.errno in NO_PATH and error.filename is not None:
            _say(f"error: {error.filename} cannot be used as a path: {error.strerror}.")
            code = 2
        elif error.errno in STORAGE:
            _say(f"error: {error.filename or 'the output'} cannot be written: {error.strerror}.")
            code = 1
        else:
            raise
    sys.exit(code)


def _say(sentence: str) -> None:
    """Print a sentence on standard error, as one line whatever it quotes."""
    print(one_line(sentence), file=sys.stderr)


def _interrupted() -> int:
    print(
        "interrupted; no incomplete output is left. If the work can be resumed, the same command "
        "continues it.",
        file=sys.stderr,
    )
    return 130


def note(text: str) -> None:
    """Print a line about progress on standard error; results go to standard output."""
    text = as_typed(text)
    line = f"{speaker}: {text}" if speaker else text
    if _bars:
        _bars[-1].console.print(line, markup=False, highlight=False)  # above the bar
    else:
        print(line, file=sys.stderr, flush=True)


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Yield a function that shows how many of `total` are done, and a text, on a terminal's last
    line; elsewhere it shows nothing. Lines that `note` prints stand above.
    """
    if not sys.stderr.isatty():
        yield lambda done, text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn(description),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total, text="")
        _bars.append(bar)
        try:
            yield lambda done, text: bar.update(task, completed=done, text=text)
        finally:
            _bars.remove(bar)


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    return "ipykernel" in sys.modules and "IPython" in sys.modules


def track(items: Iterable[T], description: str, *, total: int | None = None) -> Iterator[T]:
    """Yield `items`, with a progress bar on a terminal, or a line that is kept up in a notebook.

    Elsewhere a line comes after two seconds and every ten from then on.
    """
    total = len(items) if total is None and isinstance(items, Sized) else total
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as rich_track

        yield from rich_track(
            items, description, total=total, console=Console(stderr=True), transient=True
        )
        return
    notebook = in_notebook()
    # The first line comes soon, because it says how long the whole will take.
    every, soon = (0.5, 0.5) if notebook else (10.0, 2.0)
    last = began = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        began = now if done == 1 else began  # the first item compiles and loads: no measure
        if now - last > soon or (notebook and done == total):
            last, soon = now, every
            text = f"{description}: {done}{_of(done, total, now - began)}"
            if notebook:
                end = "\n" if done == total else ""
                print(f"\r{text:79}", end=end, file=sys.stderr, flush=True)
            else:
                note(text)


def _of(done: int, total: int | None, elapsed: float) -> str:
    """Return how many there are, and about how long the rest takes, by the time since the first."""
    if total is None:
        return ""
    left = elapsed / max(done - 1, 1) * (total - done)
    return f"/{total}" + (f", about {left:.0f} s left" if left >= 1 else "")
