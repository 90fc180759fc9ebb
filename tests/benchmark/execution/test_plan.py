from __future__ import annotations

import json
from pathlib import Path

import pytest
from fixtures.tiny import tiny_log

from benchmark import suite
from benchmark.__main__ import main
from benchmark.execution import fingerprint, runner
from benchmark.execution.plan import Cell, answers, plan
from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError, UnknownNameError


def cells(folder: Path, **more) -> dict[str, Cell]:
    loaded = suite.load(
        "all", log=folder, **{"models": ["popularity", "logistic"], "generators": [], **more}
    )
    return {str(c): c for c in plan(loaded)}


def test_keys_are_repeatable_and_hold_what_decides(tiny_folder: Path, tmp_path: Path) -> None:
    base = cells(tiny_folder)
    assert {n: c.key for n, c in cells(tiny_folder).items()} == {n: c.key for n, c in base.items()}
    name = "model tiny churn logistic seed 0"
    changed = cells(tiny_folder, overrides=["settings.models.logistic.c=0.5"])
    assert changed[name].key != base[name].key
    assert changed["data tiny churn"].key == base["data tiny churn"].key
    assert (
        changed["model tiny recommendation popularity seed 0"].key
        == base["model tiny recommendation popularity seed 0"].key
    )
    task = cells(tiny_folder, overrides=["settings.tasks.churn.horizon_days=3"])
    assert task["data tiny churn"].key != base["data tiny churn"].key
    assert task[name].key != base[name].key
    assert task["data tiny fraud"].key == base["data tiny fraud"].key
    other = cells(tiny_log(seed=1).write(tmp_path / "tiny"))
    assert not {c.key for c in other.values()} & {c.key for c in base.values()}
    same = cells(tiny_log().write(tmp_path / "copy" / "tiny"))  # the same data elsewhere
    assert {n: c.key for n, c in same.items()} == {n: c.key for n, c in base.items()}


def test_settings_for_one_task_only(tiny_folder: Path) -> None:
    base = cells(tiny_folder)
    changed = cells(tiny_folder, overrides=["settings.models.logistic.fraud.c=0.5"])
    assert (
        changed["model tiny churn logistic seed 0"].key
        == base["model tiny churn logistic seed 0"].key
    )
    assert (
        changed["model tiny fraud logistic seed 0"].key
        != base["model tiny fraud logistic seed 0"].key
    )


def test_a_budget_holds_for_every_model_that_trains_within_one(
    tiny_folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        '"""Mine."""\n\nfrom baselines.models.sequence.lstm import LSTM\n\n\n'
        'class Mine(LSTM):\n    """An LSTM of my own."""\n'
    )
    made = cells(
        tiny_folder,
        models=["popularity", "lstm", str(mine)],
        overrides=[
            "settings.budgeted.budget=3",
            "settings.budgeted.recommendation.budget=4",
            "settings.models.lstm.budget=5",
        ],
    )

    def given(task: str, model: str) -> object:
        return made[f"model tiny {task} {model} seed 0"].spec["model_settings"].get("budget")

    assert (given("churn", "mine"), given("recommendation", "mine")) == (3, 4)
    assert (given("churn", "lstm"), given("recommendation", "lstm")) == (5, 5)
    assert given("recommendation", "popularity") is None


def test_what_a_cell_needs_stands_before_it() -> None:
    seen: set[str] = set()
    for cell in plan(suite.load("all")):
        assert set(cell.needs) <= seen
        assert cell.key not in seen
        seen.add(cell.key)


def test_questions_that_no_model_would_answer_are_not_made(tiny_folder: Path) -> None:
    made = cells(tiny_folder, generators=["markov"], models=["popularity", "markov", "s_learner"])
    assert "data tiny uplift" in made
    assert "data tiny recommendation trained on markov seed 0" in made
    assert "data tiny churn trained on markov seed 0" not in made


def test_models_or_tasks_alone_train_no_generator() -> None:
    def kinds(**more) -> set[str]:
        return {c.kind for c in plan(suite.load("all", profile="smoke", **more))}

    assert "generator" in kinds()
    assert "generator" not in kinds(models=["popularity"])
    assert "generator" not in kinds(tasks=["churn"])
    assert "generator" in kinds(models=["popularity"], generators=["markov"])


