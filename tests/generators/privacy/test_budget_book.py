"""The budget book: fits add up, one that would exceed it is refused before it looks, and what was
begun counts.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fixtures.shop_logs import shop_log

import generators
from eventlog import InputError
from generators.__main__ import main
from generators.privacy import budget_book


def test_fits_add_up_and_the_one_that_would_exceed_the_book_is_refused(tmp_path: Path) -> None:
    book, log = tmp_path / "book.json", shop_log(users=60, seed=1)
    budget_book.create(book, epsilon=5.0, delta=3e-6)
    names = {"event": ["view_item", "add_to_cart", "purchase"]}
    for _ in range(2):
        fitted = generators.fit(log, model="markov", epsilon=2.0, public=names, budget=book)
        assert fitted.privacy["epsilon"] == 2.0
    assert budget_book.read(book).spent == pytest.approx((4.0, 2e-6))
    assert [e.status for e in budget_book.read(book).entries] == ["done", "done"]
    with pytest.raises(InputError, match="it would exceed the book"):
        generators.fit(log, model="markov", epsilon=2.0, public=names, budget=book)
    with pytest.raises(InputError, match="it would exceed the book"):
        generators.fit(log, model="markov", epsilon=0.5, delta=2e-6, public=names, budget=book)
    generators.fit(log, model="markov", epsilon=1.0, public=names, budget=book)
    assert budget_book.read(book).spent[0] == pytest.approx(5.0)


def test_a_fit_that_fails_is_taken_back_and_one_that_was_killed_counts(tmp_path: Path) -> None:
    book = tmp_path / "book.json"
    budget_book.create(book, epsilon=3.0)
    seen = []

    def fails() -> None:
        seen.append(budget_book.read(book).entries[0].status)
        raise ZeroDivisionError

    with (
        pytest.raises(ZeroDivisionError),
        budget_book.reserve(book, epsilon=1.0, delta=None, what="fails"),
    ):
        fails()
    assert seen == ["begun"]
    assert budget_book.read(book).entries == []
    killed = budget_book.Book(
        3.0, 1e-5, [budget_book.Entry("killed", 2.5, 1e-6, "begun", "2026-01-01")]
    )
    budget_book._write(book, killed)
    with (
        pytest.raises(InputError, match="exceed"),
        budget_book.reserve(book, epsilon=1.0, delta=None, what="next"),
    ):
        raise AssertionError("the fit must not begin")
    assert "--drop 1" in budget_book.read(book).table()
    assert budget_book.drop(book, 1).entries == []


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[1]",
        '{"made_by": "generators budget", "format": 1}',
        "no json",
        '{"made_by": "generators budget", "format": 1, "epsilon": -1, "delta": 1e-5, "entries": '
        "[]}",
        '{"made_by": "generators budget", "format": 1, "epsilon": 5, "delta": 1e-5, "entries": '
        "[{}]}",
    ],
)
def test_a_file_that_is_no_book_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "book.json").write_text(content)
    with (
        pytest.raises(InputError),
        budget_book.reserve(tmp_path / "book.json", epsilon=1.0, delta=None, what="x"),
    ):
        raise AssertionError("the fit must not begin")
    assert (tmp_path / "book.json").read_text() == content


def test_the_command_line_opens_shows_and_guards_a_book(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = str(tmp_path / "book.json")
    with pytest.raises(InputError, match="open the book first"):
        main(["budget", book])
    assert main(["budget", book, "--epsilon", "8"]) == 0
    assert "epsilon 0 of 8, delta 0 of 1e-05" in capsys.readouterr().out
    with pytest.raises(InputError, match="opened once"):
        main(["budget", book, "--epsilon", "80"])
    with pytest.raises(InputError, match="none with the number"):
        main(["budget", book, "--drop", "1"])
    with (
        pytest.raises(InputError, match="give --epsilon"),
        budget_book.reserve(book, epsilon=None, delta=None, what="x"),
    ):
        raise AssertionError("nothing to reserve")
    assert json.loads(Path(book).read_text())["entries"] == []
