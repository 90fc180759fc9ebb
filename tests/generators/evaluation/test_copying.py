"""Generators that copy their training log are found under any disguise, shown and not ranked;
honest ones are ranked.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures import copycats
from fixtures.copycats import DISGUISES, HONEST, Copycat
from fixtures.tiny import tiny_log

from benchmark import api
from benchmark.evaluation.control import hold_out
from benchmark.execution import runner
from benchmark.execution.results import Store
from benchmark.report import compare, generated_section, leaderboard
from benchmark.report.aggregate import boards
from benchmark.report.generated import generated
from eventlog import EventLog
from generators.evaluation import copying, fidelity
from generators.evaluation.align import align_logs
from generators.evaluation.measures import MEASURES

QUICK = ["settings.tasks.churn.min_customers=5"]


@pytest.fixture(scope="module")
def log() -> EventLog:
    return tiny_log(users=240, rows=6_000)


@pytest.fixture(scope="module")
def parts(log: EventLog) -> tuple[EventLog, EventLog]:
    fitted, control = hold_out(log)
    assert control is not None
    return fitted, control


def audit(fitted: EventLog, synthetic: EventLog, control: EventLog) -> copying.CopyAudit:
    return copying.examine(*align_logs(fitted, synthetic, control), seed=0)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_copier_is_caught_in_every_disguise(
    parts: tuple[EventLog, EventLog], disguise: str
) -> None:
    fitted, control = parts
    generator = Copycat(disguise=disguise)
    generator.fit(fitted, seed=0)
    found = audit(fitted, generator.sample(240, seed=0), control)
    assert found.caught is not None
    assert found.copies.low > (0.25 if disguise == "half of the users" else 0.7)


def test_honest_logs_are_not_caught(parts: tuple[EventLog, EventLog]) -> None:
    """Other users of the same shop, and the same rows with their columns shuffled."""
    fitted, control = parts
    generator = Copycat(disguise=HONEST)
    generator.fit(fitted, seed=0)
    for synthetic in (
        generator.sample(240, seed=0),
        *(tiny_log(users=240, rows=6_000, seed=seed) for seed in range(1, 6)),
    ):
        found = audit(fitted, synthetic, control)
        assert found.caught is None, found
        assert found.copies.low < 0.1


def test_a_fitted_generator_is_not_caught(parts: tuple[EventLog, EventLog]) -> None:
    import generators

    fitted, control = parts
    sample = generators.fit(fitted, model="markov", seed=0).sample(240, seed=0)
    assert audit(fitted, sample, control).caught is None


def test_a_log_without_items_and_prices_shows_copies_by_its_times(
    parts: tuple[EventLog, EventLog],
) -> None:
    fitted, control = (
        EventLog(events=x.events[["event_id", "user_id", "timestamp", "event"]]) for x in parts
    )
    events = fitted.events.assign(
        user_id=fitted.events["user_id"].cat.rename_categories(lambda u: "x" + u)
    )
    assert audit(fitted, EventLog(events=events), control).caught is not None
    other = EventLog(events=tiny_log(users=240, rows=6_000, seed=1).events[list(fitted.events)])
    assert audit(fitted, other, control).caught is None


def test_a_detection_far_below_one_half_fails(log: EventLog) -> None:
    """What half of the real users give beside a copy of all of them."""
    rule = MEASURES["detection_auc"]
    limit = rule.limit(0.5)
    assert [rule.verdict(auc, limit) for auc in (0.319, 0.5, 0.681)] == ["fail", "pass", "fail"]
    real = EventLog(events=log.events)
    generator = Copycat()
    generator.fit(real, seed=0)
    rows = {r.name: r for r in fidelity.compare(real, generator.sample(240, seed=0), columns=False)}
    assert rows["detection_auc"].value < 0.4
    assert rows["detection_auc"].verdict == "fail"


def test_held_out_users_follow_from_their_ids(log: EventLog) -> None:
    fitted, control = hold_out(log)
    assert control is not None
    ours, theirs = ({str(u) for u in x.events["user_id"].unique()} for x in (fitted, control))
    assert not ours & theirs
    assert len(ours | theirs) == 240
    assert len(theirs) == 60  # a quarter: a tenth is fewer than a hundred
    assert len(fitted) + len(control) == len(log)
    early = log.before(log.span[0] + (log.span[1] - log.span[0]) / 2)
    again = hold_out(early)[1]
    assert again is not None
    assert {str(u) for u in again.events["user_id"].unique()} <= theirs | {
        str(u) for u in early.events["user_id"].unique()
    }
    few = log.only_users(["u001", "u002", "u003"])
    assert hold_out(few) == (few, None)


@pytest.fixture(scope="module")
def results(log: EventLog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board of a copier and an honest generator; the copier passes more measures."""
    folder = tmp_path_factory.mktemp("copiers")
    log.write(folder / "log")
    plugin = Path(copycats.__file__)
    (folder / "mine.toml").write_text(f"""
description = "A copier and an honest generator."
tasks = ["churn"]
models = ["base_rate", "recency", "logistic"]
fidelity_columns = false
[logs.tiny]
folder = "{folder / "log"}"
[generators.copycat]
model = "{plugin}"
settings = {{ disguise = "items renamed" }}
[generators.shuffled]
model = "{plugin}"
settings = {{ disguise = "{HONEST}" }}
""")
    outcome = runner.run_suite(str(folder / "mine.toml"), out=folder / "results", settings=QUICK)
    assert not outcome.failed
    assert not outcome.left_out
    return folder / "results"


