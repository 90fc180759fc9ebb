"""A mapping of a team's own: what it makes of a file, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.event_files import write

from eventlog import EventLog, InputError
from eventlog.ingest.ingest import import_file
from eventlog.ingest.mapping import load


def mapping_file(folder: Path, text: str) -> Path:
    return write(folder, "my.toml", text)


BASE = (
    '[columns]\nuser_id = "wer"\n[time]\ncolumn = "wann"\nformat = "%d.%m.%Y %H:%M"\n'
    'timezone = "Europe/Berlin"\n'
)


def test_a_mapping_of_ones_own(tmp_path: Path) -> None:
    toml = mapping_file(
        tmp_path,
        'currency = "EUR"\n'
        + BASE.replace("[time]", 'price = "preis"\n[time]')
        + (
            '[file]\nencoding = "latin-1"\ndelimiter = ";"\ndecimal = ","\n[event]\ncolumn = '
            '"was"\n[roles]\n"gekauft" = "purchase"\n'
            '[[labels]]\ncolumn = "betrug"\nkind = "fraud"\nvalues = {ja = 1, nein = '
            "0}\ndelay_days = 2\n"
            '[users]\nort = "ort"\n[[rules]]\ncolumn = "preis"\nequals = "99"\nreject = "test '
            'order"\n'
        ),
    )
    rows = [
        "müller;01.07.2026 12:00;gekauft;3,50;ja;Köln",
        "x;01.01.2026 12:00;gekauft;2;nein;Bonn",
        "x;02.01.2026 12:00;gekauft;99;nein;Bonn",
    ]
    file = write(
        tmp_path, "a.csv", ("wer;wann;was;preis;betrug;ort\n" + "\n".join(rows)).encode("latin-1")
    )
    summary = import_file(file, tmp_path / "log", mapping=load(toml), allow_rejects=["test order"])
    log = EventLog.read(tmp_path / "log")
    assert summary.rejects == {"test order": (1, 4)}
    assert log.events["timestamp"].dt.hour.tolist() == [10, 11]  # summer and winter time
    assert log.events["price"].tolist() == [3.5, 2.0]
    assert log.role().tolist() == ["purchase", "purchase"]
    assert log.manifest["currency"] == "EUR"
    assert log.users is not None and log.labels is not None
    assert dict(
        zip(log.users["user_id"].astype(str), log.users["ort"].astype(str), strict=True)
    ) == {"müller": "Köln", "x": "Bonn"}
    assert (log.labels["known_at"] - log.events["timestamp"]).dt.days.tolist() == [2, 2]
    missing = write(tmp_path, "b.csv", b"wer;was\nx;y\n")
    with pytest.raises(
        InputError, match="has no column 'preis' for price; its columns are wer, was"
    ):
        import_file(missing, tmp_path / "log2", mapping=load(toml))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            BASE + '[event]\nconstant = "x"\n[tiem]\n',
            "No key of mapping .*my.toml is called 'tiem'; did you mean 'time'",
        ),
        (
            BASE.replace("format", "fromat") + '[event]\nconstant = "x"\n',
            r"No key of .*my.toml, \[time\] is called 'fromat'; did you mean 'format'",
        ),
        (BASE + '[event]\nconstant = "x"\n[roles]\nx = "purchas"\n', "did you mean 'purchase'"),
        (BASE.replace("user_id", "userid") + '[event]\nconstant = "x"\n', "did you mean 'user_id'"),
        (BASE, r"either a column or a constant in \[event\]"),
        (BASE + "[event]\nconstant = 3\n", r"my.toml: event.constant is 3; it must be a text"),
        (
            BASE.replace("format", 'unit = "m"\nformat') + '[event]\nconstant = "x"\n',
            "time.unit is .m.; it must be one of auto, days, hours, minutes, ms",
        ),
        ("[columns\n", "is not valid TOML"),
        (
            BASE + '[event]\nconstant = "x"\n[[rules]]\ncolumn = "a"\nevent = "b"\n',
            "needs exactly one of",
        ),
        (
            BASE + '[event]\nconstant = "x"\n[[labels]]\ncolumn = "a"\n',
            r"my.toml, \[labels\[0\]\] lacks kind",
        ),
    ],
)
def test_a_wrong_mapping_names_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load(mapping_file(tmp_path, text))
