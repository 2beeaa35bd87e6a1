"""The gate between a turn and a group of sockets: order, pace, late joiners, a service that fails."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.conversation import Turn
from chat.dialects.base import Dialect
from chat.dialects.chat import CHAT
from chat.dialects.session import SESSION
from chat.errors import PushError, PushRefused
from chat.events import (
    TERMINAL_NUMBER,
    JSONObject,
    NumberedEvent,
    StageFinished,
    StepStarted,
    TextDelta,
    TextStarted,
    TurnFinished,
    TurnStarted,
)
from chat.push.base import group_of
from chat.requests import TurnRequest
from chat.rooms.gate import PATIENCE, SLOWEST, WINDOW, GroupGate
from chat.rooms.joiners import SHARE
from chat.store.instance_store import Join
from chat.turns.feed import EventFeed
from chat.turns.log import TurnLog
from tests.support.fake_push import FakePush
from tests.support.sockets import said
from tests.support.virtual_time import virtual

TURN = Turn(
    "s-00000002", "s", TurnRequest("ann"), "s-00000001", "running", "i", datetime(2026, 11, 20, tzinfo=UTC)
)


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
        async with asyncio.timeout(1200):
            await self.task

    def join(self, connection: str, after: int | None = None) -> None:
        """As a socket does: it is open, and asks for what it missed; the gate puts it into the group."""
        self.gate.admit(Join(TURN.id, connection, "chat", after))

    @property
    def group(self) -> str:
        return group_of("s", self._dialect.name)

    _dialect: Dialect = CHAT


def scene(dialect: Dialect = CHAT, *, late: bool = False, before: int = 0) -> Scene:
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
    """What a client shows that prints each chunk."""
    return "".join(frame["payload"].get("text", "") for frame in frames)


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
    assert [each["type"] for each in frames] == ["chat_start", *["chat_chunk"] * (len(frames) - 1)]
    assert [each["seq"] for each in frames] == sorted({each["seq"] for each in frames})
    assert 12 <= len(frames) <= 24  # what waited for the frame in flight went out together
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
        tail = [each for each in late if not each.get("snapshot")]
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
    assert [each["seq"] for each in here.push.seen["back"]] == [13, 14, TERMINAL_NUMBER]
    assert text_of(here.push.seen["back"]) == "w5 w6 w7 w8 w9 last"
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


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.05, 0.2])
def test_a_slow_service_is_never_further_behind_than_its_round_trip_and_the_window(delay: float) -> None:
    @virtual
    async def run() -> None:
        here = scene()
        log = TurnLog(here.feed, window=0.02)
        here.gate._on_pace = lambda: setattr(log, "window", max(0.02, here.gate.window))  # pyright: ignore[reportPrivateUsage]
        log.window = here.gate.window
        here.push.delay = delay
        loop = asyncio.get_running_loop()
        log.append(TurnStarted(TURN.id, "s", TURN.user_message_id, "t"))
        log.append(StepStarted(0, "P", "m"))
        log.append(TextStarted("t0"))
        late: list[float] = []
        shown = 0
        for number in range(1000):
            log.append(TextDelta("t0", f"{loop.time():.4f} "))
            await asyncio.sleep(0.005)
            for frame in here.push.seen["first"][shown:]:
                late += [loop.time() - float(each) for each in frame["payload"].get("text", "").split()]
            shown = len(here.push.seen["first"])
            assert here.push.sends <= 3 + number * 0.005 / WINDOW  # never more than 22 a second
        assert len(late) > 850
        # The window, what is left of the send in flight, and the send itself; a tick of this test. What came before
        # the gate knew how slow the service is takes a while to work off.
        assert max(late[-60:]) <= max(WINDOW, delay) + 2 * delay + 0.02
        assert max(late) <= 0.8

    run()


@virtual
@pytest.mark.parametrize("late", [0.0, 0.01, 0.04, 0.13])
async def test_after_a_late_word_those_that_are_on_time_soon_go_out_at_once(late: float) -> None:
    log, time = TurnLog(EventFeed(), window=WINDOW), asyncio.get_running_loop().time
    for event in (TurnStarted(TURN.id, "s", "", "t"), StepStarted(0, "P", "m"), TextStarted("t0")):
        log.append(event)
    shown: list[float] = []
    log.feed.listen(lambda: shown.extend([time()] * (words_of(log) - len(shown))))
    began = time()
    for number in range(40):
        due = began + number * 0.05
        await asyncio.sleep(max(0.0, due + (late if number == 10 else 0.0) - time()))
        log.append(TextDelta("t0", "word "))
    await asyncio.sleep(1)
    waits = [each - began - number * 0.05 for number, each in enumerate(shown)]
    assert max(waits[:10]) < 0.001
    assert max(waits[20:]) < 0.001


def words_of(log: TurnLog) -> int:
    return sum(each.event.text.count(" ") for each in log.feed.events if isinstance(each.event, TextDelta))


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
    await asyncio.sleep(0.01)
    here.say("and more")
    await here.end()
    assert text_of(here.push.seen["first"]) == "and more"


@virtual
async def test_a_joiner_that_cannot_be_shown_anything_does_not_hold_the_others() -> None:
    here = scene()
    here.begin()
    here.say("one ")
    await asyncio.sleep(0.01)
    here.push.fail_next("send_to_connection", PushError(), times=20)
    here.join("late")
    here.say("two ")
    await asyncio.sleep(0.1)
    assert text_of(here.push.seen["first"]) == "one two "
    await asyncio.sleep(5)
    here.say("three")
    await here.end()
    assert text_of(here.push.seen["late"]) == text_of(here.push.seen["first"]) == "one two three"


@virtual
async def test_a_service_that_stays_away_is_given_up() -> None:
    here = scene()
    here.push.fail_next("send_to_group", PushError(), times=100_000)
    here.begin()
    here.say("lost")
    began = asyncio.get_running_loop().time()
    await here.end()
    assert PATIENCE <= asyncio.get_running_loop().time() - began < PATIENCE + 5


@virtual
async def test_a_room_gets_the_question_before_the_answer() -> None:
    feed, push = EventFeed(), FakePush()
    push.groups[group_of("s", "session")].append("first")
    gate = GroupGate(TURN, feed, SESSION, push, fill=unfilled, first=[{"type": "question"}])
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


@virtual
async def test_who_was_shown_a_part_of_an_event_is_shown_the_rest_of_it() -> None:
    """A service that takes longer for a frame than the joiner may hold the group."""
    here = scene(SESSION)
    here.begin()
    here.feed.append(StageFinished("pois", ["a"], "One. " * 60))
    here.feed.append(StageFinished("plan", ["b"], "Two. " * 60))
    await asyncio.sleep(0.1)
    here.push.delay = SHARE + 0.1
    here.join("late")
    await asyncio.sleep(10)
    await here.end()
    late = here.push.seen["late"]
    assert said(late) == "One. " * 60 + "Two. " * 60
    assert [each["seq"] for each in late] == [1, 4, "4.1", "4.2", 5, "5.1", "5.2", TERMINAL_NUMBER]


@virtual
async def test_one_who_asks_all_the_time_holds_nobody() -> None:
    """40 times a second for an answer of 1,000 pieces, at a service that takes 10 ms a frame."""
    here = scene(before=1000)
    here.push.delay = 0.01
    loop = asyncio.get_running_loop()
    behind: list[float] = []
    shown = 0
    await asyncio.sleep(0.5)
    for number in range(400):
        here.gate.admit(Join(TURN.id, "eve", "chat", after=0))
        if number % 2 == 0:
            here.say(f" {loop.time():.4f}")
        await asyncio.sleep(0.025)
        for frame in here.push.seen["first"][shown:]:
            words = frame["payload"].get("text", "").split()
            behind += [loop.time() - float(each) for each in words if not each.startswith("b")]
        shown = len(here.push.seen["first"])
    assert len(behind) > 190
    assert max(behind) < 1.0
    await here.end()


@virtual
async def test_many_who_come_at_once_hold_nobody_and_are_all_shown_the_answer() -> None:
    here = scene(before=200)
    here.push.delay = 0.01
    await asyncio.sleep(0.1)
    for number in range(300):
        here.join(f"late{number}")
    last = 0.0
    loop = asyncio.get_running_loop()
    for number in range(100):
        seen = len(here.push.seen["first"])
        here.say(f"w{number} ")
        began = loop.time()
        while len(here.push.seen["first"]) == seen:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        last = max(last, loop.time() - began)
    await here.end()
    assert last < 1.0
    whole = text_of(here.push.seen["first"])
    assert {text_of(here.push.seen[f"late{number}"]) for number in range(300)} == {whole}


@virtual
async def test_an_answer_longer_than_a_frame_is_shown_in_parts_that_each_fit() -> None:
    here = scene()
    here.begin()
    for _ in range(160):
        here.say("\u0001" * 8192)
    await asyncio.sleep(0.1)
    here.join("late")
    await asyncio.sleep(0.1)
    await here.end()
    assert len(text_of(here.push.seen["late"])) == 160 * 8192
    assert max(len(orjson.dumps(each)) for each in here.push.seen["late"]) < 1_000_000


@virtual
async def test_a_frame_that_is_refused_costs_a_late_joiner_that_frame_alone() -> None:
    here = scene()
    here.begin()
    here.say("one ")
    await asyncio.sleep(0.1)
    here.push.fail_next("send_to_connection", PushRefused())
    here.join("late")
    here.say("two")
    await here.end()
    assert text_of(here.push.seen["late"]) == "one two"


@virtual
async def test_who_was_there_from_the_start_is_not_shown_it_again() -> None:
    feed, push = EventFeed(), FakePush()
    group = group_of("s", "chat")
    push.groups[group].append("member")
    push.unopened.add("unopened")
    entered: list[str] = []
    gate = GroupGate(
        TURN,
        feed,
        CHAT,
        push,
        fill=unfilled,
        members=["member"],
        coming=["coming", "unopened"],
        on_entered=entered.append,
    )
    here = Scene(feed, push, gate, asyncio.get_running_loop().create_task(gate.run()), [])
    here.begin()
    here.say("one ")
    await asyncio.sleep(0.1)
    push.unopened.clear()
    for name in ("member", "coming", "unopened"):
        here.join(name)
        here.join(name)
    await asyncio.sleep(0.1)
    here.say("two")
    await here.end()
    assert [text_of(push.seen[name]) for name in ("member", "coming", "unopened")] == ["one two"] * 3
    assert entered == ["coming", "unopened"]


@virtual
async def test_a_service_that_was_away_gets_the_rest_and_the_end_when_it_is_back() -> None:
    here = scene()
    here.begin()
    here.say("one ")
    await asyncio.sleep(0.1)
    here.push.fail_next("send_to_group", PushError(), times=40)  # a minute and more
    for number in range(600):
        here.say(f"w{number} ")
        await asyncio.sleep(0.1)
    sends = here.push.sends
    assert text_of(here.push.seen["first"]) == "one "
    await here.end()
    assert text_of(here.push.seen["first"]) == "one " + "".join(f"w{number} " for number in range(600))
    assert here.push.seen["first"][-1]["payload"]["done"]
    assert here.push.sends - sends < 5
