"""Planners that send back what they were told, as their authors wrote them, run against the local stack."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.azurite import NODE
from tests.support.stack import Stack

HERE = Path(__file__).parent
CLIENTS = {"planner_page.mjs": str(NODE), "planner_socket.py": sys.executable}


@pytest.mark.parametrize("name", CLIENTS)
async def test_what_a_planner_sends_back_is_what_changes(stack: Stack, name: str) -> None:
    command = [CLIENTS[name], str(HERE / name), stack.url]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.split()[-1:]) == (0, ["ok"]), done.stdout + done.stderr
