from __future__ import annotations

import argparse
import json
import re
from html.parser import HTMLParser

import pytest
from fixtures.shop_logs import renamed, shop_log

from eventlog import EventLog, InputError
from generators.__main__ import parser
from generators.privacy import judgement, statement
from generators.report import build as report

EVIL = '<script>alert("x")</script>&$\\frac{1}{2}$ '
PRIVACY = {
    "epsilon": 3.0,
    "delta": 1e-6,
    "unit": "user",
    "noise_source": "system",
    "public": ["category", "<b>"],
    "ledger": [
        {"mechanism": "DP-SGD", "what": "weights", "epsilon": 2.5, "delta": 1e-6, "noise": 1.1},
        {"mechanism": "Laplace", "what": "items | lengths", "epsilon": 0.5, "delta": 0.0},
    ],
}


@pytest.fixture(scope="module")
def logs() -> dict[str, EventLog]:
    """Hostile names in every text column, as a team's own log may hold."""
    out = {}
    for seed, (kind, prefix) in enumerate((("real", "u"), ("synthetic", "s"), ("holdout", "h"))):
        log = shop_log(users=60, seed=seed, prefix=prefix, names=EVIL)
        log.events["event"] = log.events["event"].cat.rename_categories({"search": EVIL})
        log.events["category"] = log.events["category"].cat.rename_categories(lambda c: c + EVIL)
        log.events["note|<i>"] = log.events["country"]
        out[kind] = log
    return out


@pytest.fixture(scope="module")
def built(logs) -> report.Report:
    logs["synthetic"].manifest["privacy"] = PRIVACY
    return report.build(
        logs["real"],
        logs["synthetic"],
        logs["holdout"],
        seed=1,
        utility=[
            {
                "task": "churn",
                "metric": "pr_auc",
                "train_on_real": 0.5,
                "train_on_synthetic": 0.46,
                "base": 0.2,
            },
            {"task": EVIL, "metric": "ndcg@10", "share": 0.97, "limit": 0.9},
        ],
        canaries={"epsilon": 0.4, "reachable": 2.9, "canaries": 100, "guesses": 50, "correct": 30},
    )


def html_of(built: report.Report) -> str:
    return report.html.page(built.data, built.pictures)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [v for k, v in attrs if k == "id"]
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_data(self, data):
        self.text += data


def test_the_page_is_escaped_and_stands_alone(built):
    html = html_of(built)
    tags = Tags()
    tags.feed(html)
    assert not {"script", "link", "img", "iframe", "object", "i", "foreignObject"} & set(tags.tags)
    assert tags.tags.count("svg") == 7
    inner = [link for link in tags.links if not link.startswith("data:image/png;base64,")]
    assert all(link.startswith("#") for link in inner)
    assert len(tags.ids) == len(set(tags.ids))
    assert {link[1:] for link in inner} <= set(tags.ids)
    assert "http" not in html
    assert "mathdefault" not in html
    assert "url(" not in re.sub(r"url\(#", "", html)
    assert EVIL.strip() in tags.text  # shown as it is, not dropped


def test_what_is_proved_is_said_with_its_ledger(built):
    tags = Tags()
    tags.feed(html_of(built))
    assert "ε = 3, δ = 1e-06 per user is claimed" in tags.text
    assert "20.1" in tags.text  # e^3
    for word in ("DP-SGD", "weights", "items | lengths", "Declared public", "category, <b>"):
        assert word in tags.text
    assert built.data["sections"][0]["verdict"] == "pass"
    assert built.data["canaries"]["epsilon"] == 0.4


def test_what_tells_the_two_apart_is_named(built):
    first = built.data["telling"][0]
    assert 0 < first["gain"] <= 1
    assert len(built.data["telling"]) <= report.TELLING
    assert "What tells them apart" in html_of(built)


def test_columns_stand_one_by_one_and_the_verdicts_are_counted(built):
    names = {c["name"] for c in built.data["columns"]}
    assert {"event", "country", "price", "note|<i>"} <= names
    page = html_of(built)
    assert "Column by column" in page
    assert f"Of {len(built.data['sections'])} sections:" in page
    assert "\u202e" not in report.plots.printable("a\u202eb\x00c")


def test_every_section_has_a_verdict_and_a_threshold(built):
    titles = {s["title"] for s in built.data["sections"]}
    assert {"Privacy, proved", "Privacy, attacked", "Utility", "Fidelity: What users do"} <= titles
    assert all(
        s["verdict"] in ("pass", "fail", "unsettled") and s["held_to"]
        for s in built.data["sections"]
    )
    utility = built.data["utility"]["rows"]
    assert utility[0]["share"] == pytest.approx(0.26 / 0.3)
    assert [r["verdict"] for r in utility] == ["fail", "pass"]


