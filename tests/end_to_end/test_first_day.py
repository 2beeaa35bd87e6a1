"""An organisation's first day, as docs/sign-in.md tells it: its commands, run as they stand there."""

import asyncio
import json
import re
from collections.abc import Callable, Generator
from typing import Any

import pytest

from tests.support.processes import ROOT
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack

ADDRESSES = "APP=http://127.0.0.1:7071 ISSUER=http://127.0.0.1:39279"


@pytest.fixture(scope="module")
def signed() -> Generator[Stack]:
    with Stack.start(env=ONE_ATTEMPT, flags=["--auth", "jwt"]) as running:
        yield running


async def test_the_commands_of_the_page_do_what_it_says(signed: Stack, tool: Callable[[str], str]) -> None:
    bash = tool("bash")
    tool("curl")
    page = (ROOT / "docs/sign-in.md").read_text()
    [script] = re.findall(
        r"^## An organisation's first day\n.*?^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL
    )
    assert ADDRESSES in script
    script = script.replace(ADDRESSES, f"APP={signed.url} ISSUER={signed.issuer_url}")
    process = await asyncio.create_subprocess_exec(
        *(bash, "-euo", "pipefail", "-c", script), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        printed, _ = await process.communicate()
    assert process.returncode == 0
    lines = printed.decode().splitlines()
    said = [json.loads(line) for line in lines if line.startswith("{")]
    invited, invitations, accepted, refused, read, audit = said
    assert [(each["user_id"], each["status"]) for each in invited["members"]] == [
        ("ann", "member"),
        ("bob", "invited"),
    ]
    [invitation] = invitations["invitations"]
    assert (invitation["title"], invitation["invited_by"], invitation["role"]) == (
        "Plan for Monday",
        "ann",
        "viewer",
    )
    assert accepted["members"] == [{"user_id": "ann", "role": "owner"}, {"user_id": "bob", "role": "viewer"}]
    answer = read["messages"][-1]["content"]
    assert "data: [DONE]" in lines
    assert lines[lines.index("watching, with ann, bob") + 1 :][:1] == ["new_message: user: Good morning!"]
    assert f"completed: assistant: {answer}" in lines
    assert refused["error_code"] == "FORBIDDEN"
    assert _line(audit["entries"][0]) == ("root", "list_messages", "ann", accepted["id"])


def _line(entry: Any) -> tuple[str, ...]:
    return entry["actor"], entry["action"], entry["user_id"], entry["path"].split("/")[-2]