def test_a_log_is_asked_what_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        "tasks = ['churn', 'fraud']\nmodels = ['logistic']\n[generators.markov]\n"
        "[logs.shop]\nscenario = 'shop'\nusers = 900\nlearn_users = 300\nskip_tasks = ['fraud']\n"
        "[logs.retail]\ndataset = 'online-retail'\ngenerators = false\n"
    )
    made = plan(suite.load(str(tmp_path / "mine.toml")))
    asked = {(c.label["log"], c.label["task"]) for c in made if c.kind == "data"}
    assert asked == {("shop", "churn"), ("retail", "churn"), ("retail", "fraud")}
    assert {c.label["log"] for c in made if c.kind == "generator"} == {"shop"}
    learn = {c.label["log"]: c.spec["learn_users"] for c in made if c.kind != "log"}
    assert learn == {"shop": 300, "retail": None}
    only = plan(suite.load(str(tmp_path / "mine.toml"), tasks=["fraud"]))
    assert {c.label["log"] for c in only} == {"retail"}


def test_models_that_are_skipped_run_where_they_are_asked_for_by_name() -> None:
    def names(**more) -> set[str]:
        return {c.label["model"] for c in plan(suite.load("all", **more)) if c.kind == "model"}

    assert "hstu" not in names() and "hstu" in names(profile="full")
    assert "hstu" in names(models=["hstu"])
    with pytest.raises(UnknownNameError, match=r"skip_models.*did you mean 'lstm'"):
        names(overrides=["skip_models=['lstmm']"])


def test_models_are_skipped_on_a_log_for_one_task() -> None:
    def asked(log: str, **more) -> set[str]:
        made = plan(suite.load("all", profile="published", **more))
        own = (c for c in made if c.kind == "model" and c.label["log"] == log)
        return {c.label["model"] for c in own if c.label["task"] == "uplift"}

    assert {"lstm", "s_learner"} <= asked("shop")
    assert "s_learner" in asked("drift") and not {"lstm", "transformer"} & asked("drift")
    assert "lstm" in asked("drift", models=["lstm"])
    with pytest.raises(UnknownNameError, match=r"skip_models.*did you mean 'lstm'"):
        asked("drift", overrides=["logs.drift.skip_models_of={churn=['lstmm']}"])


def test_a_model_is_fitted_twice_for_its_first_seed(tiny_folder: Path) -> None:
    made = cells(tiny_folder, models=["lightgbm"], seeds=[4, 5], overrides=["tasks=['churn']"])
    refit = {c.label["seed"]: c.spec["refit"] for c in made.values() if c.label.get("seed")}
    assert refit == {4: True, 5: False}


def test_the_default_is_lighter_than_what_is_published() -> None:
    def spec(profile: str) -> dict:
        made = plan(suite.load("all", profile=profile))
        return next(c.spec for c in made if str(c) == "model shop fraud transformer seed 0")

    assert spec("published")["shuffled_questions"] == spec("full")["shuffled_questions"] == 4_000
    assert spec("published")["model_settings"] == {"budget": 6}
    assert spec("default")["model_settings"] == {"budget": 4, "label_length": 128}


def test_the_sample_does_not_decide_the_log(tiny_folder: Path) -> None:
    def shop(*given: str) -> dict[str, Cell]:
        made = plan(suite.load("churn", overrides=given, models=["logistic"]))
        return {c.kind: c for c in made if c.label["log"] == "shop"}

    whole, some = shop(), shop("logs.shop.learn_users=50")
    assert whole["log"].key == some["log"].key
    assert whole["data"].key != some["data"].key


def test_a_new_seed_adds_cells_and_changes_none(tiny_folder: Path) -> None:
    models = ["popularity", "mlp"]
    one, two = (cells(tiny_folder, models=models, seeds=seeds) for seeds in ([0], [0, 1]))
    assert {c.key for c in one.values()} < {c.key for c in two.values()}
    added = {two[name].label["model"] for name in two.keys() - one.keys()}
    assert added == {"mlp"}  # popularity draws nothing, and is fitted once


