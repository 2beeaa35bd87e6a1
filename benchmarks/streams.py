"""What readers of one running turn cost the app: many who ask it, by a link and long polls, and as many behind nginx.

All read the same turn from its start to its end, and must get the same text.
"""

import asyncio
import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from string import Template

import aiohttp

from benchmarks.measure import cpu_seconds
from benchmarks.report import Metric, shown, table, verdict
from benchmarks.scenarios import Figures
from benchmarks.servers import ROOT, Skipped, find_nginx, free_port, process, start_parley, wait_for_port

READERS, DELTAS, RATE = 500, 400, 20  # the turn takes 20 s
FEW = 50  # readers of a quick run
PAUSE = 0.5  # seconds a reader waits when it was told to come later
DEADLINE = 600.0  # seconds for all readers of one turn
ROWS = (
    Metric("streams_turn_s", "CPU s of the app: the turn alone", 2),
    Metric("streams_direct_s", "CPU s of the app: with readers who ask it", 2),
    Metric("streams_cached_s", "CPU s of the app: with readers behind nginx", 2),
    Metric("streams_direct_requests", "requests of readers who ask the app", 0),
    Metric("streams_cached_requests", "requests of readers behind nginx", 0),
)
SHARE = Metric("streams_share", "streams: CPU of readers behind nginx, % of that of direct ones", limit=5.0)
"""Beyond that of the turn alone."""


@dataclass(slots=True)
class Crowd:
    """Readers of one link."""

    session: aiohttp.ClientSession
    url: str  # of the link
    requests: int = 0

    async def read(self) -> str:
        """The text of the turn, by long polls from the start to the end."""
        said, query = list[str](), "&live=long-poll&offset=-1"
        while True:
            async with self.session.get(self.url + query) as reply:
                self.requests += 1
                if reply.status >= 500:
                    await asyncio.sleep(PAUSE)
                    continue
                body = await reply.read()
                assert reply.status in (200, 204), (reply.status, body)
            said += [each.get("delta", "") for each in json.loads(body or b"[]")]
            if "stream-closed" in reply.headers:
                return "".join(said)
            cursor, at = (reply.headers[name] for name in ("stream-cursor", "stream-next-offset"))
            query = f"&cursor={cursor}&live=long-poll&offset={at}"


def streams(readers: int = READERS) -> Figures:
    """Skipped where Parley or nginx cannot run."""
    with ExitStack() as stack:
        rows = start_parley(stack)
        app, pid = rows["functions"]
        cache = _start_cache(stack, app)
        found = asyncio.run(_measured(app, cache, pid, readers))
    cached, direct = (found[f"streams_{name}_s"] - found["streams_turn_s"] for name in ("cached", "direct"))
    return {**found, SHARE.key: 100 * cached / direct}


def streams_table(figures: Figures, readers: int = READERS) -> str:
    if not figures:
        return ""
    head = [f"{readers} readers of one turn, {DELTAS} deltas at {RATE}/s", "measured"]
    return table(head, [[row.title, shown(figures.get(row.key), row.digits)] for row in ROWS])


def streams_goals(figures: Figures, readers: int = READERS) -> list[list[str]]:
    """None of few readers, among whom one costs more than 5%."""
    return [verdict(SHARE, figures[SHARE.key])] if figures and readers == READERS else []


def _start_cache(stack: ExitStack, app: str) -> str:
    folder, port = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-cache-"))), free_port()
    values: Mapping[str, str] = {"FOLDER": str(folder), "PORT": str(port), "APP": app}
    template = Template((ROOT / "benchmarks/peers/nginx_cache.conf").read_text())
    (folder / "nginx.conf").write_text(template.substitute(values))
    command = [find_nginx(), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    wait_for_port(port, stack.enter_context(process(command)))
    return f"http://127.0.0.1:{port}"


async def _measured(app: str, cache: str, pid: int, readers: int) -> Figures:
    found: Figures = {}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as session:
        await _turn(session, app, app, pid, 1)  # whatever is done once is done
        for name, origin, count in (("turn", app, 0), ("cached", cache, readers), ("direct", app, readers)):
            crowd, seconds = await _turn(session, app, origin, pid, count)
            found |= {f"streams_{name}_s": seconds, f"streams_{name}_requests": crowd.requests}
    return found


async def _turn(
    session: aiohttp.ClientSession, app: str, origin: str, pid: int, readers: int
) -> tuple[Crowd, float]:
    """A turn with so many readers, and the CPU seconds of the app from its first word until all have all of it."""
    body = {"messages": [{"role": "user", "content": f"#chunks={DELTAS} #rate={RATE}"}]}
    async with session.post(f"{app}/api/chat/stream", json=body) as asked:
        assert asked.status == 200, await asked.text()
        turn = f"/api/streams/turns/{asked.headers['x-turn-id']}"
        async with session.post(f"{app}{turn}/links", json={}) as made:
            crowd = Crowd(session, origin + (await made.json())["url"])
        before = cpu_seconds(pid)
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
            texts = [group.create_task(crowd.read()) for _ in range(readers)]
            async for _ in asked.content:
                pass
        used = cpu_seconds(pid) - before
    if len({each.result() for each in texts}) > 1:
        raise Skipped("readers of one turn have got different texts")
    return crowd, used
