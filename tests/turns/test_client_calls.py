"""Tools that the caller runs: a turn ends with a call, the caller sends what came of it, a new turn goes on."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from chat.calls import CallOutput, ToolCall, ToolDefinition
from chat.errors import Forbidden, ProviderUnavailable, SessionNotFound, ValidationError
from chat.events import JSONObject
from chat.messages import Message
from chat.providers.base import ModelMessage, ToolCallPiece
from chat.providers.scripted import Line, ScriptedProvider
from chat.requests import TurnRequest
from chat.tools.base import NoTools
from chat.turns.client_calls import find_continued
from chat.turns.feed import LiveTurn
from tests.support.members import let_into
from tests.support.memory.store import MemoryStore
from tests.support.turns import ask, kinds, make_runner, read
from tests.support.virtual_time import VirtualClock, virtual

ASK = ToolDefinition("ask_user", "Asks.", {"type": "object"})


def asking(*ids: str) -> list[Line]:
    return ["Well. ", *(ToolCallPiece(n, each, "ask_user", '{"q":1}') for n, each in enumerate(ids))]


class Chat:
    """One session, in which the caller's tool is on offer."""

    def __init__(self, *scripts: Sequence[Line]) -> None:
        self.store = MemoryStore(VirtualClock())
        self.provider = ScriptedProvider(*scripts)
        self.runner = make_runner(store=self.store, provider=self.provider)
        self.session_id = ""

    async def say(self, text: str) -> LiveTurn:
        asked = ask(text, session_id=self.session_id)
        live = await self._run(
            TurnRequest(asked.user_id, content=text, session_id=self.session_id, tools=(ASK,))
        )
        self.session_id = live.turn.session_id
        return live

    async def find(self, *outputs: tuple[str, str], nonce: str = "", user: str = "ann") -> TurnRequest:
        request = TurnRequest(user, session_id=self.session_id, tools=(ASK,), nonce=nonce)
        given = [CallOutput(*each) for each in outputs]
        return await find_continued(self.store, self.store, NoTools(), request, given)

    async def give(self, *outputs: tuple[str, str], nonce: str = "") -> LiveTurn:
        return await self._run(await self.find(*outputs, nonce=nonce))

    async def _run(self, request: TurnRequest) -> LiveTurn:
        live = await self.runner.start(request)
        await read(live.feed)
        return live

    async def messages(self) -> list[Message]:
        return await self.store.list_messages("ann", self.session_id, limit=50)


def calls_of(message: Message) -> Any:
    return message.metadata.get("tool_calls")


def call(call_id: str, output: str | None) -> JSONObject:
    return {"id": call_id, "name": "ask_user", "arguments": '{"q":1}', "output": output, "is_error": False}


@virtual
async def test_the_call_is_kept_without_an_output() -> None:
    chat = Chat(asking("c1"))
    live = await chat.say("Hi")
    assert kinds(live.feed.events)[-2:] == ["StepFinished", "TurnFinished"]
    assert calls_of((await chat.messages())[-1]) == [call("c1", None)]


@virtual
async def test_a_turn_goes_on_with_what_came_of_the_call() -> None:
    chat = Chat(asking("c1", "c2"), ["Blue."])
    first = await chat.say("Which?")
    second = await chat.give(("c2", "dark"), ("c1", "blue"))
    assert second.turn.user_message_id == first.turn.user_message_id
    assert chat.provider.requests[1].messages[1:] == (
        ModelMessage("user", "Which?"),
        ModelMessage(
            "assistant",
            "Well. ",
            (ToolCall("c1", "ask_user", '{"q":1}'), ToolCall("c2", "ask_user", '{"q":1}')),
        ),
        ModelMessage("tool", "blue", (), "c1"),
        ModelMessage("tool", "dark", (), "c2"),
    )
    asked, answer, last = await chat.messages()
    assert [asked.content, answer.content, last.content] == ["Which?", "Well. ", "Blue."]
    assert last.metadata == {
        "continues": answer.id,
        "tool_calls": [call("c1", "blue"), call("c2", "dark")],
    }


@virtual
async def test_a_later_turn_is_shown_the_whole_answer_once() -> None:
    chat = Chat(asking("c1"), ["Blue."], ["Bye."])
    await chat.say("Which?")
    await chat.give(("c1", "blue"))
    await chat.say("Thanks")
    assert chat.provider.requests[2].messages[1:] == (
        ModelMessage("user", "Which?"),
        ModelMessage("assistant", "", (ToolCall("c1", "ask_user", '{"q":1}'),)),
        ModelMessage("tool", "blue", (), "c1"),
        ModelMessage("assistant", "Blue."),
        ModelMessage("user", "Thanks"),
    )


