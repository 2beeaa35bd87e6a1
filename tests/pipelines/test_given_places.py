"""The places of a trip that its caller gives: they stay, have ids of their own, and are added to and taken out."""

from typing import Any

import pytest

from chat.errors import BadProviderReply, NoPlaces
from chat.events import JSON
from chat.tools.places import place_id, plain
from tests.support.trips import change, intent
from tests.support.virtual_time import virtual

SENSO: dict[str, JSON] = {"id": "tokyo-senso-ji", "name": "Senso-ji", "kind": "temple", "city": "Tokyo"}
CASTLE: dict[str, JSON] = {"id": "k-1", "name": "Nijo Castle", "kind": "castle", "city": "Kyoto", "mine": [1]}
PLAN: list[JSON] = [{"title": "T", "days": [{"day": 1, "city": "Tokyo", "items": []}]}]
STATE: dict[str, JSON] = {"pois": [SENSO, CASTLE], "requirements": [], "plan": PLAN}
QUIET = intent("add_requirement", "Quiet places")


def ids(pois: list[Any]) -> list[str]:
    return [each["id"] for each in pois]


# (given, the ids that they have afterwards)
IDS: dict[str, tuple[list[Any], list[str]]] = {
    "each its own": ([{"id": "a"}, {"id": "b"}], ["a", "b"]),
    "none: by city and name": ([{"name": "Senso-ji", "city": "Tōkyō"}], ["tokyo-senso-ji"]),
    "none, and no name": ([{"kind": "park"}, {"city": "Rome"}], ["place", "rome"]),
    "empty, null, of a wrong type": (
        [
            {"id": "", "name": "A"},
            {"id": None, "name": "B"},
            {"id": [1], "name": "C"},
            {"id": True, "name": "D"},
        ],
        ["a", "b", "c", "d"],
    ),
    "a number": ([{"id": 7}], ["7"]),
    "letters of another alphabet": ([{"name": "浅草寺"}], ["浅草寺"]),
    "one that another has": ([{"id": "a", "name": "A"}, {"id": "a", "name": "B"}], ["a", "b"]),
    "one that a later one has": ([{"name": "A"}, {"id": "a", "name": "Z"}], ["a-2", "a"]),
    "the same name three times": (
        [{"name": "A"}, {"name": "A", "x": 1}, {"name": "A", "x": 2}],
        ["a", "a-2", "a-3"],
    ),
    "the same in all": ([{"id": "a", "name": "A"}, {"id": "a", "name": "A"}], ["a"]),
    "too long": ([{"name": "x" * 5000}], ["x" * 100]),
    "two hundred alike": ([{"n": n} for n in range(200)], ["place", *(f"place-{n}" for n in range(2, 201))]),
}


@pytest.mark.parametrize("name", IDS)
@virtual
async def test_each_place_has_an_id_of_its_own(name: str) -> None:
    given, expected = IDS[name]
    changed = await change({**STATE, "pois": given}, [QUIET])
    assert changed.error is None
    assert ids(changed.pois) == expected
    assert len(set(expected)) == len(expected)
    again = await change({**STATE, "pois": changed.pois}, [QUIET])
    assert again.pois == changed.pois


@virtual
async def test_given_places_stay_as_they_are_in_their_order_whatever_the_model_chooses() -> None:
    added = await change(
        STATE, [intent("add_poi", "museum", "add")], pois=[{"id": "tokyo-nezu-museum", "why": "art"}]
    )
    assert isinstance(added.error, BadProviderReply)  # its plan does not visit the museum
    assert added.pois[:2] == [SENSO, CASTLE]
    assert (added.pois[2]["id"], added.pois[2]["why"], set(added.pois[2])) == (
        "tokyo-nezu-museum", "art", {"id", "name", "kind", "city", "country", "lat", "lon", "hours", "why"}
    )  # fmt: skip


@virtual
async def test_to_choose_a_given_place_again_changes_nothing() -> None:
    changed = await change(STATE, [intent("add_poi", "museum", "add")], pois=[{"id": "k-1", "why": "again"}])
    assert (changed.error, changed.pois) == (None, [SENSO, CASTLE])


