"""Tools of servers that were made with the `mcp` package, over real sockets."""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest

from chat.calls import ToolCall
from chat.clock import SystemClock
from chat.settings.mcp_servers import McpServer, read_mcp_servers
from chat.tools.base import ToolResult
from chat.tools.registry import ToolRegistry
from chat.tools.remote.mcp_box import RemoteTools
from tests.support.mcp_servers import running_shop
from tests.support.processes import ROOT

NOWHERE = "http://127.0.0.1:9/mcp"


def box(*servers: McpServer, limit: float = 20) -> ToolRegistry:
    remote = RemoteTools(servers, SystemClock(), limit=limit)
    return ToolRegistry((), time_limit=limit, max_output=2000, remote=remote)


def call(name: str, **arguments: object) -> ToolCall:
    return ToolCall("c1", name, json.dumps(arguments))


@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("answers_json", [False, True])
async def test_tools_are_listed_and_run(stateless: bool, answers_json: bool) -> None:
    async with running_shop(stateless=stateless, answers_json=answers_json) as url:
        tools = box(McpServer("shop", url))
        await tools.ready()
        assert [each.name for each in tools.definitions] == [
            "shop_picture",
            "shop_price",
            "shop_refuse",
            "shop_sleep",
        ]
        price = tools.definitions[1]
        assert price.description.startswith("[A third party's tool, on the server shop.")
        assert price.description.endswith("What a product costs.")
        assert price.parameters["required"] == ["product"]
        found = await tools.run(call("shop_price", product="bolt", count=3))
        assert (json.loads(found.output), found.is_error) == ({"product": "bolt", "total": 7.5}, False)
        await tools.aclose()


async def test_what_a_tool_says_is_text_and_names_of_the_rest() -> None:
    async with running_shop() as url:
        tools = box(McpServer("shop", url))
        await tools.ready()
        assert (await tools.run(call("shop_picture"))).output.splitlines() == [
            "Here:",
            "[image image/png 300 bytes: not shown]",
            "[resource album https://shop.example/album: not shown]",
        ]
        await tools.aclose()


async def test_a_text_that_is_its_own_structure_is_told_once() -> None:
    async with running_shop() as url:
        tools = box(McpServer("shop", url))
        await tools.ready()
        assert await tools.run(call("shop_sleep", seconds=0)) == ToolResult("awake")
        await tools.aclose()


async def test_what_goes_wrong_is_told_to_the_model() -> None:
    async with running_shop() as url:
        tools = box(McpServer("shop", url))
        await tools.ready()
        refused = await tools.run(call("shop_refuse"))
        assert refused.is_error and "Not on Sundays." in refused.output
        wrong = await tools.run(call("shop_price", product=[]))
        assert wrong.is_error
        assert (await tools.run(ToolCall("c", "shop_price", "[1"))) == ToolResult(
            "The arguments of shop_price are no JSON object.", is_error=True
        )
        assert tools.states["shop"]["status"] == "healthy"  # the tools are wrong, not the server
        await tools.aclose()


async def test_a_slow_tool_is_stopped() -> None:
    async with running_shop() as url:
        tools = box(McpServer("shop", url), limit=0.5)
        await tools.ready()
        assert (await tools.run(call("shop_sleep", seconds=30))).is_error
        await tools.aclose()


async def test_of_a_server_only_the_allowed_tools_are_offered_and_some_need_approval() -> None:
    async with running_shop() as url:
        allow = {"price": "", "refuse": "", "nothing": ""}
        tools = box(McpServer("shop", url, allow=allow, needs_approval=frozenset({"refuse"})))
        await tools.ready()
        assert [(each.name, each.needs_approval) for each in tools.definitions] == [
            ("shop_price", False),
            ("shop_refuse", True),
        ]
        assert "no tool of the name" in (await tools.run(call("shop_picture"))).output
        await tools.aclose()


async def test_a_dead_server_costs_its_tools_alone() -> None:
    async with running_shop() as url:
        tools = box(McpServer("dead", NOWHERE), McpServer("shop", url, allow={"price": ""}))
        await tools.ready()
        assert [each.name for each in tools.definitions] == ["shop_price"]
        assert {name: state["status"] for name, state in tools.states.items()} == {
            "dead": "unreachable",
            "shop": "healthy",
        }
        await tools.aclose()


async def test_a_server_that_dies_is_told_to_the_model() -> None:
    async with running_shop() as url:
        tools = box(McpServer("shop", url))
        await tools.ready()
    for _ in range(3):
        assert await tools.run(call("shop_price", product="bolt")) == ToolResult(
            "The server shop cannot be used at the moment.", is_error=True
        )
    assert (tools.definitions, tools.states["shop"]["status"]) == ((), "unreachable")
    await tools.aclose()


def test_without_servers_the_package_is_not_imported() -> None:
    code = """
import asyncio, sys
from chat.clock import SystemClock
from chat.tools.remote.mcp_box import RemoteTools
box = RemoteTools((), SystemClock(), limit=1)
asyncio.run(box.ready())
import chat.tools.builtin
assert not [name for name in sys.modules if name.partition(".")[0] in ("mcp", "mcp_types", "httpx2")]
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@dataclass
class Case:
    text: str
    wrong: str


CASES = (
    Case("{", "must be a JSON list"),
    Case("{}", "must be a JSON list"),
    Case("[1]", "server 0: must be an object"),
    Case('[{"name": "a"}]', "server 0: url is missing"),
    Case('[{"name": "A", "url": "https://x/mcp"}]', "server 0: name: must be up to 20"),
    Case('[{"name": "a", "url": "http://10.0.0.1/mcp"}]', "server 0: url: must be a URL with https"),
    Case('[{"name": "a", "url": "https://u:p@x/mcp"}]', "server 0: url: must be a URL without user"),
    Case('[{"name": "a", "url": "https://x/mcp", "hearders": {}}]', "server 0: must be an object"),
    Case(
        '[{"name": "a", "url": "https://x/mcp", "headers": {"k": "a\\nb"}}]', "server 0: headers: must be one"
    ),
    Case('[{"name": "a", "url": "https://x/mcp", "oauth": {}}]', "server 0: oauth: token_url is missing"),
    Case('[{"name": "a", "url": "https://x"}, {"name": "a", "url": "https://y"}]', "two servers have"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.wrong)
def test_a_wrong_setting_says_what_is_wrong(case: Case) -> None:
    with pytest.raises(ValueError, match=case.wrong):
        read_mcp_servers(case.text)


def test_the_setting_is_read_whole() -> None:
    text = json.dumps(
        [
            {
                "name": "crm",
                "url": "https://crm.example.com/mcp",
                "headers": {"x-key": "k"},
                "oauth": {"token_url": "https://sso.example.com/t", "client_id": "i", "client_secret": "s"},
                "allow": ["find", "drop#0123456789abcdef", "c#"],
                "needs_approval": ["drop"],
            }
        ]
    )
    (server,) = read_mcp_servers(text)
    assert server.allow == {"find": "", "drop": "0123456789abcdef", "c#": ""}
    assert (server.asks_for("drop"), server.asks_for("find")) == (True, False)
    assert server.headers == {"x-key": "k"} and server.oauth is not None
    assert not {"'s'", "'k'"} & set(repr(server).replace(",", " ").replace("}", " ").split())
    assert read_mcp_servers("") == ()
