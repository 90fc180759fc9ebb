"""What happens when an input of any command is changed at random?

Usage::

    PYTHONPATH=.:tests python experiments/fuzz.py [--n 2000] [--seed 0] [--keep FOLDER]

Each case ends in exit code 0, 1 or 2 with a sentence, within ten seconds and a gibibyte, and leaves
no partial output; any other is printed, its input is kept in FOLDER, and the exit code is 1.
`tests/test_fuzz.py` runs 200.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fixtures.fuzz import cases, originals, problem


def main() -> int:
    """Run the cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    begin, wrong = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        base, work = Path(folder) / "originals", Path(folder) / "work"
        base.mkdir()
        originals(base)
        for case in cases(arguments.seed, arguments.n, base, work):
            found = problem(case, work)
            kind = case.name.split()[1]
            counts[kind] += 1
            if found is None:
                continue
            wrong += 1
            print(f"--- {case.name} {case.arguments}\n{found}", flush=True)
            if arguments.keep:
                shutil.copytree(work, arguments.keep / case.name.replace(" ", "-"), symlinks=True)
    kinds = ", ".join(f"{k}: {n:,}" for k, n in sorted(counts.items()))
    print(f"{sum(counts.values()):,} cases ({kinds}) in {time.monotonic() - begin:.0f} s: {wrong}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
