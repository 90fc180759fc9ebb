"""Pass on what a cell's process prints, up to a limit: a plug-in may print without end.

Example::

    output = CellOutput("fraud/mine", context)
    child = context.Process(target=work, args=(output.end,))   # calls `take_over(end)`
    child.start()
    output.listen()
    child.join()
    output.close()
"""

from __future__ import annotations

import codecs
import os
import threading
from multiprocessing.connection import Connection
from typing import Any

from eventlog._runtime.console import note
from eventlog._runtime.text import one_line

MOST_CHARACTERS = 20_000
MORE = f"it printed {MOST_CHARACTERS:,} characters; more of them are not shown"
BLOCK = 1 << 16  # bytes that are read at once


def take_over(end: Connection) -> None:
    """Let standard output and error of this process lead into `end`.

    Neither is part of a report.
    """
    os.dup2(end.fileno(), 1)
    os.dup2(end.fileno(), 2)
    end.close()


class CellOutput:
    """The lines that the process of the cell `name` prints, shown by `note`."""

    def __init__(self, name: str, context: Any) -> None:
        self.name = name
        self.reads, self.end = context.Pipe(duplex=False)
        self.thread = threading.Thread(target=self._pass_on, daemon=True)

    def listen(self) -> None:
        """Begin to pass lines on; the child has begun and has its end."""
        self.end.close()
        self.thread.start()

    def close(self) -> None:
        """Wait for the last lines, but not for a process that survives the cell."""
        self.thread.join(timeout=1)

    def _pass_on(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        left, begun = MOST_CHARACTERS, ""
        with self.reads:
            while block := os.read(self.reads.fileno(), BLOCK):
                text = decoder.decode(block)[:left]
                if not text:
                    continue
                left -= len(text)
                *lines, begun = (begun + text).replace("\r", "\n").split("\n")
                if left == 0:
                    lines += [begun, f"{self.name}: {MORE}"]
                    begun = ""
                for line in lines:
                    note(one_line(line))
        if begun:
            note(one_line(begun))
