"""What happens when an array or a JSON value of a saved model is changed at random?

Usage::

    python experiments/mutate_models.py [--models markov,vae] [--mutations 500] [--seed 0]

Checksums are made right again. Each change ends in one sentence (`refused`), in a log in which
`eventlog check` finds no error (`valid`), or in something different (`other`), which is printed and
makes the exit code 1. tests/generators/codec/test_restore_mutations.py runs a few of them.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import shutil
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save

import generators
from eventlog import EventLog
from eventlog._runtime.errors import InputError
from eventlog._runtime.files import sha256
from eventlog.check import check

SMALL = {"width": 16, "layers": 1, "rows": 1_000}
MODELS: dict[str, dict[str, Any]] = {
    "markov": {"successors": 5},
    "vae": SMALL | {"latent": 4},
    "gan": SMALL | {"latent": 4, "generator_steps": 5, "adversarial_width": 16},
    "transformer": SMALL | {"heads": 2},
    "calibrated": {"trials": 1},
}
LIMIT_S = 60  # for loading and sampling; the machine may be busy
USERS = 20
# The log that is learnt from may have these errors itself, and then a sample has them too.
OF_THE_LOG = ("is negative",)


class Late(Exception):
    """Raised by the alarm."""


def fitted(log: EventLog, folder: Path, names: list[str]) -> dict[str, Path]:
    """A small saved model of each kind."""
    return {
        n: generators.save(generators.fit(log, model=n, seed=1, settings=MODELS[n]), folder / n)
        for n in names
    }


def signed(folder: Path) -> None:
    """Write the checksums of the files into the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {
        n: {"sha256": sha256(folder / n)} for n in ("model.json", "model.safetensors")
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def outcome(folder: Path) -> tuple[str, str]:
    """Return 'refused', 'valid' or 'other' for the model in `folder`, and the message."""

    def late(*_: object) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT_S)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model = generators.load(folder)
            except InputError as error:
                return ("other" if "\n" in str(error) else "refused"), str(error)
            errors = [str(f) for f in check(model.sample(USERS, seed=0)) if f.level == "error"]
        errors = [e for e in errors if not any(known in e for known in OF_THE_LOG)]
        return ("other", errors[0]) if errors else ("valid", "")
    except Late:
        return "other", f"not done after {LIMIT_S} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return "other", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# --- changes --------------------------------------------------------------------------------------