def test_a_model_may_have_seeds_of_its_own(tiny_folder: Path) -> None:
    few = ["model_seeds.mlp=[1]", "seeds=[0, 1, 2]"]

    def seeds(**more) -> dict[str, list[int]]:
        made = cells(tiny_folder, models=["mlp", "lightgbm"], tasks=["churn"], **more).values()
        fits = [c.label for c in made if c.kind == "model"]
        names = ("mlp", "lightgbm")
        return {n: [f["seed"] for f in fits if f["model"] == n] for n in names}

    assert seeds(overrides=few) == {"mlp": [1], "lightgbm": [0, 1, 2]}
    # what the command line asks for holds for all
    assert seeds(overrides=few, seeds=[5]) == {"mlp": [5], "lightgbm": [5]}
    with pytest.raises(UnknownNameError, match=r"model_seeds.*did you mean 'mlp'"):
        seeds(overrides=["model_seeds.mlpp=[1]"])


def test_a_plugins_code_is_in_its_key(tiny_folder: Path, plugin) -> None:
    path = plugin("mine")
    before = cells(tiny_folder, models=[path])["model tiny churn mine seed 0"].key
    text = Path(path).read_text()
    Path(path).write_text(
        "# a comment\n"
        + text.replace('"""A model of one\'s own that mine."""', '"""Other words."""')
    )
    fingerprint._hash.cache_clear()
    assert cells(tiny_folder, models=[path])["model tiny churn mine seed 0"].key == before
    Path(path).write_text(text.replace("0.5", "0.6"))
    fingerprint._hash.cache_clear()
    assert cells(tiny_folder, models=[path])["model tiny churn mine seed 0"].key != before


def test_the_code_of_an_installed_plugin_is_in_its_key(
    tiny_folder: Path, plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "theirs-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[shoptwin.baselines.models]\ninstalled = their_model:Mine\n"
    )
    module = tmp_path / "site" / "their_model.py"
    module.write_text(Path(plugin("mine")).read_text())
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert "installed" in plugins.names("baselines.models")
    before = cells(tiny_folder, models=["installed"])["model tiny churn installed seed 0"].key
    module.write_text(module.read_text().replace("0.5", "0.6"))
    fingerprint._hash.cache_clear()
    assert (
        cells(tiny_folder, models=["installed"])["model tiny churn installed seed 0"].key != before
    )


def test_code_follows_imports() -> None:
    closure = fingerprint.closure("benchmark.task")
    assert fingerprint._locate("benchmark.evaluation.metrics") in closure
    assert fingerprint._locate("eventlog.encode") in closure
    assert fingerprint._locate("benchmark.report.leaderboard") not in closure


def test_an_import_inside_a_function_counts() -> None:
    assert fingerprint._locate("simulator.truth.oracles") in fingerprint.closure(
        "benchmark.execution.cells.reference"
    )


def test_what_a_plugin_outside_the_packages_imports_counts(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "def late():\n    from baselines.models.sequence import lstm\n"
        "import benchmark.tasks.churn, numpy\n"
    )
    closure = fingerprint.closure(path)
    inside = fingerprint.closure("baselines.models.sequence.lstm") | fingerprint.closure(
        "benchmark.tasks.churn"
    )
    assert closure >= {path, *inside}
    # and nothing more than the package in which `lstm` stands
    assert {p.name for p in closure - inside} == {"mine.py", "__init__.py"}


def test_a_closure_holds_what_each_of_its_modules_imports() -> None:
    for root in (
        "benchmark.execution.cells.model",
        "baselines.models.sequence.lstm",
        "simulator.api",
    ):
        closure = fingerprint.closure(root)
        for path in closure:
            for name in fingerprint._imported_modules(path):
                assert fingerprint._locate(name) in closure


