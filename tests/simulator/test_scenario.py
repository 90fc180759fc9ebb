import pytest

from eventlog._runtime.errors import InputError, UnknownNameError
from simulator import scenario


def test_every_scenario_loads_and_keeps_its_name():
    assert {"shop", "small", "fraud-wave"} <= set(scenario.names())
    for name in scenario.names():
        assert scenario.load(name).name == name
        assert scenario.load(name).description


def test_settings_change_what_they_name_and_nothing_else():
    plain, changed = (
        scenario.load("shop"),
        scenario.load("shop", {"fraud.share": 0.03, "catalogue.items": 500}),
    )
    assert (changed.fraud.share, changed.catalogue.items) == (0.03, 500)
    assert changed.shoppers == plain.shoppers
    assert (
        scenario.load("shop", scenario.parse_settings(["fraud.share=0.03", "catalogue.items=500"]))
        == changed
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fraud.shar": 0.1}, "fraud.share"),
        ({"fraude.share": 0.1}, "fraud.share"),
        ({"fraud": 0.1}, "No scenario setting"),
        ({"fraud.share": 2}, "from 0 to 0.5"),
        ({"fraud.share": "much"}, "a number from 0 to 0.5"),
        ({"fraud.share": float("nan")}, "a number from"),
        ({"fraud.share": True}, "a number from"),
        ({"catalogue.items": 20.5}, "a whole number from"),
        ({"calendar.start": "January"}, "an ISO date"),
        ({"truth.exposures": 1}, "true or false"),
        ({"catalogue.items": 50, "catalogue.categories": 40}, "four each"),
    ],
)
def test_a_wrong_setting_names_itself_and_what_it_may_be(settings, words):
    with pytest.raises(InputError, match=words):
        scenario.load("shop", settings)


def test_a_wrong_name_or_file_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'shop'"):
        scenario.load("shpo")
    mine = tmp_path / "mine.toml"
    mine.write_text("[fraud]\nshare = 0.2\n")
    assert scenario.load(str(mine)).fraud.share == 0.2
    mine.write_text("[fruad]\nshare = 0.2\n")
    with pytest.raises(UnknownNameError, match="fraud"):
        scenario.load(str(mine))
    mine.write_text("share = ")
    with pytest.raises(InputError, match="not valid TOML"):
        scenario.load(str(mine))


def test_every_default_lies_inside_its_range():
    for key, default, low, high, doc in scenario.settings():
        assert doc, key
        assert low is None or low <= default <= high, key


def test_the_schema_knows_every_setting_and_its_range():
    schema = scenario.file_schema()
    sections = schema["$defs"]
    assert set(sections["Scenario"]["properties"]) == {"description", *scenario.SECTIONS}
    for key, default, low, high, doc in scenario.settings():
        section, _, name = key.partition(".")
        found = sections[section.capitalize()]["properties"][name]
        assert found["description"] == doc
        assert found["default"] == default
        assert (found.get("minimum"), found.get("maximum")) == (low, high)


def test_plain_data_leads_back_to_the_scenario():
    made = scenario.load("drift", {"checkout.cart": -3})
    data = made.to_json()
    assert list(data) == ["name", "description", *scenario.SECTIONS]
    assert type(data["checkout"]["cart"]) is float
    again = scenario.Scenario(name=made.name, description=made.description)
    flat = {f"{s}.{k}": v for s in scenario.SECTIONS for k, v in data[s].items()}
    assert again.with_settings(flat) == made
