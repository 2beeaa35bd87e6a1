"""The gate between a turn and a group of sockets: order, pace, late joiners, a service that fails."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.dialects.base import Dialect
from chat.dialects.chat_chunk import CHAT_CHUNK
from chat.dialects.message_update import MESSAGE_UPDATE
from chat.errors import PushError, PushRefused
from chat.events import (
    TERMINAL_NUMBER,
    JSONObject,
    NumberedEvent,
    StepStarted,
    TextDelta,
    TextStarted,
    TurnFinished,
    TurnStarted,
)
from chat.messages import Turn
from chat.push.base import group_of
from chat.rooms.gate import PATIENCE, SLOWEST, WINDOW, GroupGate
from chat.store.base import Join
from chat.turns.feed import EventFeed
from tests.support.fake_push import FakePush
from tests.support.virtual_time import virtual

TURN = Turn("s-00000002", "s", "ann", "s-00000001", "running", "i", datetime(2026, 11, 20, tzinfo=UTC))


async def unfilled(payload: JSONObject) -> JSONObject:
    return payload


@dataclass
class Scene:
    """A turn, its gate, and two sockets: one that is there from the start."""

    feed: EventFeed
    push: FakePush
    gate: GroupGate
    task: asyncio.Task[None]
    paces: list[float]

    def begin(self) -> None:
        for event in (
            TurnStarted(TURN.id, "s", TURN.user_message_id, "t"),
            StepStarted(0, "P", "m"),
            TextStarted("t0"),
        ):
            self.feed.append(event)

    def say(self, text: str) -> None:
        self.feed.append(TextDelta("t0", text))

    async def end(self) -> None:
        self.feed.publish([NumberedEvent(TERMINAL_NUMBER, TurnFinished())])
        async with asyncio.timeout(120):
            await self.task

    def join(self, connection: str, after: int | None = None) -> None:
        """As a socket does: it is in the group at once, and asks for what it missed."""
        self.push.groups[self.group].append(connection)
        self.gate.admit(Join(TURN.id, connection, "chat", after))

    @property
    def group(self) -> str:
        return group_of("s", self._dialect.name)

    _dialect: Dialect = CHAT_CHUNK


def scene(dialect: Dialect = CHAT_CHUNK, *, late: bool = False, before: int = 0) -> Scene:
    feed, push, paces = EventFeed(), FakePush(), list[float]()
    gate = GroupGate(TURN, feed, dialect, push, fill=unfilled, on_pace=lambda: paces.append(gate.window))
    made = Scene(feed, push, gate, asyncio.get_running_loop().create_future(), paces, dialect)  # type: ignore[arg-type]
    push.groups[made.group].append("first")
    if before:
        made.begin()
        for number in range(before):
            made.say(f"b{number} ")
    if late:
        gate.skip_to_now()
    made.task = asyncio.get_running_loop().create_task(gate.run())
    return made


def text_of(frames: list[Any]) -> str:
    """What a client that knows `chat_start` as a new beginning shows."""
    text = ""
    for frame in frames:
        text = "" if frame["type"] == "chat_start" else text + frame["payload"]["text"]
    return text


@virtual
async def test_every_frame_is_sent_once_in_order_and_one_at_a_time() -> None:
    here = scene()
    here.push.delay = 0.03
    here.begin()
    for number in range(50):
        here.say(f"w{number} ")
        await asyncio.sleep(0.01)
    await here.end()
    frames = here.push.seen["first"]
    assert [each["type"] for each in frames] == ["chat_start", *["chat_chunk"] * 51]
    assert [each["seq"] for each in frames] == sorted(each["seq"] for each in frames)
    assert text_of(frames) == "".join(f"w{number} " for number in range(50))
    assert here.push.most_in_flight == 1


@pytest.mark.parametrize("before", [0, 1, 10])
@pytest.mark.parametrize("delay", [0.0, 0.02])
def test_a_late_joiner_misses_nothing_and_sees_nothing_twice(before: int, delay: float) -> None:
    @virtual
    async def run() -> None:
        here = scene()
        here.push.delay = delay
        here.begin()
        for number in range(before):
            here.say(f"a{number} ")
        await asyncio.sleep(0.05)
        here.join("late")
        for number in range(20):
            here.say(f"w{number} ")
            await asyncio.sleep(0.01)
        await here.end()
        whole = text_of(here.push.seen["first"])
        late = here.push.seen["late"]
        assert text_of(late) == whole
        begin = next(index for index, each in enumerate(late) if each.get("snapshot"))
        tail = [each for each in late[begin:] if not each.get("snapshot")]
        assert tail == here.push.seen["first"][-len(tail) :]

    run()


@virtual
async def test_a_gate_that_opens_late_shows_the_group_what_comes_and_the_joiner_all_of_it() -> None:
    here = scene(late=True, before=5)
    here.join("late")
    await asyncio.sleep(0.01)
    here.say("more")
    await here.end()
    assert text_of(here.push.seen["late"]) == "b0 b1 b2 b3 b4 more"
    assert [each["payload"]["text"] for each in here.push.seen["first"]] == ["more", ""]


@virtual
async def test_a_client_that_resumes_gets_the_frames_after_its_own() -> None:
    here = scene()
    here.begin()
    for number in range(10):
        here.say(f"w{number} ")
    await asyncio.sleep(0.01)
    here.push.groups[here.group].remove("first")
    here.join("back", after=8)
    await asyncio.sleep(0.01)
    here.say("last")
    await here.end()
    assert [each["seq"] for each in here.push.seen["back"]] == [9, 10, 11, 12, 13, 14, TERMINAL_NUMBER]
    assert not any("snapshot" in each for each in here.push.seen["back"])


@virtual
async def test_the_window_follows_the_pace_of_the_service() -> None:
    here = scene()
    here.begin()
    await asyncio.sleep(0.01)
    assert here.gate.window == WINDOW
    here.push.delay = 0.12
    here.say("slow")
    await asyncio.sleep(0.2)
    assert here.gate.window == pytest.approx(0.12, abs=0.02)
    here.push.delay = 3.0
    here.say("slower")
    await asyncio.sleep(4)
    assert here.gate.window == SLOWEST
    here.push.delay = 0.0
    await here.end()
    assert here.paces[-1] == WINDOW


@virtual
async def test_a_frame_that_cannot_be_sent_is_tried_again_before_any_other() -> None:
    here = scene()
    here.push.fail_next("send_to_group", PushError(), times=5)
    here.begin()
    here.say("one ")
    here.say("two")
    await here.end()
    assert text_of(here.push.seen["first"]) == "one two"
    assert here.push.seen["first"][0]["type"] == "chat_start"


@virtual
async def test_a_frame_that_the_service_will_never_take_is_left_out_at_once() -> None:
    here = scene()
    here.begin()
    await asyncio.sleep(0.01)
    here.push.fail_next("send_to_group", PushRefused())
    here.say("too much")
    here.say("and more")
    await here.end()
    assert text_of(here.push.seen["first"]) == "and more"


@virtual
async def test_a_joiner_that_cannot_be_shown_anything_does_not_hold_the_others() -> None:
    here = scene()
    here.begin()
    here.say("one ")
    await asyncio.sleep(0.01)
    here.push.fail_next("send_to_connection", PushError(), times=1000)
    here.gate.admit(Join(TURN.id, "late", "chat"))
    here.say("two")
    await asyncio.sleep(5)
    assert text_of(here.push.seen["first"]) == "one two"
    await here.end()


@virtual
async def test_a_service_that_stays_away_is_given_up() -> None:
    here = scene()
    here.push.fail_next("send_to_group", PushError(), times=10_000)
    here.begin()
    here.say("lost")
    began = asyncio.get_running_loop().time()
    await here.end()
    assert PATIENCE <= asyncio.get_running_loop().time() - began < PATIENCE + 5


@virtual
async def test_a_room_gets_the_question_before_the_answer() -> None:
    feed, push = EventFeed(), FakePush()
    push.groups[group_of("s", "session")].append("first")
    gate = GroupGate(TURN, feed, MESSAGE_UPDATE, push, fill=unfilled, first=[{"type": "question"}])
    running = asyncio.get_running_loop().create_task(gate.run())
    feed.append(TurnStarted(TURN.id, "s", TURN.user_message_id, "t"))
    feed.publish([NumberedEvent(TERMINAL_NUMBER, TurnFinished())])
    await running
    assert [each.get("action", each["type"]) for each in push.seen["first"]] == [
        "question",
        "new_message",
        "completed",
    ]


@given(
    joins=st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=4),
    delay=st.sampled_from([0.0, 0.005, 0.02]),
    failures=st.integers(0, 3),
)
def test_whoever_joins_whenever_sees_the_whole_answer(
    joins: list[tuple[int, bool]], delay: float, failures: int
) -> None:
    @virtual
    async def run() -> None:
        here = scene()
        here.push.delay = delay
        here.begin()
        for step in range(30):
            for index, (when, _) in enumerate(joins):
                if when == step:
                    here.join(f"late{index}")
            if step == 10:
                here.push.fail_next("send_to_group", PushError(), times=failures)
            here.say(f"w{step} ")
            await asyncio.sleep(0.01)
        await here.end()
        whole = text_of(here.push.seen["first"])
        assert whole == "".join(f"w{step} " for step in range(30))
        for index, (when, _) in enumerate(joins):
            if when < 30:
                assert text_of(here.push.seen[f"late{index}"]) == whole

    run()