# (additions and cities, ids that the model may choose among begin with, how many)
CANDIDATES: dict[str, tuple[list[Any], list[str], int]] = {
    "a kind, where the trip goes": (
        [intent("add_poi", "a museum")],
        ["tokyo-tokyo-national-museum", "tokyo-teamlab-planets", "tokyo-nezu-museum"],
        3,
    ),
    "a name": ([intent("add_poi", "Nezu Museum")], ["tokyo-nezu-museum"], 1),
    "a part of a name": ([intent("add_poi", "skytree")], ["tokyo-tokyo-skytree"], 1),
    "two of them": (
        [intent("add_poi", "Nezu Museum"), intent("add_poi", "markets")],
        ["tokyo-nezu-museum", "tokyo-tsukiji-outer-market", "kyoto-nishiki-market"],
        3,
    ),
    "in a city": (
        [intent("set_city", "Rome", "set"), intent("add_poi", "museum")],
        ["rome-vatican-museums", "rome-borghese-gallery", "rome-colosseum"],
        9,
    ),
    "nothing like it": ([intent("add_poi", "bowling alley")], ["tokyo-meiji-jingu"], 20),
    "a city that the trip has": ([intent("set_city", "tokyo", "set")], ["tokyo-meiji-jingu"], 10),
}


@pytest.mark.parametrize("name", CANDIDATES)
@virtual
async def test_what_is_added_is_looked_for_where_the_trip_goes(name: str) -> None:
    intents, first, count = CANDIDATES[name]
    changed = await change(STATE, intents)
    candidates = changed.asked["pois"]["candidates"]
    assert changed.error is None
    assert ids(candidates)[: len(first)] == first
    assert len(candidates) == count
    assert not {"Senso-ji", "Nijo Castle"} & {each["name"] for each in candidates}  # whatever id they have
    assert all(isinstance(each["hours"], float) for each in candidates)


@virtual
async def test_where_the_trip_goes_is_said_by_its_plan_too() -> None:
    changed = await change(
        {"pois": [{"id": "x", "name": "X"}], "plan": PLAN}, [intent("add_poi", "Tokyo Tower")]
    )
    assert ids(changed.asked["pois"]["candidates"]) == ["tokyo-tokyo-tower"]


@virtual
async def test_without_a_city_nothing_can_be_added() -> None:
    assert isinstance((await change({}, [intent("add_poi", "museum")])).error, NoPlaces)
    changed = await change(
        {"pois": [{"id": "x"}], "plan": PLAN[:0]}, [intent("add_poi", "museum")], plan=[NO_VISITS]
    )
    assert (changed.error, ids(changed.pois), "pois" in changed.asked) == (None, ["x"], False)


NO_VISITS: Any = {"title": "T", "summary": "S", "days": [{"day": 1, "city": "", "items": []}]}

# (intents, the ids that are left)
REMOVALS: dict[str, tuple[list[Any], list[str]]] = {
    "by its name": ([intent("remove_poi", "Nijo Castle", "remove")], ["tokyo-senso-ji"]),
    "by its name, written otherwise": ([intent("remove_poi", "NIJŌ  castle!", "remove")], ["tokyo-senso-ji"]),
    "by its id": ([intent("remove_poi", "k-1", "remove")], ["tokyo-senso-ji"]),
    "by words that it does not have": (
        [intent("remove_poi", "the castle", "remove")],
        ["tokyo-senso-ji", "k-1"],
    ),
    "by the only word that fits": ([intent("remove_poi", "castle", "remove")], ["tokyo-senso-ji"]),
    "by its city": ([intent("set_city", "Kyoto", "remove")], ["tokyo-senso-ji"]),
    "by the action alone": ([intent("add_poi", "Senso-ji", "remove")], ["k-1"]),
    "all of them": ([intent("remove_poi", "Senso-ji"), intent("remove_poi", "Nijo Castle")], []),
    "one that is not there": ([intent("remove_poi", "Pantheon", "remove")], ["tokyo-senso-ji", "k-1"]),
    "none that is named": ([intent("remove_poi", "", "remove")], ["tokyo-senso-ji", "k-1"]),
}


