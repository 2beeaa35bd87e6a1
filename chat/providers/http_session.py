"""The HTTP session of a provider: as many streams at once as there are turns, and connections that are kept."""

from urllib.request import getproxies

import aiohttp

CONNECT_TIMEOUT = 10.0
IDLE_CONNECTION = 60.0
"""Seconds that a connection is kept for the next turn; a new one costs two or three round trips."""


def open_session() -> aiohttp.ClientSession:
    """A session of one's own; close it. Needs a running loop."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_CONNECTION),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=bool(getproxies()),  # it costs a thread and 2 ms a request, to look for ~/.netrc
    )
