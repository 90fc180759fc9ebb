"""What a table says of families, starts, flags, ceilings and what it cannot tell apart."""

from __future__ import annotations

from pathlib import Path

from fixtures.board_records import Results

from benchmark.report import leaderboard
from benchmark.report.aggregate import Board, boards


def page(results: Results, folder: Path, *, plots: bool = False) -> str:
    return leaderboard.write(results.store(folder), folder, plots=plots).read_text()


def line(text: str, name: str) -> str:
    return next(row for row in text.splitlines() if f"| {name}" in row)


def one(results: Results, folder: Path) -> Board:
    store = results.store(folder)
    return boards(store, store.plan()["cells"])[0]


CURVE = {"measure": "roc_auc", "steps": [0, 10, 20], "values": [0.6, 0.7, 0.65], "best": 1}
KEPT = {**CURVE, "values": [0.7, 0.6, 0.65], "best": 0}


def test_a_table_of_one_fit_claims_nothing(tmp_path: Path) -> None:
    results = Results()
    results.board({"base_rate": [0.5], "good": [0.9], "bad": [0.6]})
    text = page(results, tmp_path)
    assert "of this one fit" in text
    assert "over users only" in text
    assert "| tier" not in text
    assert "rank [95 %]" not in text
    assert one(results, tmp_path / "again").p == {}


def test_an_interval_ends_where_its_metric_does(tmp_path: Path) -> None:
    results = Results()
    results.board({"base_rate": [0.5, 0.5], "wild": [0.99, 0.85], "poor": [0.02, 0.2]})
    board = one(results, tmp_path)
    low, high = board.interval(board.rows["real"]["wild"], "roc_auc")
    assert board.compared().interval("wild")[1] > 1  # two fits: t with one degree of freedom
    assert 0 <= low < 0.92 < high == 1
    assert board.interval(board.rows["real"]["poor"], "roc_auc")[0] == 0


def test_tiers_and_ranks_agree_where_there_are_fits(tmp_path: Path) -> None:
    results = Results()
    fits = {"a": [0.90, 0.91, 0.90], "b": [0.90, 0.90, 0.91], "c": [0.6, 0.61, 0.6]}
    results.board({"base_rate": [0.5] * 3, **fits})
    board = one(results, tmp_path)
    assert board.tiers == {"a": 1, "b": 1, "c": 2, "base_rate": 3}
    assert board.rank_intervals["a"] == (1, 2)
    assert board.rank_intervals["base_rate"] == (4, 4)
    text = page(results, tmp_path / "page")
    assert "of this one fit" not in text
    assert "Differences in roc\\_auc below" in text or "Differences in roc_auc below" in text
    assert "cannot be told apart here" in text


def test_models_that_do_not_draw_are_compared_after_one_fit(tmp_path: Path) -> None:
    """Beside several fits of those that do, and alone."""
    once = {"base_rate": {"seeded": False}, "counts": {"seeded": False}}
    for fits in ({"net": [0.9, 0.91, 0.9]}, {}):
        results = Results()
        results.board({"base_rate": [0.5], "counts": [0.7], **fits}, more=once)
        board = one(results, tmp_path / str(len(fits)))
        assert not board.one_fit
        assert board.tiers["counts"] < board.tiers["base_rate"]
        assert board.compared().between[board.compared().at["counts"]] == 0
        assert len(board.stability()) == (3 if fits else 0)


def test_a_row_that_kept_its_start_is_marked_and_the_start_is_shown(tmp_path: Path) -> None:
    results = Results()
    more = {"lstm": {"curve": CURVE, "family": "sequence"}, "gru": {"curve": KEPT}}
    results.board({"base_rate": [0.5], "lstm": [0.8], "gru": [0.7]}, more=more)
    text = page(results, tmp_path, plots=True)
    assert "0.6000 → 0.7000 (10)" in line(text, "lstm ")
    assert "sequence" in line(text, "lstm ")
    assert "kept its start" not in line(text, "lstm ")
    assert "0.7000 → 0.7000 (0)" in line(text, "gru (kept its start)")
    assert (tmp_path / "leaderboard" / "shop-churn-learning-curves.svg").exists()
    assert "learning-curves.svg" in text


def test_a_flagged_row_has_no_rank_and_says_why(tmp_path: Path) -> None:
    results = Results()
    flag = "it read the answers."
    results.board(
        {"base_rate": [0.5] * 3, "honest": [0.7, 0.71, 0.7], "cheat": [1.0, 1.0, 0.99]},
        more={"cheat": {"flags": [flag]}},
    )
    text = page(results, tmp_path)
    assert line(text, "– ").split("|")[2].strip() == "flagged"
    assert f"cheat is not ranked: {flag}" in text
    board = one(results, tmp_path / "again")
    assert board.names == ["honest", "base_rate"]
    assert board.ranks == {"honest": 1, "base_rate": 2}


def test_headroom_is_to_what_the_history_allows_and_blank_without_it(tmp_path: Path) -> None:
    ladder = {"ceiling:history": 0.8, "ceiling:slate": 0.9, "ceiling:clairvoyant": 0.95}
    results = Results()
    more = {"ceiling:history": {"provenance": "a large model on 1,000,000 shoppers."}}
    results.board({"base_rate": [0.5], "a": [0.65]}, references=ladder, more=more)
    text = page(results, tmp_path)
    assert "50% [" in line(text, "a ")
    for title in ("*history*", "*history and slate*", "*clairvoyant*"):
        assert title in text
    assert "a large model on 1,000,000 shoppers." in text
    without = Results()
    without.board({"base_rate": [0.5], "a": [0.65]}, references={"ceiling:clairvoyant": 0.95})
    text = page(without, tmp_path / "without")
    assert "headroom [95 %]" not in text
    assert "no headroom is given" in text


def test_rows_with_the_same_predictions_say_so(tmp_path: Path) -> None:
    results = Results()
    more = {name: {"answers": "abc"} for name in ("a", "b")} | {"c": {"answers": "other"}}
    results.board({"base_rate": [0.5], "a": [0.7], "b": [0.7], "c": [0.7]}, more=more)
    text = page(results, tmp_path)
    assert "a and b: equal answers, the same order of all questions" in text
    assert "a and b and c agree in roc_auc, though their answers differ" in text


def test_records_without_the_new_fields_are_readable(tmp_path: Path) -> None:
    results = Results()
    results.board({"base_rate": [0.5], "a": [0.7]})
    for record in results.records:
        record.pop("family", None)
        record["environment"] = {k: v for k, v in record["environment"].items() if k != "speed"}
    text = page(results, tmp_path, plots=True)
    assert "| family" not in text
    assert "GFLOP/s" not in text


def test_the_head_of_the_page_has_the_speed_of_a_core(tmp_path: Path) -> None:
    results = Results()
    results.board({"base_rate": [0.5], "a": [0.7]})
    assert "30 GFLOP/s and 12.5 GB/s of memory a core" in page(results, tmp_path)