def test_report_json_is_strict_json(built):
    text = json.dumps(built.data, allow_nan=False)
    assert json.loads(text)["inputs"]["real"]["users"] == 60


def test_the_data_card_tells_nothing_of_the_real_log(built):
    card = built.card
    assert "ε = 3" in card
    assert "DP-SGD" in card
    assert "items \\| lengths" in card
    assert "note\\|&lt;i&gt;" in card
    assert "<script" not in card
    real_rows = built.data["facts"]["rows"][0]
    assert f"{real_rows:,.6g}" not in card
    assert not re.search(r"\b0\.\d{3,}.*floor", card)


def test_no_epsilon_no_holdout(logs):
    synthetic = EventLog(
        events=logs["synthetic"].events,
        labels=logs["synthetic"].labels,
        manifest={"made_by": "markov"},
    )
    built = report.build(logs["real"], synthetic, seed=1)
    tags = Tags()
    tags.feed(html_of(built))
    assert "Nothing is proved about the privacy of this log." in tags.text
    assert "no control group" in tags.text
    verdicts = {s["title"]: s["verdict"] for s in built.data["sections"]}
    assert verdicts["Privacy, proved"] == "unproved"
    assert verdicts["Privacy, attacked"] == "unsettled"
    assert verdicts["Utility"] == "not run"
    assert "Nothing is proved" in built.card


def test_a_log_whose_items_and_categories_are_all_missing_has_a_report():
    def bare(seed: int, prefix: str) -> EventLog:
        log = shop_log(users=30, seed=seed, prefix=prefix)
        return EventLog(
            events=log.events.assign(item_id=None, category=None, price=None), labels=log.labels
        )

    built = report.build(bare(0, "u"), bare(1, "s"), bare(2, "h"))
    assert "popularity" not in built.pictures
    assert built.data["sections"]


def test_a_generator_that_copies_is_caught(logs):
    copy = renamed(logs["real"], "x")
    built = report.build(logs["real"], copy, logs["holdout"], seed=1)
    verdicts = {s["title"]: s["verdict"] for s in built.data["sections"]}
    assert verdicts["Privacy, attacked"] == "fail"
    assert verdicts["Fidelity: What users do"] == "pass"


def test_the_command_writes_a_whole_folder(logs, tmp_path, capsys):
    for kind, log in logs.items():
        log.write(tmp_path / kind)
    args = parser().parse_args(
        ["report"]
        + [a for kind in logs for a in (f"--{kind}", str(tmp_path / kind))]
        + ["--out", str(tmp_path / "out")]
    )
    code = report.main(args)
    first = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    assert set(first) == {"report.html", "report.json", "data_card.md", "manifest.json"}
    assert (json.loads(first["report.json"])["decision"]["verdict"] == "do not release") == bool(
        code
    )
    assert report.main(args) == code  # the same seed, the same bytes
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    assert "Privacy, attacked" in capsys.readouterr().out
    inputs = json.loads(first["manifest.json"])["inputs"]
    assert all(entry["digest"] for entry in inputs.values())


@pytest.mark.parametrize(
    ("verdict", "code"), [("release", 0), ("release with conditions", 0), ("do not release", 1)]
)
def test_the_command_ends_with_the_decision(
    built, logs, tmp_path, capsys, monkeypatch, verdict, code
):
    for kind in ("real", "synthetic"):
        logs[kind].write(tmp_path / kind)
    given = {}

    def build(*logs, **options):
        given.update(options)
        decision = {"verdict": verdict, "reasons": ["It is\x1b so."], "conditions": []}
        return report.Report({**built.data, "decision": decision}, built.pictures, built.card)

    monkeypatch.setattr(report, "build", build)
    out = [f"--{kind}={tmp_path / kind}" for kind in ("real", "synthetic", "out")]
    given_for = ["--purpose", "teaching", "--recipient", "ACME"]
    assert report.main(parser().parse_args(["report", *out, *given_for])) == code
    said = capsys.readouterr().out.rstrip().splitlines()
    assert said[-1].lower().startswith(verdict)
    assert "reason: It is  so." in said
    assert (given["purpose"], given["recipient"]) == ("teaching", "ACME")


def test_an_unproved_log_that_leaks_is_not_released(logs):
    """The data card of such a log used to say: fit for building software, teaching, comparing
    models.
    """
    built = report.build(logs["real"], renamed(logs["real"], "x"), logs["holdout"], seed=1)
    assert built.data["decision"]["verdict"] == "do not release"
    assert "Do not release" in built.card
    assert "comparing models" not in built.card