@pytest.mark.parametrize("name", REMOVALS)
@virtual
async def test_an_intent_takes_places_out(name: str) -> None:
    intents, left = REMOVALS[name]
    changed = await change(STATE, intents)
    assert (changed.error, ids(changed.pois)) == (None, left)


@virtual
async def test_what_could_mean_several_places_takes_none_out() -> None:
    pois: list[JSON] = [{"id": "1", "name": "Nezu Museum"}, {"id": "2", "name": "National Museum"}]
    changed = await change({**STATE, "pois": pois}, [intent("remove_poi", "museum", "remove")])
    assert ids(changed.pois) == ["1", "2"]


@virtual
async def test_a_trip_gets_no_longer_than_can_be_sent_back() -> None:
    pois: list[JSON] = [{"id": f"p{n}", "city": "Tokyo"} for n in range(199)]
    needs: list[JSON] = [{"description": f"Need {n}"} for n in range(200)]
    chosen = [{"id": each, "why": ""} for each in ("tokyo-meiji-jingu", "tokyo-senso-ji")]
    intents = [intent("set_city", "Tokyo"), QUIET]
    quiet = [{"description": "Quiet places", "priority": "low"}]
    changed = await change(
        {"pois": pois, "requirements": needs, "plan": PLAN}, intents, pois=chosen, requirements=quiet
    )
    assert changed.error is None
    assert ids(changed.pois) == [*ids(pois), "tokyo-meiji-jingu"]
    assert changed.requirements == needs


@virtual
async def test_the_model_is_told_what_the_trip_has() -> None:
    changed = await change({**STATE, "requirements": [{"description": "Shade"}]}, [intent("other")])
    assert changed.asked["intents"] == {
        "message": "a day in Rome",
        "days": 1,
        "cities": ["Tokyo", "Kyoto"],
        "pois": [
            {"name": "Senso-ji", "kind": "temple", "city": "Tokyo"},
            {"name": "Nijo Castle", "kind": "castle", "city": "Kyoto"},
        ],
        "requirements": [{"description": "Shade"}],
    }


AGREEING = [
    (intent("add_poi", "x", "none"), intent("add_poi", "x", "add")),
    (intent("add_requirement", "x", "remove"), intent("remove_requirement", "x", "remove")),
    (intent("remove_poi", "x", "add"), intent("remove_poi", "x", "remove")),
    (intent("set_days", "2", "none"), intent("set_days", "2", "set")),
    (intent("set_city", "Rome", "remove"), intent("set_city", "Rome", "remove")),
    (intent("change_plan", "later", "add"), intent("change_plan", "later", "set")),
]


@pytest.mark.parametrize(("said", "shown"), AGREEING, ids=str)
@virtual
async def test_the_action_of_an_intent_agrees_with_its_kind(
    said: dict[str, JSON], shown: dict[str, JSON]
) -> None:
    assert (await change(STATE, [said])).intents == [shown]


@virtual
async def test_nothing_to_do_gives_back_the_state_as_it_came() -> None:
    given: dict[str, Any] = {
        "pois": [{"name": "no id"}, {"id": 7}],
        "requirements": [{"x": 1}],
        "plan": [{"y": 2}],
    }
    changed = await change(given, [intent("other")])
    assert changed.results == {"intents": [intent("other")], **given}
    assert list(changed.asked) == ["intents"]


@pytest.mark.parametrize(
    ("city", "name", "identifier"),
    [
        ("Tokyo", "Senso-ji", "tokyo-senso-ji"),
        ("", " Café 7! ", "cafe-7"),
        ("", "...", ""),
        ("東京", "寺", "東京-寺"),
    ],
)
def test_an_id_is_made_of_the_letters_of_city_and_name(city: str, name: str, identifier: str) -> None:
    assert place_id(city, name) == identifier
    assert plain("  KYŌTO ") == "kyoto"
