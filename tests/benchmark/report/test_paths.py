from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.report.paths import without_folders

RESULTS = Path("/home/ann/shop/results")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "run --log /home/ann/shop/log --out /home/ann/shop/results",
            "run --log log --out results",
        ),
        ("--models lstm,/home/ann/shop/models/mine.py", "--models lstm,models/mine.py"),
        ("--out=/srv/data/results/", "--out=…/results"),
        (
            "error: /home/ann/other/log has 1 user; give more.",
            "error: …/log has 1 user; give more.",
        ),
        (
            "OSError: [Errno 2] no file: '/tmp/a/b.parquet'",
            "OSError: [Errno 2] no file: '…/b.parquet'",
        ),
        ("~/shop/log and C:\\Users\\ann\\log", "…/log and …/log"),
        ("/home/ann/shop", "…/shop"),
    ],
)
def test_absolute_paths_go(text: str, expected: str) -> None:
    assert without_folders(text, RESULTS) == expected


@pytest.mark.parametrize(
    "text",
    [
        "µs/query and rows/CPU s, 0/1 cells, a / b",
        "s3://bucket/results and tcp://127.0.0.1:8786",
        "--log ../mylog --out results --models ./mine.py",
        "0.2972 [0.2657, 0.3269] ± 0.01; 69/99",
        "![a plot](leaderboard/shop-churn.svg) [metrics](reference/metrics.md)",
    ],
)
def test_nothing_changes_otherwise(text: str) -> None:
    assert without_folders(text, RESULTS) == text
