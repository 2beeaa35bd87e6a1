"""The programs of docs/protocols.md, as they stand there."""

import re
import sys

from tests.support.azurite import NODE
from tests.support.node import run_program
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
    return await run_program([*RUN[language], program.replace(LOCAL, url)], seconds=seconds)