def test_no_generator_sees_the_held_out_users(results: Path, log: EventLog) -> None:
    store = Store(results)
    record = next(r for r in store.records if r["kind"] == "generator")
    assert record["train_users"] == record["users"] - record["users"] // 4
    fidelity_record = next(r for r in store.records if r["kind"] == "fidelity")
    assert fidelity_record["privacy"]["control_users"] == record["users"] // 4


def test_a_copier_is_flagged_and_not_ranked(results: Path, tmp_path: Path) -> None:
    store = Store(results)
    cells = store.plan()["cells"]
    ranked, copier = generated(store, cells, "tiny")
    assert (ranked.name, ranked.rank, ranked.copies) == ("shuffled", 1.0, None)
    assert (copier.name, copier.rank) == ("copycat", None)
    assert copier.share_passed > ranked.share_passed
    page = leaderboard.write(store, tmp_path)
    rows = [
        [c.strip() for c in line.strip("|").split("|")]
        for line in page.read_text().splitlines()
        if line.startswith("|")
    ]
    head = next(row for row in rows if "copies at risk [95 %]" in row)
    table = rows[rows.index(head) + 2 :]
    first, second = (dict(zip(head, row, strict=True)) for row in table[:2])
    assert (first["rank"], first["generator"]) == ("1", "shuffled")
    assert (second["rank"], second["generator"]) == ("copies", "copycat")
    assert float(second["copies at risk [95 %]"].split()[0]) > 0.8
    assert float(second["membership AUC [95 %]"].split()[0]) > 0.8
    assert second["epsilon"] == "none"
    for text in (page.read_text(), (tmp_path / "leaderboard" / "index.html").read_text()):
        assert "copycat copies its training log" in text
        assert "copycat (copies)" in text
        assert "not ranked" in text
    assert (
        "copycat" not in (tmp_path / "leaderboard" / "tiny-utility-of-generators.svg").read_text()
    )
    assert [line.split()[:3] for line in generated_section.copiers(store)] == [
        ["COPIES:", "generator", "copycat"]
    ]


def test_a_copier_is_told_wherever_models_are_trained_on_it(results: Path) -> None:
    store = Store(results)
    [board] = boards(store, store.plan()["cells"])
    assert board.sources == ["shuffled", "copycat"]
    assert list(board.copiers) == ["copycat"]
    told = [line for line in compare.lines(store, store) if "from a copy of the real log" in line]
    assert len(told) == 3
    assert all("trained on copycat" in line for line in told)


def test_the_table_for_python_says_which_source_copies(results: Path) -> None:
    frame = api.run(str(results.parent / "mine.toml"), out=results, settings=QUICK)
    assert set(frame[frame["copies"].notna()]["source"]) == {"copycat"}
    assert (frame["source"] == "copycat").sum() == 3
