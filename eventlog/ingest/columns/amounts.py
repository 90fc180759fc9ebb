"""Read numbers as they are written in other countries: 1,234.50, 1.234,50, 1'234.50, 1 234,50.

Whether a comma in "1,250" separates thousands or decimals follows from the other numbers of the
same file ("999.50" beside it, or "1,5"); where nothing decides, the import asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

# What each separator must be, if a number is written so. RE2, for the whole text.
DECIMAL = {
    mark: rf"^[+-]?(?:\d*{m}(?:\d{{1,2}}|\d{{4,}})|0?{m}\d+|\d{{4,}}{m}\d+"
    rf"|\d{{1,3}}(?:{o}\d{{3}})+{m}\d+|\d{{1,3}}(?:{o}\d{{3}}){{2,}})$"
    for mark, m, o in ((",", ",", r"\."), (".", r"\.", ","))
}
OPEN = {mark: rf"^[+-]?[1-9]\d{{0,2}}{m}\d{{3}}$" for mark, m in ((",", ","), (".", r"\."))}
CODES = (
    "AED ARS AUD BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR JPY KRW KZT MXN "
    "MYR NGN NOK NZD PEN PHP PLN RON RUB SAR SEK SGD THB TRY TWD UAH USD VND ZAR"
)
# Signs of currencies and their codes; "" if more than one currency has the sign.
SIGNS = {
    "US$": "USD", "A$": "AUD", "C$": "CAD", "R$": "BRL", "$": "", "€": "EUR", "£": "GBP", "¥": "",
    "￥": "", "₹": "INR", "₽": "RUB", "₩": "KRW", "₺": "TRY", "₫": "VND", "₴": "UAH", "฿": "THB",
    "₪": "ILS", "zł": "PLN", "Kč": "CZK", "Ft": "HUF", "kr": "", "Rs": "",
    **{code: code for code in CODES.split(" ")},
}  # fmt: skip
SIGN = "|".join(re.escape(sign) for sign in SIGNS)
BEFORE, AFTER = rf"^([+-]?)\s*(?:{SIGN})\.?\s*([+-]?[\d.,])", rf"(\d[.,]?)\s*(?:{SIGN})\.?$"
BOOKED = r"^(?:\((.*)\)|(.*\d)\s*-|\x{2212}(.*))$"  # accountants write (12.50) or 12.50-
NO_CENTS = rf"(\d)[.,](?:--?|[\x{{2013}}\x{{2014}}])(\s*(?:{SIGN})?)$"  # 12,- as in German shops
PLAIN = r"^[\d.,eE+-]*[\d.,]$"
BLANKS = "[ '\u2019\u00a0\u2009\u202f]"  # group thousands in any country
NUMBER = r"^[+-]?(?:0|[1-9]\d*|\d*\.\d+|\d+\.)(?:[eE][+-]?\d{1,3})?$"  # 007 is a code
WHOLE = r"^[+-]?(?:0|[1-9]\d*)$"
WIDE = r"^[+-]?(?:[1-9]\d{16,}|9\d{15})$"  # values.WIDEST and more


@dataclass
class Separators:
    """What the numbers of a file say about their separators."""

    decimal: dict[str, int]  # "," or "." -> numbers in which it can only be the decimal mark
    open: dict[str, str]  # "," or "." -> a number in which it may be either

    @classmethod
    def of(cls, texts: Iterable[pa.Array]) -> Separators:
        """Look at the distinct texts of amounts."""
        found = cls({",": 0, ".": 0}, {})
        for values in texts:
            values = plain_amounts(values)
            if not pc.any(pc.match_substring_regex(values, "[.,]")).as_py():
                continue
            for mark in found.decimal:
                found.decimal[mark] += int(
                    pc.sum(pc.match_substring_regex(values, DECIMAL[mark])).as_py() or 0
                )
                either = values.filter(pc.match_substring_regex(values, OPEN[mark]))
                if len(either):
                    first = pc.min(either).as_py()
                    found.open[mark] = min(found.open.get(mark, first), first)
        return found

    def mark(self) -> str | None:
        """Return the decimal mark, or None if the numbers leave it open."""
        if any(self.decimal.values()):
            return "," if self.decimal[","] > self.decimal["."] else "."
        return None if self.open else "."


def plain_amounts(values: pa.Array) -> pa.Array:
    """Return amounts (n,) without the signs of currencies, and below zero with a minus before."""
    text = pc.utf8_trim_whitespace(values)
    if pc.match_substring_regex(text, PLAIN).true_count < len(text):
        text = pc.replace_substring_regex(text, NO_CENTS, r"\1\2")
        text = pc.replace_substring_regex(text, BEFORE, r"\1\2")
        text = pc.replace_substring_regex(text, AFTER, r"\1")
        text = pc.replace_substring_regex(text, BOOKED, r"-\1\2\3")
    return text


def sign_of(text: str) -> str:
    """Return the code of the currency that an amount names, or its sign; "" if it names none."""
    text = text.strip()
    if not (re.search(BEFORE, text) or re.search(AFTER, text)):
        return ""
    sign = re.search(SIGN, text)
    return "" if sign is None else SIGNS[sign[0]] or sign[0]


def parse_numbers(values: pa.Array, decimal: str = ".", thousands: str | None = None) -> np.ndarray:
    """Return numbers, (n,) float64, NaN where the text is not a finite number.

    Args:
        values: (n,) the texts.
        decimal: the decimal mark.
        thousands: the mark between groups of three digits; None: the other one of comma and point.
            Blanks and apostrophes separate groups in any case.
    """
    text = pc.utf8_trim_whitespace(values)
    try:  # the quick way: all are plain numbers
        number = text.cast(pa.float64()).to_numpy(zero_copy_only=False)
        if decimal == "." or not pc.any(pc.match_substring(text, ".")).as_py():
            return np.where(np.isfinite(number), number, np.nan)
    except pa.ArrowInvalid:
        text = plain_amounts(text)
    group = thousands if thousands is not None else ("," if decimal == "." else ".")
    for mark in [group] if group else []:
        m, d = _escaped(mark), _escaped(decimal)
        # India writes 12,34,567.
        grouped = pc.match_substring_regex(
            text, rf"^[+-]?\d{{1,3}}(?:{m}\d{{2,3}})*{m}\d{{3}}(?:{d}\d*)?$"
        )
        text = pc.if_else(grouped, pc.replace_substring(text, mark, ""), text)
    blank = pc.match_substring_regex(text, rf"^[+-]?\d{{1,3}}(?:{BLANKS}\d{{3}})+(?:[.,]\d*)?$")
    text = pc.if_else(blank, pc.replace_substring_regex(text, BLANKS, ""), text)
    if decimal != ".":
        dotted = pc.match_substring(text, ".")
        text = pc.if_else(dotted, "", pc.replace_substring(text, decimal, "."))
    number = pd.to_numeric(pd.Series(text.to_pandas()), errors="coerce").to_numpy(np.float64)
    return np.where(np.isfinite(number), number, np.nan)


def _escaped(mark: str) -> str:
    return "\\" + mark if mark in ".+*?|()[]^$" else mark
