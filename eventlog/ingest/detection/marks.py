"""Decide from all rows what a mapping leaves open: marks in numbers, day or month, the currency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow.compute as pc
from msgspec.structs import replace

from eventlog._runtime.errors import InputError
from eventlog.ingest.columns.amounts import SIGNS, Separators, plain_amounts, sign_of
from eventlog.ingest.columns.values import TEXT
from eventlog.ingest.detection.time_formats import likeliest_first
from eventlog.ingest.mapping import Mapping
from eventlog.ingest.spool import Spool

SIGNS_OF_SEVERAL = frozenset(sign for sign, code in SIGNS.items() if not code)
AMOUNTS = ("price", "discount", "rating", "quantity")


def decide(rows: Spool, mapping: Mapping, path: str) -> tuple[Mapping, list[str]]:
    """Return the mapping without open questions, and what was assumed, a text each.

    Raises InputError if numbers can be read in two ways.
    """
    mapping, notes = _decimal(rows, mapping, path)
    mapping = replace(mapping, time=likeliest_first(rows, mapping.time))
    if mapping.currency:
        return mapping, notes
    counts = currencies(rows, mapping)
    currency = next(iter(counts), "")
    if len(counts) == 1 and currency not in SIGNS_OF_SEVERAL:
        return replace(mapping, currency=currency), [*notes, f"prices are in {currency}"]
    return mapping, notes


def currencies(rows: Spool, mapping: Mapping) -> Counter[str]:
    """Return how many rows name each currency, in its column or beside the price."""
    found: Counter[str] = Counter()
    name = next((name for name in mapping.currency_column if name in rows.kinds), None)
    if name is not None:
        for text, n in _counted(rows, name):
            value = text.strip()
            value = value.upper() if len(value) == 3 else value
            if value and value not in mapping.file.missing:
                found[value] += n
        return found
    for price in mapping.columns.get("price", ()):
        if rows.kinds.get(price) == TEXT and _any_sign(rows, price):
            for text, n in _counted(rows, price):
                if sign := sign_of(text):
                    found[sign] += n
    return found


def _counted(rows: Spool, name: str) -> Iterator[tuple[str, int]]:
    for column in rows.columns(name):
        for entry in pc.value_counts(column.combine_chunks()).to_pylist():
            yield str(entry["values"] or ""), entry["counts"]


def _any_sign(rows: Spool, name: str) -> bool:
    return any(
        not plain_amounts(t).equals(pc.utf8_trim_whitespace(t)) for t in rows.new_texts(name)
    )


def _decimal(rows: Spool, mapping: Mapping, path: str) -> tuple[Mapping, list[str]]:
    if mapping.file.decimal is not None:
        return mapping, []
    names = [n for amount in AMOUNTS for n in mapping.columns.get(amount, ()) if n in rows.kinds]
    names += [n for rule in mapping.rules if rule.below is not None for n in rule.column]
    found = Separators.of(texts for name in dict.fromkeys(names) for texts in rows.new_texts(name))
    mark = found.mark()
    if mark is None:
        mark, text = next(iter(sorted(found.open.items())))
        grouped, fraction = text.replace(mark, ""), text.replace(mark, ".")
        other = "." if mark == "," else ","
        raise InputError(
            f"{path} has numbers such as {text!r}, which may be {grouped} or "
            f"{float(fraction):g}, and none that decides it; give --decimal {other!r} for "
            f"{grouped} or --decimal {mark!r} for {float(fraction):g} (or decimal in [file] of a "
            "mapping)."
        )
    notes = ["numbers have a decimal comma"] if mark == "," else []
    if mark == "." and "," in found.open:
        notes.append(f"the comma in {found.open[',']} separates thousands")
    return replace(mapping, file=replace(mapping.file, decimal=mark)), notes
