"""What the log says when a session or a turn begins."""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from chat.messages import MessageDraft
from chat.requests import TurnRequest
from chat.store.conversation_store import SessionDraft
from chat.turns.feed import LiveTurn
from chat.turns.records import Records
from chat.turns.runner import TurnRunner
from tests.support.memory.store import MemoryStore
from tests.support.turns import ask, make_runner, read
from tests.support.virtual_time import VirtualClock, virtual

SERVICES = {"AZURE": "r.openai.azure.com", "LOCAL": "localhost:11434"}
SESSION = "0" * 25 + "S"


def said(caplog: pytest.LogCaptureFixture, name: str) -> list[Mapping[str, Any]]:
    """The fields of the lines with this name."""
    lines = (each.getMessage().partition(" ") for each in caplog.records if each.name == "chat")
    return [json.loads(fields) for found, _, fields in lines if found == name]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "chat")
    return caplog


@virtual
async def test_a_first_turn_says_that_its_session_was_made(log: pytest.LogCaptureFixture) -> None:
    runner = make_runner(["Hi"], ["Hi"], store=MemoryStore(), records=Records(SERVICES))
    history = (MessageDraft("user", "One"), MessageDraft("assistant", "Two"))
    live = await runner.start(TurnRequest("ann", content="Hello", history=history))
    await read(live.feed)
    session = {"session_id": live.turn.session_id, "user_id": "ann", "provider": "AZURE"}
    assert said(log, "session_created") == [session]
    started = {"turn_id": live.turn.id, "dialect": "delta", "provider": "AZURE", "messages": 3}
    assert said(log, "turn_started") == [started | {"endpoint": "r.openai.azure.com"}]
    await runner.drain()


@pytest.mark.parametrize("pause", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("instances", [1, 2])
def test_a_first_turn_that_is_asked_for_twice_is_said_once(
    log: pytest.LogCaptureFixture, pause: float, instances: int
) -> None:
    """At the same moment, while it runs, and after its end."""

    @virtual
    async def check() -> None:
        store = MemoryStore(VirtualClock())
        runners = [make_runner(["Hi"], ["Hi"], ["Hi"], ["Hi"], store=store) for _ in range(instances)]

        async def start(runner: TurnRunner, after: float) -> LiveTurn:
            await asyncio.sleep(after)
            live = await runner.start(ask(nonce="k", promised="0" * 25 + "A"))
            await read(live.feed)
            return live

        times = [0.0, pause, pause]
        turns = await asyncio.gather(*(start(each, at) for each in runners for at in times))
        assert len({each.turn.id for each in turns}) == 1
        assert [len(said(log, name)) for name in ("session_created", "turn_started")] == [1, 1]
        for each in runners:
            await each.drain()

    check()


ASKED_FIRST = [("LOCAL", "LOCAL"), ("", "AZURE"), ("OPENROUTER", "AZURE")]  # the last one is set no more


@pytest.mark.parametrize(("provider", "asked"), ASKED_FIRST)
@virtual
async def test_a_turn_names_the_service_that_is_asked_first(
    log: pytest.LogCaptureFixture, provider: str, asked: str
) -> None:
    store = MemoryStore()
    await store.create_session("ann", SessionDraft(SESSION, llm_provider=provider))
    runner = make_runner(["Hi"], store=store, records=Records(SERVICES))
    await read((await runner.start(ask(session_id=SESSION))).feed)
    await runner.drain()
    assert said(log, "session_created") == []
    [line] = said(log, "turn_started")
    assert (line["provider"], line["endpoint"], line["messages"]) == (asked, SERVICES[asked], 1)
