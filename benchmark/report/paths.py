"""Keep the folders of a machine, and so names of people, out of pages that others read.

Example::

    without_folders("--log /home/ann/shop/log --out /home/ann/shop/results", Path("results"))
    # "--log log --out results"
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

NAME = r"[^\s/\\'\"`|,;:()<>\[\]]+"
# /a/b, ~/a and C:\a\b; but neither the path of a URL nor the slash of "rows/s".
ABSOLUTE = re.compile(rf"(?<![\w.:/\\…)~-])(?:~?/|[A-Za-z]:[\\/]){NAME}(?:[/\\]{NAME})*[/\\]?")


def without_folders(text: str, results: Path) -> str:
    """Return `text` without absolute paths.

    A path beside the results folder, or in it, becomes relative to the folder that holds the
    results. Of any other path only the last name stays.
    """
    here = Path(os.path.realpath(results)).parent

    def shortened(found: re.Match[str]) -> str:
        path = found[0]
        if here != Path(here.anchor) and Path(path).is_relative_to(here) and Path(path) != here:
            return Path(path).relative_to(here).as_posix()
        kind = PureWindowsPath if "\\" in path else PurePosixPath
        return f"…/{kind(path).name}"

    return ABSOLUTE.sub(shortened, text)
