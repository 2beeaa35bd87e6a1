"""The programs of docs/protocols.md, as they stand there."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE

from tests.support.azurite import NODE
from tests.support.processes import ROOT

LOCAL = "http://127.0.0.1:7071"
RUN = {"js": [str(NODE), "--input-type=module", "-e"], "python": [sys.executable, "-c"]}


def snippets_of(heading: str) -> list[tuple[str, str]]:
    """`(language, program)` of each one under that heading."""
    page = (ROOT / "docs/protocols.md").read_text()
    [section] = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```(js|python)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


async def run_snippet(language: str, program: str, url: str, *, seconds: float = 60) -> str:
    """What it prints, run at the root of the repository against that URL. AssertionError when it fails."""
    command = [*RUN[language], program.replace(LOCAL, url)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(seconds):
            said, errors = await process.communicate()
    except BaseException:
        process.kill()
        raise
    assert process.returncode == 0, errors.decode()
    return said.decode()
