"""Tables and queries of databases."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from eventlog import EventLog, InputError
from eventlog.ingest.ingest import import_file, imported
from eventlog.ingest.mapping import preset
from eventlog.ingest.reading.databases import database_of


def shop(path: Path, name: str = "orders") -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {name} (user_id, created_at, event, item_id, price)")
        connection.executemany(
            f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?)",
            [
                ("u1", "2024-01-01 10:00:00", "view", "007", None),
                ("u1", "2024-01-01 10:05:00", "purchase", "007", 16777217.0),
                ("u2", "2024-01-02 10:00:00", "view", 9007199254740993, None),
            ],
        )
        connection.commit()
    return path


def test_a_table_and_a_query_of_sqlite(tmp_path: Path) -> None:
    file = shop(tmp_path / "shop.db")
    log = imported(file, tmp_path / "log")
    assert log.events["item_id"].astype(str).tolist() == ["007", "007", "9007199254740993"]
    assert log.events["price"].dropna().tolist() == [16777217.0]
    assert log.manifest["source"] == {"file": "shop.db"}
    some = imported(file, tmp_path / "some", sql="SELECT * FROM orders WHERE user_id = 'u1'")
    assert len(some) == 2
    shop(file, "refunds")
    with pytest.raises(InputError, match=r"has the tables orders, refunds; .*--sql"):
        import_file(file, tmp_path / "no")
    with pytest.raises(InputError, match=r"has no table .absent., which the query names"):
        import_file(file, tmp_path / "no", sql="SELECT * FROM absent")
    with pytest.raises(InputError, match="has no rows for"):
        import_file(file, tmp_path / "no", sql="SELECT * FROM orders WHERE 0")
    with pytest.raises(InputError, match=r"readonly|read-only"):
        import_file(file, tmp_path / "no", sql="DELETE FROM orders")
    with pytest.raises(InputError, match="two columns called 'user_id'"):
        import_file(file, tmp_path / "no", sql="SELECT user_id, * FROM orders")
    with pytest.raises(InputError, match="does not exist"):
        import_file(tmp_path / "none.sqlite", tmp_path / "no")


def test_a_password_is_in_no_message() -> None:
    database = database_of(["postgresql://me:secret@host:5432/shop?sslmode=require"], None)
    assert database is not None and database.name == "postgresql://me@host:5432/shop"


def test_a_file_of_duckdb_and_a_query_over_files(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    with closing(duckdb.connect(str(tmp_path / "shop.duckdb"))) as connection:
        connection.execute(
            "CREATE TABLE events AS SELECT 'u' || i AS user_id, TIMESTAMP '2024-01-01 10:00:00' + "
            "i * INTERVAL 1 HOUR AS time, 'view' AS event, 0.35::DECIMAL(9, 2) AS price "
            "FROM range(5) t(i)"
        )
        connection.execute("CREATE TABLE other (x INTEGER)")
    log = imported(tmp_path / "shop.duckdb", tmp_path / "log")
    assert len(log) == 5 and log.events["price"].tolist() == [0.35] * 5
    (tmp_path / "orders.csv").write_text("order_id,customer\n007,u1\n08,u2\n")
    (tmp_path / "lines.csv").write_text("order_id,sku,date\n007,1,2024-01-01\n007,2,2024-01-01\n")
    files = [tmp_path / "orders.csv", tmp_path / "lines.csv"]
    sql = "SELECT o.*, sku, date FROM orders o JOIN lines l USING (order_id)"
    joined = imported(files, tmp_path / "joined", sql=sql)
    assert joined.events["order_id"].astype(str).tolist() == ["007", "007"]
    with pytest.raises(InputError, match=r"has no table .nothing., which"):
        import_file(files, tmp_path / "no", sql="SELECT * FROM nothing")


def instacart(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE orders (order_id, user_id, eval_set, order_number, order_dow, "
            "order_hour_of_day, days_since_prior_order)"
        )
        connection.execute(
            "CREATE TABLE order_products__prior (order_id, product_id, add_to_cart_order, "
            "reordered)"
        )
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, 'prior', ?, ?, ?, ?)",
            [("11", "1", "1", "2", "08", ""), ("12", "1", "2", "3", "07", "15.0"),
             ("13", "1", "10", "3", "12", "21.0")],
        )  # fmt: skip
        connection.executemany(
            "INSERT INTO order_products__prior VALUES (?, ?, ?, ?)",
            [("11", "196", "1", "0"), ("11", "14084", "2", "0"), ("12", "196", "1", "1"),
             ("13", "196", "1", "1")],
        )  # fmt: skip
        connection.commit()
    return path


def test_instacart_is_two_tables_and_counts_days(tmp_path: Path) -> None:
    file = instacart(tmp_path / "instacart.sqlite")
    log: EventLog = imported(file, tmp_path / "log", mapping=preset("instacart"))
    assert log.events["timestamp"].astype(str).tolist() == [
        "2017-01-01 08:00:00+00:00",
        "2017-01-01 08:00:00+00:00",
        "2017-01-16 07:00:00+00:00",
        "2017-02-06 12:00:00+00:00",
    ]
    assert log.events["item_id"].astype(str).tolist() == ["196", "14084", "196", "196"]
    assert log.events["reordered"].tolist() == [0, 0, 1, 1]


def test_a_folder_of_files_is_tables_of_their_names(tmp_path: Path) -> None:
    file, folder = instacart(tmp_path / "instacart.sqlite"), tmp_path / "csv"
    folder.mkdir()
    with sqlite3.connect(file) as connection:
        for name in ("orders", "order_products__prior"):
            frame = pd.read_sql(f"SELECT * FROM {name}", connection, dtype=str)
            frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "README.txt").write_text("about")
    log, same = (
        imported(given, tmp_path / "log", mapping=preset("instacart")) for given in (folder, file)
    )
    pd.testing.assert_frame_equal(log.events, same.events)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL server of our own; skips where there is none."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs or shutil.which("runuser") is None or os.getuid() != 0:
        pytest.skip("there is no PostgreSQL server that can be started")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # its socket needs a short path
    shutil.chown(folder, "postgres")
    data, bin = folder / "data", programs[-1].parent

    def run(program: str, *arguments: str) -> None:
        command = ["runuser", "-u", "postgres", "--", str(bin / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    run("initdb", "-D", str(data), "-A", "trust", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql://postgres@/postgres?host={folder}"
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_a_table_of_postgresql(postgres: str, tmp_path: Path) -> None:
    dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi")
    with closing(dbapi.connect(postgres)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE events (user_id text, created_at timestamptz, event text, item_id bigint,"
            " price numeric(12, 2), tags text[])"
        )
        cursor.execute(
            "INSERT INTO events VALUES ('u1', '2024-07-01 12:00:00+02', 'view', 9007199254740993, "
            "NULL, '{a}'), ('u1', '2024-07-01 12:05:00+02', 'purchase', 5, 92445516.64, NULL)"
        )
        connection.commit()
    log = imported(postgres, tmp_path / "log")
    assert log.events["timestamp"].dt.strftime("%H:%M").tolist() == ["10:00", "10:05"]
    assert log.events["item_id"].astype(str).tolist() == ["9007199254740993", "5"]
    assert log.events["price"].tolist()[1] == 92445516.64
    assert "host" not in log.manifest["source"]["file"]
    one = imported(postgres, tmp_path / "one", sql="SELECT * FROM events WHERE price > 1")
    assert len(one) == 1
    with pytest.raises(InputError, match=r"cannot be read: .*absent"):
        import_file(postgres, tmp_path / "no", sql="SELECT * FROM absent")
