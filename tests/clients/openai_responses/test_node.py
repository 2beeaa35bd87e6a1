"""The same through the openai package of npm."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.model_server import expected_text
from tests.support.node import run_script
from tests.support.stack import Stack

SCRIPT = Path(__file__).with_name("responses.mjs")
THREE = expected_text(3)

# What each case of the script says.
CASES: dict[str, Any] = {
    "whole": ["completed", THREE],
    "helper": [THREE, ["reasoning", "message"], True],
    "tools": ["paint", '{"colour":"red"}', "The tool says: it is red"],
    "ours": [["mcp_call", "completed"], ["message", "completed"]],
    "cut": ["response.failed", "failed", "server_error", "word1 word2"],
    "background": [True, "completed", expected_text(5)],
    "cancel": ["response.incomplete", "cancelled", "cancelled", True],
    "branch": [['#text="one"', "one", "#echo"], ["#echo"]],
    "gone": [[404, "not_found_error"]] * 2,
    "refused": [
        [400, "invalid_input", "input[0].content"],
        [404, "session_not_found", None],
        [429, "model_rate_limited", None],
        [400, "invalid_input", "background"],
    ],
}


@pytest.mark.parametrize("name", CASES)
async def test_what_it_makes_of_responses(pair: Stack, name: str) -> None:
    assert json.loads(await run_script(SCRIPT, pair.url, name)) == CASES[name]


async def test_a_stream_that_drops_after_any_event_goes_on_behind_it(pair: Stack) -> None:
    count, resumed = json.loads(await run_script(SCRIPT, pair.url, "resume"))
    assert len(resumed) == count
    assert all(each == [True, count, expected_text(6), expected_text(6)] for each in resumed)
