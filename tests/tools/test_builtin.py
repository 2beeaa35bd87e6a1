"""Which tools an app offers, by its settings."""

import json
from pathlib import Path

import pytest

from chat.clock import SystemClock
from chat.events import JSONObject
from chat.tools.builtin import build_tools, data_folder
from chat.tools.data import SAMPLE
from tests.support.mcp_servers import running_shop
from tests.support.provider_settings import settings_for

GENIE = {"DATABRICKS_HOST": "https://x", "DATABRICKS_TOKEN": "t"}


class Atlas:
    async def find(self, city: str, kind: str, limit: int) -> list[JSONObject]:
        return []


@pytest.mark.parametrize(
    ("settings", "places", "offered"),
    [
        ({}, False, ["current_time", "query_data", "describe_data"]),
        ({}, True, ["current_time", "query_data", "describe_data", "find_places"]),
        (GENIE, False, ["current_time", "query_data", "describe_data", "execute_genie_query"]),
        ({"CHAT_TOOLS": "query_data"} | GENIE, True, ["query_data"]),
        ({"CHAT_TOOLS": "none"} | GENIE, True, []),
        ({"CHAT_DATA_DIR": "docs"}, False, ["current_time"]),
    ],
)
async def test_tools_are_offered_when_there_is_something_to_ask(
    settings: dict[str, str], places: bool, offered: list[str]
) -> None:
    loaded = settings_for("http://127.0.0.1:9/openai/v1", **settings)
    box = build_tools(loaded, SystemClock(), places=Atlas() if places else None)
    assert [each.name for each in box.definitions] == offered
    await box.aclose()


@pytest.mark.parametrize(
    ("approve", "guarded"),
    [("", []), ("query_data", ["query_data"]), ("*", ["current_time", "query_data", "describe_data"])],
)
async def test_the_settings_say_which_tools_need_an_approval(approve: str, guarded: list[str]) -> None:
    loaded = settings_for("http://127.0.0.1:9/openai/v1", CHAT_APPROVE_TOOLS=approve)
    box = build_tools(loaded, SystemClock())
    assert [each.name for each in box.definitions if each.needs_approval] == guarded
    await box.aclose()


async def test_a_star_means_the_tools_of_other_servers_too() -> None:
    async with running_shop() as url:
        servers = json.dumps([{"name": "shop", "url": url, "allow": ["price"], "needs_approval": False}])
        for approve, needed in (("*", True), ("current_time", False)):
            loaded = settings_for(
                "http://127.0.0.1:9/openai/v1", CHAT_APPROVE_TOOLS=approve, CHAT_MCP_SERVERS=servers
            )
            box = build_tools(loaded, SystemClock())
            await box.ready()
            assert (box.definitions[-1].name, box.definitions[-1].needs_approval) == ("shop_price", needed)
            await box.aclose()


@pytest.mark.parametrize(
    ("name", "folder"), [("", SAMPLE), ("data", SAMPLE), ("/srv/tables", Path("/srv/tables"))]
)
def test_the_folder_of_the_data_is_found(name: str, folder: Path) -> None:
    assert data_folder(name) == folder


def test_a_deployment_has_the_data() -> None:
    ignored = (SAMPLE.parent / ".funcignore").read_text().splitlines()
    assert not {"data", "data/", "*.csv"} & set(ignored)