def test_facts_are_read_without_importing(plugin) -> None:
    assert fingerprint.class_facts("benchmark.tasks", "churn")["kind"] == "binary"
    assert fingerprint.class_facts("baselines.models", plugin("mine"))["kinds"] == {
        "next_item",
        "binary",
    }
    assert answers("popularity", "recommendation")
    assert not answers("popularity", "churn")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks = 3", "must be a list"),
        ("limit_s = 'fast'", "limit_s is 'fast'; it must be a number"),
        ("seeds = ['a']", r"seeds\[0\] is 'a'; it must be a whole number"),
        ("seeds = [-1]", r"seeds\[0\] is -1; it must be a whole number from 0"),
        ("[logs.a]\nusers = 0", "users is 0; it must be a whole number of at least 1"),
        ("limit_s = 0", "limit_s is 0; it must be a number above 0"),
        ("[profiles.full]\nlimit_s = true", "profiles.full.limit_s is True; it must be a number"),
        ("settings.model.lstm.epochs = 3", "did you mean 'models'"),
        ("[logs.a]\nusers = 'many'", "users is 'many'; it must be a whole number"),
        ("[settings.models]\nlstm = 3", "must be a table"),
        (
            "tasks = ['churn']\n[logs.a]\nscenario = 'shop'\n[settings.models.lstmm]\nepochs = 3",
            "did you mean 'lstm'",
        ),
        ("[generators.vae]\nepsilon = 'one'", "epsilon is 'one'; it must be a number"),
        ("tsks = ['churn']", "did you mean 'tasks'"),
        ("[logs.a]\nusrs = 3", "did you mean 'users'"),
        ("tasks = ['churn']\n[logs.a]\nusers = 3", "either scenario, folder or dataset"),
        ("tasks = ['churn']", "names no log"),
        ("a =", "TOML"),
        ("tasks = ['churm']\n[logs.a]\nscenario = 'shop'", "did you mean 'churn'"),
        ("[profiles.smok]", "did you mean 'smoke'"),
    ],
)
def test_a_wrong_suite_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        suite.load(str(tmp_path / "mine.toml"))


def test_wrong_names_suggest_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'all'"):
        suite.load("al")
    with pytest.raises(UnknownNameError, match="did you mean 'smoke'"):
        suite.load("all", profile="smok")
    with pytest.raises(UnknownNameError, match="did you mean 'lstm'"):
        suite.load("all", models=["lstmm"])


def test_a_file_that_cannot_be_a_model_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\ndef x(:\n")
    with pytest.raises(InputError, match=r"broken.py is not valid Python in line 2"):
        plan(suite.load("all", models=[str(tmp_path / "broken.py")]))
    with pytest.raises(InputError, match="is a folder, not a Python file"):
        suite.load("all", models=[str(tmp_path) + "/"])
    (tmp_path / "lstm.py").write_text("x = 1\n")
    with pytest.raises(
        InputError,
        match=r"Two models would be called 'lstm' in the tables: lstm and .*lstm.py; rename",
    ):
        suite.load("all", models=["lstm", str(tmp_path / "lstm.py")])
    with pytest.raises(InputError, match="Two generators would have one name"):
        suite.load("all", generators=["markov", "./markov.py"])


def test_every_suite_can_be_planned_under_every_profile() -> None:
    for name in suite.names():
        assert suite.describe(name)
        for profile in suite.PROFILES:
            assert plan(suite.load(name, profile=profile))


def test_the_schema_knows_every_key_of_a_suite_file(capsys: pytest.CaptureFixture[str]) -> None:
    main(["list", "--schema"])
    schema = json.loads(capsys.readouterr().out)
    keys = schema["$defs"]["SuiteFile"]["properties"]
    assert {"logs", "generators", "profiles", "settings"} <= set(keys)
    for name in suite.names():
        assert set(suite._read(name)) <= set(keys)


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ('frozenset({"nextitem"})', r"kinds of .*mistyped.*did you mean 'next_item'"),
        ('"next_item"', r"mistyped.*write kinds = frozenset\(\{'next_item'\}\)"),
    ],
)
def test_a_kind_that_no_task_asks_is_one_sentence(
    tiny_folder: Path, plugin, kinds: str, said: str
) -> None:
    path = Path(plugin("mistyped"))
    path.write_text(
        path.read_text().replace('kinds = frozenset({"next_item", "binary"})', f"kinds = {kinds}")
    )
    with pytest.raises(InputError, match=said):
        cells(tiny_folder, models=[str(path)])


def test_a_model_that_answers_no_question_of_the_suite_is_named(
    tiny_folder: Path, plugin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(plugin("binary_only"))
    path.write_text(path.read_text().replace('{"next_item", "binary"}', '{"binary"}'))
    asked = {"log": tiny_folder, "engine_name": "serial", "out": tmp_path / "out"}
    with pytest.raises(InputError, match="No task of the suite asks a kind of question that bin"):
        runner.run_suite("recommendation", models=[str(path)], **asked)
    runner.run_suite("recommendation", models=["popularity", str(path)], **asked)
    assert "left out: binary_only answers no kind of question" in capsys.readouterr().err
