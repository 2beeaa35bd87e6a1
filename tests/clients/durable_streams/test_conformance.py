"""The conformance tests of the protocol's authors, as far as they are about reading JSON, against the production route.

`conformance.txt` names each that is run, and why the others are not; a name that ends in ` ...` stands for all that
begin so.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from chat.dialects.catalogue import DIALECTS
from tests.clients.durable_streams.writer import MESSAGES, Source, Writer
from tests.support.apps import make_app
from tests.support.azurite import NODE
from tests.support.processes import ROOT

HERE = Path(__file__).parent
SUITE = HERE / "conformance.test.mjs"
VITEST = ROOT / "node_modules/vitest/vitest.mjs"
SECONDS = 120


def read_names() -> Mapping[str, list[str]]:
    """By headings, the first of which is that of the tests that are run."""
    named: dict[str, list[str]] = {}
    for line in filter(None, (HERE / "conformance.txt").read_text().splitlines()):
        if line.startswith("# "):
            names = named[line] = []
        else:
            names.append(line)
    return named


NAMED = read_names()
RUN = next(iter(NAMED.values()))


@asynccontextmanager
async def streams(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[str]:
    """The URL of the route, with a writer behind it."""
    monkeypatch.setitem(cast("dict[str, Any]", DIALECTS), MESSAGES.name, MESSAGES)
    source = Source()
    app = make_app(sources={"": source}, settings={"CHAT_CORS_ORIGINS": "*"}).app
    monkeypatch.setattr("chat.app._current", app)
    server = Writer(app, source).server()
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving
    await app.close()


async def outcomes(url: str, report: Path) -> Mapping[str, str]:
    """What vitest says of each test; `skipped` are those that were not to be run."""
    wanted = "^(" + "|".join(map(re.escape, RUN)) + ")$"
    command = [NODE, VITEST, "run", SUITE, "--testTimeout=30000", "--reporter=json", f"--outputFile={report}"]
    process = await asyncio.create_subprocess_exec(
        *map(str, command), "-t", wanted, cwd=ROOT, env={**os.environ, "STREAMS_URL": url}
    )
    async with asyncio.timeout(SECONDS):
        await process.wait()
    [found] = json.loads(await asyncio.to_thread(report.read_text))["testResults"]
    return {each["fullName"]: each["status"] for each in found["assertionResults"]}


def heading_of(name: str) -> list[str]:
    return [
        heading
        for heading, names in NAMED.items()
        if name in names or any(each.endswith(" ...") and name.startswith(each[:-4]) for each in names)
    ]


@pytest.mark.slow
async def test_what_is_asked_of_reading_json_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with streams(monkeypatch) as url:
        found = await outcomes(url, tmp_path / "report.json")
    assert {name: found.get(name) for name in RUN} == dict.fromkeys(RUN, "passed")
    assert {name: heading_of(name) for name in found if len(heading_of(name)) != 1} == {}
    known = {each for names in NAMED.values() for each in names if not each.endswith(" ...")}
    assert known <= found.keys()