def test_the_model_gives_settings_and_a_checksum(logs, tmp_path):
    (tmp_path / "model.json").write_text(json.dumps({"settings": {"clip": 4.0}, "data": {}}))
    made = report._generator(logs["synthetic"], tmp_path, None)
    assert made["settings"] == {"clip": 4.0}
    assert re.fullmatch("[0-9a-f]{16}", made["model"]["digest"])
    assert report._generator(logs["synthetic"], None, {"clip": 1})["settings"] == {"clip": 1}


def test_help_says_which_command_makes_each_input():
    said = " ".join(parser().subcommands()["report"].format_help().split())
    for option in ("--holdout", "--utility", "--canaries"):
        assert "generators share" in said[said.index(f"{option} ", said.index("options:")) :][:250]


def test_help_has_an_example():
    assert "python -m generators report" in parser().subcommands()["report"].format_help()


def test_out_that_is_somebody_elses_is_refused(logs, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    args = argparse.Namespace(real="a", synthetic="b", holdout=None, out=tmp_path / "mine")
    with pytest.raises(InputError, match="not written by this program"):
        report.main(args)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        [],
        [1],
        [{"task": "churn"}],
        {"rows": "x"},
        [{"share": "x"}],
        [{"share": [1]}],
        [{"share": float("nan")}],
        [{"share": True}],
        [{"train_on_real": "a", "train_on_synthetic": 1}],
        [{"share": 0.9, "limit": "x"}],
        [{"share": 0.5, "base": "x"}],
    ],
)
def test_utility_that_is_none(bad):
    with pytest.raises(InputError, match="utility results"):
        report._utility(bad)


@pytest.mark.parametrize(
    "bad", [[], {}, 3, {"epsilon": "x"}, {"epsilon": None}, {"epsilon": 1.0, "correct": [1]}]
)
def test_canaries_that_are_none(bad):
    with pytest.raises(InputError, match="canaries"):
        report._canaries(bad)


@pytest.mark.parametrize(
    "bad",
    [
        3,
        [],
        {"epsilon": "x"},
        {"epsilon": True},
        {"epsilon": [3]},
        {"epsilon": 3, "delta": "x"},
        {"epsilon": 3, "ledger": 3},
        {"epsilon": 3, "ledger": [3]},
        {"epsilon": 3, "ledger": [{"epsilon": "z"}]},
        {"epsilon": 3, "ledger": [{"sigma": "q"}]},
        {"epsilon": 3, "public": 3},
    ],
)
def test_a_statement_that_cannot_be_read(bad, tmp_path):
    with pytest.raises(InputError, match="privacy statement of the synthetic log"):
        statement.find({"privacy": bad})
    (tmp_path / "manifest.json").write_text(json.dumps({"privacy": bad}))
    if bad:
        with pytest.raises(InputError, match="privacy statement of"):
            statement.find({}, tmp_path)


# --- statements -----------------------------------------------------------------------------------


def test_a_statement_that_holds():
    assert judgement.judge(PRIVACY, users=600).verdict == "pass"


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"unit": "record"}, "fail"),
        ({"epsilon": 40.0}, "fail"),
        ({"epsilon": float("inf")}, "fail"),
        ({"delta": 0.01}, "fail"),
        ({"delta": None}, "fail"),
        ({"ledger": []}, "fail"),
        ({"ledger": [{"mechanism": "DP-SGD"}]}, "fail"),
        ({"epsilon": 2.9}, "unsettled"),
        ({"epsilon": None}, "unproved"),
    ],
)
def test_a_statement_with_a_hole(change, verdict):
    found = judgement.judge({**PRIVACY, **change}, users=600)
    assert found.verdict == verdict
    assert found.sentence
    assert found.meaning


def test_canaries_can_contradict_a_claim():
    assert judgement.judge(PRIVACY, users=600, canaries={"epsilon": 3.5}).verdict == "fail"


def test_a_log_and_a_model_must_not_disagree(tmp_path):
    (tmp_path / "model.json").write_text(json.dumps({"privacy": {**PRIVACY, "epsilon": 1.0}}))
    with pytest.raises(InputError, match="claims 1"):
        statement.find({"privacy": PRIVACY}, tmp_path)
    assert statement.find({}, tmp_path).epsilon == 1.0
    with pytest.raises(InputError, match="no saved generator"):
        statement.find({}, tmp_path / "nowhere")