@virtual
async def test_one_call_may_lead_to_another() -> None:
    chat = Chat(asking("c1"), asking("c2"), ["Dark blue."])
    await chat.say("Which?")
    await chat.give(("c1", "blue"))
    await chat.give(("c2", "dark"))
    shown = chat.provider.requests[2].messages
    assert [(each.role, each.content) for each in shown if each.role == "tool"] == [
        ("tool", "blue"),
        ("tool", "dark"),
    ]
    assert calls_of((await chat.messages())[-1]) == [call("c1", "blue"), call("c2", "dark")]


@virtual
async def test_a_conversation_may_go_on_without_the_output() -> None:
    chat = Chat(asking("c1"), ["Never mind."], ["Blue."])
    await chat.say("Which?")
    await chat.say("Forget it")
    assert "[no output" in chat.provider.requests[1].messages[3].content
    await chat.give(("c1", "blue"))
    assert [each.content for each in await chat.messages()][-1] == "Blue."


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ([("c9", "x")], "tool_outputs.0.call_id", "No call"),
        ([("c1", "x")], "tool_outputs", "c2 is missing"),
        ([("c1", "x"), ("c2", "y"), ("c9", "z")], "tool_outputs.2.call_id", "No call"),
        ([("c1", "x"), ("c1", "y")], "tool_outputs.1.call_id", "two outputs"),
    ],
)
def test_outputs_that_do_not_fit_are_named(given: list[tuple[str, str]], field: str, said: str) -> None:
    @virtual
    async def test() -> None:
        chat = Chat(asking("c1", "c2"))
        await chat.say("Hi")
        with pytest.raises(ValidationError, match=said) as refused:
            await chat.find(*given)
        assert refused.value.field == field

    test()


@virtual
async def test_an_output_is_taken_once() -> None:
    chat = Chat(asking("c1"), ["Blue."])
    await chat.say("Which?")
    await chat.give(("c1", "blue"), nonce="key")
    with pytest.raises(ValidationError, match="answered already"):
        await chat.find(("c1", "red"))


@virtual
async def test_outputs_that_are_brought_twice_at_once_are_taken_once() -> None:
    chat = Chat(asking("c1"), ["Blue."], ["Red."])
    await chat.say("Which?")
    requests = [await chat.find(("c1", color)) for color in ("blue", "red")]
    await chat._run(requests[0])  # pyright: ignore[reportPrivateUsage]
    await asyncio.sleep(0.1)
    with pytest.raises(ValidationError, match="answered already"):
        await chat.runner.start(requests[1])
    assert len(chat.provider.requests) == 2


@virtual
async def test_a_repeated_request_gets_the_turn_that_is_there() -> None:
    chat = Chat(asking("c1"), ["Blue."])
    await chat.say("Which?")
    first = await chat.give(("c1", "blue"), nonce="key")
    again = await chat.give(("c1", "blue"), nonce="key")
    assert first.turn.id == again.turn.id
    assert len(chat.provider.requests) == 2


@virtual
async def test_outputs_may_be_sent_again_when_the_turn_that_took_them_broke() -> None:
    chat = Chat(asking("c1"), [ProviderUnavailable()], ["Blue."])
    await chat.say("Which?")
    broken = await chat.give(("c1", "blue"))
    assert kinds(broken.feed.events)[-1] == "TurnFailed"
    await chat.give(("c1", "blue"))
    assert (await chat.messages())[-1].content == "Blue."


@virtual
async def test_a_call_of_a_turn_that_was_stopped_waits_for_nobody() -> None:
    chat = Chat([*asking("c1"), 100.0])
    live = await chat.runner.start(TurnRequest("ann", content="Hi", tools=(ASK,)))
    chat.session_id = live.turn.session_id
    await read(live.feed, until=8)
    await chat.runner.cancel("ann", live.turn.id)
    assert calls_of((await chat.messages())[-1]) == [call("c1", None)]
    with pytest.raises(ValidationError, match="No call"):
        await chat.find(("c1", "blue"))


@virtual
async def test_another_user_finds_no_session() -> None:
    chat = Chat(asking("c1"))
    await chat.say("Hi")
    with pytest.raises(SessionNotFound):
        await chat.find(("c1", "x"), user="eve")


@virtual
async def test_a_viewer_is_told_that_they_may_not() -> None:
    chat = Chat(asking("c1"))
    await chat.say("Hi")
    await let_into(chat.store, chat.session_id, "vera", "viewer")
    with pytest.raises(Forbidden):
        await chat.find(("nothing", "x"), user="vera")


@virtual
async def test_a_long_output_is_shown_whole_and_kept_cut() -> None:
    chat = Chat(asking("c1"), ["Long."])
    await chat.say("Which?")
    await chat.give(("c1", "x" * 50_000))
    assert len(chat.provider.requests[1].messages[-1].content) == 50_000
    assert len(calls_of((await chat.messages())[-1])[0]["output"]) == 4000
