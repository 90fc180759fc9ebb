"""What happens when an input of any command is changed at random?

Usage::

    PYTHONPATH=.:tests python experiments/fuzz.py [--n 2000] [--seed 0] [--first 0]
        [--keep FOLDER] [--only column_type,frame]

Each case ends in exit code 0, 1 or 2 with a sentence, within ten seconds and a gibibyte, and leaves
no partial output; any other is printed, its input is kept in FOLDER, and the exit code is 1.
`tests/test_fuzz.py` runs 200. `--first 500 --n 250` runs the cases 500 to 749 of a seed, `--first
634 --n 1` one alone, and `--only` those of some kinds (functions of `tests/fixtures/fuzz`).
"""

from __future__ import annotations

import argparse
import shutil
import stat
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fixtures.fuzz import COMPILING_S, cases, originals, plain_cases, problem


def _pipes(folder: str, names: list[str]) -> list[str]:
    """Return what cannot be copied."""
    return [n for n in names if stat.S_ISFIFO((Path(folder) / n).lstat().st_mode)]


def main() -> int:
    """Run the cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", default="", help="kinds of inputs, separated by commas")
    arguments = parser.parse_args()
    only = [kind for kind in arguments.only.split(",") if kind]
    counts: Counter[str] = Counter()
    begin, wrong = time.process_time(), 0
    with tempfile.TemporaryDirectory() as folder:
        base, work = Path(folder) / "originals", Path(folder) / "work"
        base.mkdir()
        originals(base)
        numbers = range(arguments.first, arguments.first + arguments.n)
        shutil.copytree(base, work)
        for case in plain_cases():  # also compiles what they need
            if (found := problem(case, work, seconds=COMPILING_S)) is not None:
                raise SystemExit(f"{case.name}: {found}")
        for case in cases(arguments.seed, numbers, base, work, large=True, only=only):
            found = problem(case, work)
            kind = case.name.split()[1]
            counts[kind] += 1
            if found is None:
                continue
            wrong += 1
            print(f"--- {case.name} {case.arguments}\n{found}", flush=True)
            if arguments.keep:
                kept = arguments.keep / case.name.replace(" ", "-")
                shutil.copytree(work, kept, symlinks=True, ignore=_pipes, dirs_exist_ok=True)
    kinds = ", ".join(f"{k}: {n:,}" for k, n in sorted(counts.items()))
    print(
        f"{sum(counts.values()):,} cases ({kinds}) in {time.process_time() - begin:.0f} CPU s: "
        f"{wrong} wrong"
    )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