Draw = Callable[[int], int]  # n -> one of 0..n - 1: a random generator's, or hypothesis's


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values inside `value`; of a list of plain values only the list and three of its
    entries."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        nested = any(isinstance(v, dict | list) for v in value)
        for k in (
            range(len(value))
            if nested and len(value) < 8
            else sorted({0, len(value) // 2, len(value) - 1} & set(range(len(value))))
        ):
            found += places(value[k], (*path, k))
    return found


def descent(value: Any, draw: Draw) -> tuple[Any, ...]:
    """A path into `value`, one of its entries after another until chance says so."""
    path: tuple[Any, ...] = ()
    while isinstance(value, dict | list) and value and (len(path) < 2 or draw(4)):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = keys[draw(len(keys))]
        path, value = (*path, key), value[key]
    return path


def change_value(value: Any, draw: Draw) -> Any:
    """Something else in place of a JSON value."""
    if isinstance(value, dict) and value and draw(2):
        keys = list(value)
        a, b = keys[draw(len(keys))], keys[draw(len(keys))]
        ways: list[Callable[[], Any]] = [
            lambda: {k: v for k, v in value.items() if k != a},
            lambda: {**value, "added": copy.deepcopy(value[a])},
            lambda: {**value, a: value[b], b: value[a]},
            lambda: {(a + "x" if k == a else k): v for k, v in value.items()},
            lambda: dict(sorted(value.items(), key=lambda kv: str(kv[0]), reverse=True)),
        ]
        return ways[draw(len(ways))]()
    if isinstance(value, list) and value and draw(2):
        k, j = draw(len(value)), draw(len(value))
        ways = [
            lambda: value[:k] + value[k + 1 :],
            lambda: [*value, value[k]],
            lambda: value[:k],
            lambda: value + value,
            lambda: [
                value[j] if i == k else value[k] if i == j else v for i, v in enumerate(value)
            ],
            lambda: value[::-1],
            lambda: value * 50,
        ]
        return ways[draw(len(ways))]()
    others: list[Any] = [
        None,
        True,
        False,
        0,
        1,
        -1,
        7,
        10**6,
        10**12,
        10**30,
        -(10**9),
        0.5,
        -0.5,
        1e-9,
        1e12,
        1e300,
        math.nan,
        math.inf,
        -math.inf,
        "",
        "view_item",
        "zz",
        "../x.py",
        "\ud800",
        "a\x00b",
        "x" * 1000,
        [],
        {},
        [[]],
        [1, 2],
        {"a": 1},
    ]
    if isinstance(value, int | float) and not isinstance(value, bool):
        others += [
            value + 1,
            value - 1,
            value * 2,
            -value,
            value / 3,
            str(value),
            [value],
            value * 1000,
        ]
    return others[draw(len(others))]


def change_json(data: Any, draw: Draw) -> tuple[Any, str]:
    """`data` with one value changed, and which."""
    path = descent(data, draw)
    if not path or draw(
        2
    ):  # long tables are most of all places: half of the changes are spread over the fields instead
        paths = places(data)
        path = paths[draw(len(paths))]
    out = copy.deepcopy(data)
    at = out
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = change_value(at[path[-1]], draw)
    return out, f"{'.'.join(map(str, path))} = {ascii(at[path[-1]])[:80]}"


def change_arrays(arrays: dict[str, np.ndarray], draw: Draw) -> tuple[dict[str, np.ndarray], str]:
    """`arrays` with one changed, and how."""
    names = sorted(arrays)
    name, other = names[draw(len(names))], names[draw(len(names))]
    a = arrays[name]
    some = a.copy()
    if a.size:
        real = a.dtype.kind == "f"
        values = (
            [np.nan, np.inf, -np.inf, 1e30, -1e30, -1.0, 0.0, 1e4, 2.0]
            if real
            else [-1, 10**6, 2**31 - 1, -(2**31), 0]
        )
        some.reshape(-1)[draw(a.size)] = values[draw(len(values))]
    rng = np.random.default_rng(draw(1000))
    fill = (
        [np.nan, np.inf, -1, 0, 1e30, 1e4, 1e-30]
        if a.dtype.kind == "f"
        else [-1, 0, 10**6, 2**31 - 1]
    )
    ways: list[tuple[str, Callable[[], dict[str, np.ndarray]]]] = [
        ("one value", lambda: {name: some}),
        ("one value", lambda: {name: some}),
        ("all values", lambda: {name: np.full_like(a, fill[draw(len(fill))])}),
        ("negative", lambda: {name: -a}),
        ("huge", lambda: {name: a * np.asarray(1000, a.dtype)}),
        (
            "type",
            lambda: {
                name: a.astype(
                    [np.float16, np.float32, np.float64, np.int8, np.int64, np.uint8, bool][draw(7)]
                )
            },
        ),
        ("truncated", lambda: {name: np.ascontiguousarray(a[: max(len(a) // 2, 0)])}),
        ("empty", lambda: {name: a[:0]}),
        ("flat", lambda: {name: a.reshape(-1)}),
        ("transposed", lambda: {name: np.ascontiguousarray(a.T)}),
        ("one axis more", lambda: {name: a[None]}),
        ("permuted", lambda: {name: rng.permutation(a.reshape(-1)).reshape(a.shape)}),
        ("rows permuted", lambda: {name: rng.permutation(a)}),
        ("swapped", lambda: {name: arrays[other], other: a}),
        ("added", lambda: {"added": a}),
        ("renamed", lambda: {name + "x": a}),
    ]
    how, way = ways[draw(len(ways))]
    kept = {k: v for k, v in arrays.items() if how != "renamed" or k != name}
    if how == "one value" and draw(8) == 0:
        how, kept = "gone", {k: v for k, v in arrays.items() if k != name}
        return kept, f"{name}: {how}"
    return kept | way(), f"{name}: {how}"


def mutated(source: Path, target: Path, draw: Draw) -> str:
    """Write a changed copy of the model `source` to `target`; returns what was changed."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    what = draw(20)
    if what == 0:
        manifest, how = change_json(json.loads((source / "manifest.json").read_text()), draw)
        (target / "manifest.json").write_text(json.dumps(manifest))
        return f"manifest.json: {how}"
    if what < 8:
        arrays, how = change_arrays(load_file(source / "model.safetensors"), draw)
        (target / "model.safetensors").write_bytes(save(arrays))
    else:
        data, how = change_json(json.loads((source / "model.json").read_text()), draw)
        (target / "model.json").write_text(json.dumps(data))
    signed(target)
    return how


def main() -> int:
    """Mutate models of each kind and count what becomes of them."""
    root = Path(__file__).parents[1]
    sys.path[:0] = [str(root), str(root / "tests")]  # where `fixtures` is
    from fixtures.shop_logs import shop_log

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--mutations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print every change and its outcome")
    args = parser.parse_args()
    torch.set_num_threads(1)
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, source in fitted(
            shop_log(users=40, rows=10, items=30), Path(folder), args.models.split(",")
        ).items():
            counts = count(
                name, source, args.mutations, np.random.default_rng(args.seed), show=args.show
            )
            bad += counts["other"]
            print(
                f"{name}: " + ", ".join(f"{k} {counts[k]}" for k in ("refused", "valid", "other")),
                flush=True,
            )
    return 1 if bad else 0


def count(
    name: str, source: Path, mutations: int, rng: np.random.Generator, *, show: bool
) -> Counter[str]:
    """Count the outcomes of random changes of the model `source`."""
    assert outcome(source) == ("valid", "")
    counts: Counter[str] = Counter()
    for _ in range(mutations):
        how = mutated(source, source.parent / "changed", lambda n: int(rng.integers(n)))
        found, message = outcome(source.parent / "changed")
        counts[found] += 1
        if found == "other" or show:
            print(f"  {name}: {found}: {how}: {message}", flush=True)
    return counts


if __name__ == "__main__":
    sys.exit(main())
