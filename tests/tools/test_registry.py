"""The box of tools: every way a call can go is a result."""

import asyncio
import logging

import pytest

from chat.calls import ToolCall
from chat.tools.base import NoTools, ToolError, ToolResult
from chat.tools.function_tool import Tool, tool
from chat.tools.registry import ToolRegistry
from tests.support.virtual_time import virtual


@tool
async def echo(text: str) -> str:
    """Says it again."""
    return text


@tool
async def refuse() -> str:
    """Refuses."""
    raise ToolError("Not on Sundays.")


@tool
def crash() -> str:
    """Breaks."""
    raise RuntimeError("row 17 of clients")


@tool
async def sleep(seconds: float) -> str:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return "awake"


@tool
def table() -> dict[str, object]:
    """Gives more than text."""
    return {"rows": [1, 2.5, None], "set": frozenset({1})}


def box(*tools: Tool, max_output: int = 100) -> ToolRegistry:
    return ToolRegistry(tools or (echo, refuse, crash, sleep, table), time_limit=30, max_output=max_output)


def call(name: str, arguments: str = "{}") -> ToolCall:
    return ToolCall("c1", name, arguments)


@pytest.mark.parametrize(
    ("asked", "result"),
    [
        (call("echo", '{"text": "hi"}'), ToolResult("hi")),
        (call("table"), ToolResult('{"rows":[1,2.5,null],"set":[1]}')),
        (call("refuse"), ToolResult("Not on Sundays.", is_error=True)),
        (call("crash"), ToolResult("crash failed.", is_error=True)),
        (call("echo", '{"text": "\\ud800"}'), None),
    ],
)
async def test_a_call_has_a_result(asked: ToolCall, result: ToolResult | None) -> None:
    found = await box().run(asked)
    found.output.encode()
    assert result is None or found == result


async def test_an_unknown_tool_is_told_which_there_are() -> None:
    found = await box(echo, refuse).run(call("dance"))
    assert found.is_error
    assert "'dance'" in found.output
    assert "echo, refuse" in found.output


async def test_bad_arguments_are_an_error_for_the_model() -> None:
    found = await box().run(call("echo", "{}"))
    assert (found.is_error, "text" in found.output) == (True, True)


async def test_what_a_crash_said_goes_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "chat"):
        found = await box().run(call("crash"))
    assert "row 17 of clients" not in found.output
    assert "row 17 of clients" in caplog.text


@pytest.mark.parametrize(("seconds", "said"), [(29, "awake"), (31, "sleep took longer than 30 s.")])
def test_a_call_has_a_time_limit(seconds: int, said: str) -> None:
    @virtual
    async def test() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await box().run(call("sleep", f'{{"seconds": {seconds}}}'))
        assert (found.output, found.is_error) == (said, seconds > 30)
        assert loop.time() - began <= 30

    test()


@pytest.mark.parametrize(("length", "cut"), [(100, False), (101, True)])
async def test_a_long_output_is_cut_with_a_note(length: int, cut: bool) -> None:
    found = await box().run(call("echo", f'{{"text": "{"x" * length}"}}'))
    note = f"\n[cut: {length} characters, 100 are shown]" if cut else ""
    assert found == ToolResult("x" * 100 + note)


def test_tools_are_told_in_the_order_given() -> None:
    assert [each.name for each in box(refuse, echo).definitions] == ["refuse", "echo"]


def test_two_tools_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="echo"):
        box(echo, tool(echo.function))


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        (call("echo", '{"text":"x"}'), ""),
        (call("refuse", ""), ""),
        (call("echo"), "text: Field required"),
        (call("echo", '{"te'), "Invalid JSON"),
        (call("dance"), "There is no tool"),
    ],
)
def test_a_call_that_could_only_fail_is_told_from_others_without_running_it(
    asked: ToolCall, wrong: str
) -> None:
    if not wrong:
        box().check(asked)
        return
    with pytest.raises(ToolError, match=wrong):
        box().check(asked)


def test_a_tool_may_need_an_approval() -> None:
    definitions = box(tool(echo.function, needs_approval=True), refuse.guarded, sleep).definitions
    assert [each.needs_approval for each in definitions] == [True, True, False]


async def test_a_cancelled_call_is_cancelled() -> None:
    running = asyncio.create_task(box().run(call("sleep", '{"seconds": 9}')))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_closing_closes_what_the_tools_hold() -> None:
    closed = asyncio.Event()

    async def close() -> None:
        closed.set()

    await ToolRegistry([], time_limit=1, max_output=1, on_close=close).aclose()
    await ToolRegistry([], time_limit=1, max_output=1).aclose()
    assert closed.is_set()


async def test_an_app_without_tools_has_an_answer_too() -> None:
    assert (await NoTools().run(call("echo"))).is_error
    assert NoTools().definitions == ()
