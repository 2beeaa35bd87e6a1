"""The trip planner over HTTP: its stages in order, whole in one reply, resumed, stopped and run again."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.support.clients import ChatClient, Frame, connected
from tests.support.members import let_in
from tests.support.stack import Stack

MESSAGE = "plan a 3 day trip to Tokyo and Kyoto"
ORDER = ["intents", "progress", "pois", "progress", "requirements", "progress", "plan", "progress", "done"]
POI = {"id", "name", "kind", "city", "country", "lat", "lon", "hours", "why"}
TURNS = "/api/v1/chat/sessions/{}/turns?pipeline=trip"


@pytest.fixture
async def client(stack: Stack) -> AsyncGenerator[ChatClient]:
    async with connected(stack.url) as connection:
        yield connection


async def plan(client: ChatClient, message: str, session: str = "", **more: Any) -> tuple[str, list[Frame]]:
    """The id of the turn, and its frames."""
    session = session or await client.new_session()
    async with client.open("POST", TURNS.format(session), json={"content": message, **more}) as stream:
        return stream.turn_id, await stream.read()


def kinds(frames: list[Frame]) -> list[str]:
    return [frame.payload["type"] for frame in frames]


def results(frames: list[Frame]) -> dict[str, Any]:
    return {frame.payload["type"]: frame.payload.get("data") for frame in frames if "data" in frame.payload}


def check_plan(found: dict[str, Any], days: int, cities: set[str]) -> None:
    """What every plan keeps to."""
    assert {poi["city"] for poi in found["pois"]} == cities
    assert all(set(poi) == POI for poi in found["pois"])
    assert all(each["priority"] in ("high", "medium", "low") for each in found["requirements"])
    known = {poi["id"] for poi in found["pois"]}
    for option in found["plan"]:
        assert [day["day"] for day in option["days"]] == list(range(1, days + 1))
        visits = [visit for day in option["days"] for visit in day["items"]]
        assert {visit["poi_id"] for visit in visits} <= known
        assert len({visit["poi_id"] for visit in visits}) == len(visits) > 0
        assert all(set(visit) == {"start", "end", "poi_id", "name", "note"} for visit in visits)


async def test_the_four_stages_come_in_order_with_valid_data(client: ChatClient) -> None:
    turn_id, frames = await plan(client, MESSAGE)
    assert [kind for kind in kinds(frames) if kind != "poi"] == ORDER
    assert [frame.payload["percent"] for frame in frames if frame.payload["type"] == "progress"] == [
        25,
        50,
        75,
        100,
    ]
    found = results(frames)
    check_plan(found, 3, {"Tokyo", "Kyoto"})
    pois = [frame.payload["data"] for frame in frames if frame.payload["type"] == "poi"]
    assert pois == found["pois"]
    assert kinds(frames).index("poi") < kinds(frames).index("pois")
    assert frames[-1].payload == {"type": "done", "turn_id": turn_id, "seq": 99_999_999}
    turn = await client.turn(turn_id)
    assert (turn["status"], turn["pipeline"], len(turn["attempts"])) == ("finished", "trip", 4)
    answer = (await client.messages(turn["session_id"]))[-1]
    assert answer["content"].startswith("3 days in Tokyo and Kyoto")


async def test_a_place_is_shown_as_it_is_found(client: ChatClient) -> None:
    _, frames = await plan(client, MESSAGE)
    times = [frame.at for frame in frames if frame.payload["type"] == "poi"]
    assert times[-1] - times[0] > 0.1  # the model writes for a while


async def test_the_whole_plan_comes_in_one_reply(client: ChatClient) -> None:
    reply = await client.call("POST", "/chat", json={"message": MESSAGE})
    assert reply.status == 200
    assert set(reply.body) == {"intents", "pois", "requirements", "plan", "session_id", "turn_id"}
    check_plan(reply.body, 3, {"Tokyo", "Kyoto"})


async def test_a_stream_goes_on_from_the_state_that_it_is_given(client: ChatClient) -> None:
    _, frames = await plan(client, "plan a 2 day trip to Rome")
    state = {name: results(frames)[name] for name in ("pois", "requirements", "plan")}
    _, frames = await plan(client, "make day 2 vegetarian", state=state)
    assert results(frames)["pois"] == state["pois"]
    assert results(frames)["plan"][0]["days"][0] == state["plan"][0]["days"][0]
    assert "vegetarian" in str(results(frames)["requirements"]).lower()


async def test_following_from_every_event_on_gives_the_rest(client: ChatClient) -> None:
    turn_id, frames = await plan(client, MESSAGE)
    for number in [*range(frames[-2].event + 2), frames[-1].event]:
        async with client.follow(turn_id, after=number, dialect="plan") as stream:
            rest = await stream.read()
        assert [each.data for each in rest] == [each.data for each in frames if each.event > number]


async def test_who_knows_no_stages_is_shown_the_text(client: ChatClient) -> None:
    turn_id, frames = await plan(client, "plan a 2 day trip to Rome")
    async with client.follow(turn_id, dialect="delta") as stream:
        whole = await stream.read()
    [text] = [frame for frame in whole if frame.data != "[DONE]"]
    delta = "2 days in Rome: The best of Rome, day by day."
    assert text.payload == {"type": "text.delta", "delta": delta, "seq": text.event}
    for number in range(frames[-2].event + 1):
        async with client.follow(turn_id, after=number, dialect="delta") as stream:
            rest = await stream.read()
        assert [each.data for each in rest] == [
            each.data for each in whole if not each.id or each.event > number
        ]


async def test_a_plan_stays_with_its_message(client: ChatClient) -> None:
    turn_id, frames = await plan(client, MESSAGE)
    turn = await client.turn(turn_id)
    answer = (await client.messages(turn["session_id"]))[-1]
    found = results(frames)
    assert answer["metadata"]["plan"] == {
        stage: found[stage] for stage in ("intents", "pois", "requirements", "plan")
    }


async def test_a_trip_of_any_number_of_days_is_planned(client: ChatClient) -> None:
    days = 99999999999999999999
    reply = await client.call("POST", "/chat", json={"message": f"plan a {days} day trip to Rome"})
    assert (reply.status, len(reply.body["plan"][0]["days"])) == (200, 30)


async def test_places_of_the_callers_own_need_not_be_whole(client: ChatClient) -> None:
    given = [{"id": "x", "name": "X"}, {"id": "y", "city": None}, {"city": "Rome"}]
    reply = await client.call("POST", "/chat", json={"message": "plan a 2 day trip to Rome", "pois": given})
    assert (reply.status, reply.body["pois"][:3]) == (200, [*given[:2], {"city": "Rome", "id": "rome"}])


# What no page of ours sends: (message, state)
HOSTILE: dict[str, tuple[str, Any]] = {
    "the same id twice": (
        "add a museum",
        {"pois": [{"id": "x", "city": "Rome"}, {"id": "x", "city": "Tokyo"}]},
    ),
    "200 places": ("plan 3 days in Rome", {"pois": [{"id": f"p{n}", "city": "Rome"} for n in range(200)]}),
    "200 places without an id": ("make it vegetarian", {"pois": [{"name": "X", "n": n} for n in range(200)]}),
    "a requirement that is not there": ("remove the requirement", {}),
    "a need that is not there": ("remove wheelchair access", {"requirements": [{"description": "Shade"}]}),
    "an unknown place in the plan": (
        "make day 1 vegetarian",
        {"plan": [{"title": "T", "days": [{"day": 1, "items": [{"poi_id": "gone", "name": "Gone"}]}]}]},
    ),
    "no time in the plan": (
        "add a museum in Rome",
        {"plan": [{"days": [{"items": [{"start": "9am"}] * 30}]}]},
    ),
    "a plan without days": ("make it 2 days", {"pois": [{"city": "Rome"}], "plan": [{"title": "T"}]}),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_state_breaks_a_turn_or_loses_a_place(client: ChatClient, name: str) -> None:
    message, state = HOSTILE[name]
    reply = await client.call("POST", "/chat", json={"message": message, **state})
    assert reply.status == 200, reply
    ids = [each["id"] for each in reply.body["pois"]]
    assert len(ids) == len(set(ids)) >= len(state.get("pois", []))
    assert len(reply.body["requirements"]) >= len(state.get("requirements", []))
    state = {key: reply.body[key] for key in ("pois", "requirements", "plan")}
    again = await client.call("POST", "/chat", json={"message": "Thanks", **state})
    assert {key: again.body[key] for key in state} == state


async def test_nothing_to_plan_leaves_everything_as_it_was(client: ChatClient) -> None:
    given = {
        "pois": [{"id": "x", "name": "X"}],
        "requirements": [{"description": "D", "priority": "low"}],
        "plan": [],
    }
    reply = await client.call("POST", "/chat", json={"message": "How are you?", **given})
    assert reply.status == 200
    assert {name: reply.body[name] for name in given} == given
    assert [each["intent"] for each in reply.body["intents"]] == ["other"]


async def test_with_nothing_to_plan_there_are_only_the_lists(client: ChatClient) -> None:
    _, frames = await plan(client, "How are you?")
    assert kinds(frames) == ["intents", "pois", "requirements", "plan", "done"]


async def test_a_first_stage_that_fails_is_an_http_status(client: ChatClient) -> None:
    path = TURNS.format(await client.new_session())
    reply = await client.call("POST", path, json={"content": f"{MESSAGE} #invalid=intents"})
    assert (reply.status, reply.body["error_code"]) == (502, "MODEL_BAD_REPLY")


async def test_what_the_caller_had_is_kept_and_added_to(client: ChatClient) -> None:
    before = await client.call("POST", "/chat", json={"message": "plan a 1 day trip to Rome"})
    body = {
        "message": "make it a 2 day vegetarian trip to Florence",
        "pois": before.body["pois"],
        "requirements": before.body["requirements"],
        "plan": before.body["plan"],
        "session_id": before.body["session_id"],
    }
    after = await client.call("POST", "/chat", json=body)
    assert after.body["session_id"] == before.body["session_id"]
    check_plan(after.body, 2, {"Rome", "Florence"})
    assert {"description": "Vegetarian food", "priority": "high"} in after.body["requirements"]


async def test_an_invalid_answer_is_asked_for_once_more(client: ChatClient) -> None:
    turn_id, frames = await plan(client, f"{MESSAGE} #invalid_once=plan")
    assert [kind for kind in kinds(frames) if kind != "poi"] == ORDER
    assert len((await client.turn(turn_id))["attempts"]) == 5


@pytest.mark.parametrize("stage", ["intents", "pois", "requirements", "plan"])
async def test_a_second_invalid_answer_ends_the_turn_with_an_error(client: ChatClient, stage: str) -> None:
    reply = await client.call("POST", "/chat", json={"message": f"{MESSAGE} #invalid={stage}"})
    assert (reply.status, reply.body["error_code"]) == (502, "MODEL_BAD_REPLY")
    assert stage in reply.body["details"]["message"]
    turn_id = reply.headers["x-turn-id"]
    async with client.follow(turn_id, dialect="plan") as stream:
        frames = await stream.read()
    assert kinds(frames)[-1] == "error"
    assert kinds(frames).count("error") == 1


async def test_a_failed_plan_goes_on_from_the_stage_that_failed(client: ChatClient) -> None:
    session = await client.new_session()
    turn_id, frames = await plan(client, f"{MESSAGE} #invalid=plan", session)
    reply = await client.call("PUT", f"/api/v1/chat/sessions/{session}", json={"llm_model": "another"})
    assert reply.status == 200
    async with client.open(
        "POST", f"/api/v1/chat/turns/{turn_id}/rerun", json={"from_stage": "plan"}
    ) as stream:
        again = await stream.read()
        second = stream.turn_id
    assert results(again)["pois"] == results(frames)["pois"]
    assert len((await client.turn(second))["attempts"]) == 2  # the plan alone, twice: it is still spoiled
    assert second != turn_id


async def test_a_finished_plan_can_be_run_again_from_any_stage(client: ChatClient) -> None:
    turn_id, frames = await plan(client, MESSAGE)
    for stage, calls in (("intents", 4), ("pois", 3), ("requirements", 2), ("plan", 1)):
        path = f"/api/v1/chat/turns/{turn_id}/rerun"
        async with client.open("POST", path, json={"from_stage": stage}) as stream:
            again = await stream.read()
            turn = await client.turn(stream.turn_id)
        assert len(turn["attempts"]) == calls
        assert kinds(again) == kinds(frames)
        assert results(again) == results(frames)


async def test_a_stopped_plan_keeps_its_stages_and_goes_on(client: ChatClient) -> None:
    session = await client.new_session()
    async with client.open("POST", TURNS.format(session), json={"content": MESSAGE}) as stream:
        while (await stream.take(1))[0].payload["type"] != "pois":
            pass
        await client.cancel(stream.turn_id)
        rest = await stream.read()
        turn_id = stream.turn_id
    assert rest[-1].payload["type"] == "error"
    async with client.open(
        "POST", f"/api/v1/chat/turns/{turn_id}/rerun", json={"from_stage": "requirements"}
    ) as stream:
        frames = await stream.read()
    assert [kind for kind in kinds(frames) if kind != "poi"] == ORDER
    check_plan(results(frames), 3, {"Tokyo", "Kyoto"})


BAD: list[tuple[str, Any, int, str]] = [
    ("/chat", {}, 422, "message"),
    ("/chat", {"message": ""}, 422, "message"),
    ("/chat", {"message": "x", "pois": "y"}, 422, "pois"),
    ("/chat", {"message": "x", "plan": [1]}, 422, "plan.0"),
    ("/chat", {"message": "x", "pois": [{}] * 201}, 422, "pois"),
    ("/chat", {"message": "x", "requirements": [{"description": "y" * 140_000}]}, 422, "requirements"),
]


@pytest.mark.parametrize(("path", "body", "status", "field"), BAD, ids=lambda value: str(value)[:30])
async def test_bad_input_is_named(client: ChatClient, path: str, body: Any, status: int, field: str) -> None:
    reply = await client.call("POST", path, json=body)
    assert (reply.status, reply.body["details"]["field"]) == (status, field)


async def test_a_city_that_nobody_knows_is_an_error(client: ChatClient) -> None:
    reply = await client.call("POST", "/chat", json={"message": "plan a 2 day trip to Atlantis"})
    assert (reply.status, reply.body["error_code"]) == (404, "NO_PLACES")


async def test_a_viewer_is_forbidden_to_run_a_plan_again_whatever_state_it_is_in(client: ChatClient) -> None:
    session = await client.new_session()
    await let_in(client, session, "vera", "viewer")
    async with client.open("POST", TURNS.format(session), json={"content": MESSAGE}) as stream:
        path = f"/api/v1/chat/turns/{stream.turn_id}/rerun"
        while_it_runs = await client.as_user("vera").call("POST", path, json={"from_stage": "pois"})
        await stream.read()
    afterwards = await client.as_user("vera").call("POST", path, json={"from_stage": "pois"})
    assert (while_it_runs.status, afterwards.status) == (403, 403)


async def test_what_cannot_be_run_again_says_why(client: ChatClient) -> None:
    heard = await client.hear("Hello")
    rerun = f"/api/v1/chat/turns/{heard.turn_id}/rerun"
    assert (await client.call("POST", rerun, json={"from_stage": "plan"})).status == 422
    reply = await client.call("POST", "/api/v1/chat/turns/nothing/rerun", json={"from_stage": "plan"})
    assert reply.status == 404
    turn_id, _ = await plan(client, "plan a 2 day trip to Atlantis")
    reply = await client.call("POST", f"/api/v1/chat/turns/{turn_id}/rerun", json={"from_stage": "plan"})
    assert (reply.status, reply.body["details"]["field"]) == (422, "from_stage")
    path = TURNS.format(heard.session_id).replace("trip", "other")
    reply = await client.call("POST", path, json={"content": "x"})
    assert (reply.status, reply.body["details"]["field"]) == (422, "pipeline")
