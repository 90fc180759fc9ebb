"""Numbers: what a comma means follows from the whole file, or the import asks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from eventlog import InputError
from eventlog.ingest.columns.amounts import Separators, parse_numbers
from eventlog.ingest.ingest import import_file, imported

HEADER = "user_id;time;event;price\n"


def file_of(folder: Path, prices: list[str], name: str = "a.csv") -> Path:
    path = folder / name
    rows = (f"u{i % 3};2024-03-{1 + i % 28:02d};view;{p}\n" for i, p in enumerate(prices))
    path.write_text(HEADER + "".join(rows))
    return path


@pytest.mark.parametrize(
    ("written", "mark"),
    [
        (["1,250", "999.50"], "."),
        (["1,250", "0.5", "12,000"], "."),
        (["1,234,567", "1,250"], "."),
        (["1,250", "12,5"], ","),
        (["1.250", "12,5"], ","),
        (["1.250", "0,125"], ","),
        (["1.234.567", "1.250"], ","),
        (["1.250", "0.350"], "."),
        (["1250.500", "1.250"], "."),
        (["5", "17"], "."),
        (["1,250", "12"], None),
        (["1.250", "12"], None),
        ([], "."),
    ],
)
def test_the_decimal_mark_follows_from_all_numbers(written: list[str], mark: str | None) -> None:
    for texts in (written, written[::-1]):
        assert Separators.of([pa.array([t], pa.string()) for t in texts]).mark() == mark


def test_numbers_as_they_are_written() -> None:
    def read(*texts: str, **marks: str) -> list[float]:
        return parse_numbers(pa.array(texts), **marks).tolist()

    assert read("1,250", "1,234.50", "-1,234,567", "12", "1e3", " 7 ", "12,34,567") == [
        1250, 1234.5, -1234567, 12, 1000, 7, 1234567,
    ]  # fmt: skip
    assert read("1.250", "1.234,50", "0,5", "12", decimal=",") == [1250, 1234.5, 0.5, 12]
    assert read("1'250.50", "1 250", "1\u202f250", "1\u00a0250,5".replace(",", ".")) == [
        1250.5, 1250, 1250, 1250.5,
    ]  # fmt: skip
    for text in ("1,25", "1,2500", "about 5", "5%", "12-5", "", "1.2.3", "inf", "nan", "1,,250"):
        assert np.isnan(read(text)).all(), text
    assert np.isnan(read("1.25", "1.2500", decimal=",")).all()


@pytest.mark.parametrize(
    ("texts", "values", "currency"),
    [
        (["€12.50", "€1,000.00"], [12.5, 1000], "EUR"),
        (["12,50 €", "1.000,00 €"], [12.5, 1000], "EUR"),
        (["USD 12.50", "USD 10"], [12.5, 10], "USD"),
        (["12.50 CHF", "1'000.00 CHF"], [12.5, 1000], "CHF"),
        (["R$ 12,50", "R$ 1.000,00"], [12.5, 1000], "BRL"),
        (["₹1,25,000.00", "₹10"], [125000, 10], "INR"),
        (["$12.50", "$ 10"], [12.5, 10], ""),  # of which country?
        (["12.50", "-"], [12.5, None], ""),
        (["12,-", "3,50"], [12, 3.5], ""),
        (["12.\u2013 CHF", "CHF 3.--", "-0.0"], [12, 3, 0], "CHF"),
    ],
)
def test_a_price_may_name_its_currency(
    texts: list[str], values: list[float], currency: str, tmp_path: Path
) -> None:
    log = imported(file_of(tmp_path, texts), tmp_path / "log")
    np.testing.assert_array_equal(log.events["price"], np.array(values, dtype=np.float64))
    assert log.manifest["currency"] == currency


def test_prices_in_several_currencies_are_counted(tmp_path: Path) -> None:
    summary = import_file(file_of(tmp_path, ["€12.50", "$10", "$11"]), tmp_path / "log")
    assert "prices are in 2 currencies ($: 2, EUR: 1 rows)" in str(summary)


@pytest.mark.parametrize("text", ["(12.50)", "12.50-", "\u221212.50", "$-12.50", "-$12.50"])
def test_an_amount_below_zero_as_accountants_write_it(text: str) -> None:
    assert parse_numbers(pa.array([text])).tolist() == [-12.5]


def test_thousands_and_decimals_are_told_apart_or_asked_about(tmp_path: Path) -> None:
    thousands = file_of(tmp_path, ["999"] * 5 + ["1,250", "12,000"])
    with pytest.raises(
        InputError, match=r"'1,250', which may be 1250 or 1.25, .*--decimal '.' for"
    ):
        import_file(thousands, tmp_path / "log")
    assert sorted(imported(thousands, tmp_path / "a", decimal=".").events["price"])[-2:] == [
        1250,
        12000,
    ]
    assert max(imported(thousands, tmp_path / "b", decimal=",").events["price"]) == 999
    german = file_of(tmp_path, ["999", "1.250", "12.000"], "german.csv")
    with pytest.raises(InputError, match=r"'1\.250', which may be 1250 or 1\.25"):
        import_file(german, tmp_path / "log")
    mixed = file_of(tmp_path, ["999.50", "1,250", "12,000"], "mixed.csv")
    assert sorted(imported(mixed, tmp_path / "c").events["price"]) == [999.5, 1250, 12000]


def test_prices_and_quantities_are_not_rounded(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    amounts = ["92445516.64", "16777217", "9.99"]
    file.write_text(
        "customer_id,date,order_id,quantity,amount\n"
        + "".join(f"u{i},2024-03-01,o{i},0.35,{a}\n" for i, a in enumerate(amounts))
    )
    events = imported(file, tmp_path / "log").events
    assert events["price"].tolist() == [92445516.64, 16777217, 9.99]
    assert events["quantity"].tolist() == [0.35] * 3
    assert events["price"].dtype == events["quantity"].dtype == "float64"


def test_prices_in_several_currencies_are_said(tmp_path: Path) -> None:
    lines = [
        {"user_id": f"u{i}", "time": 1_700_000_000 + i, "event": "purchase", "price": 1.5 + i}
        | {"currency": "EUR" if i % 3 else "USD"}
        for i in range(9)
    ]
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    summary = import_file(file, tmp_path / "log")
    assert "prices are in 2 currencies (EUR: 6, USD: 3 rows) and were not converted" in str(summary)
    file.write_text("\n".join(json.dumps(line | {"currency": "EUR"}) for line in lines))
    log = imported(file, tmp_path / "one")
    assert log.manifest["currency"] == "EUR" and "prices are in EUR" in log.manifest["assumed"]
