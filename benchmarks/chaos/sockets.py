"""The sockets of the driver: plain JSON, the service's own JSON protocol and its reliable one."""

import asyncio
import contextlib
import json
import random
import socket
import time
from dataclasses import asdict
from typing import Any

import aiohttp

from benchmarks.chaos.frames import READERS, Seen, resume
from benchmarks.chaos.journal import Journal
from benchmarks.chaos.streams import Door

JSON, RELIABLE = "json.webpubsub.azure.v1", "json.reliable.webpubsub.azure.v1"
PROTOCOLS = ("", JSON, RELIABLE)
HELLO = 15.0  # seconds for the app's first word
RECOVERING = 25.0  # a reliable client may come back within 30
SHUT_OUT = 50  # frames that are written down of what a member hears who was taken out


class RoomSocket:
    """One connection, from its opening to its end."""

    def __init__(self, name: str, user: str, session: str, dialect: str, protocol: str) -> None:
        self.name, self.user, self.session = name, user, session
        self.dialect, self.protocol = dialect, protocol
        self.opened = asyncio.Event()  # the app has answered on it
        self.closed = asyncio.Event()
        self.removed = False
        self.running = ""  # the turn that was seen to begin last, until its end
        self.last = ""
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._id = self._token = self._url = ""
        self._begun: set[str] = set()
        self._texts: dict[str, str] = {}  # as a client shows them, by turn
        self._by, self._overheard, self._sequence = "service", 0, 0

    async def live(self, http: aiohttp.ClientSession, url: str, journal: Journal) -> None:
        """Until it is closed, by whomever. Never raises but for a cancel."""
        self._url = url
        try:
            await self._listen(http, url, journal)
            while self.protocol == RELIABLE and self._by == "cut" and self._token:
                self._by = "service"
                await self._recover(http, journal)
        finally:
            self.closed.set()
            facts = {"code": self._socket.close_code if self._socket else None, "by": self._by}
            if self.opened.is_set():
                journal.note("closed", socket=self.name, session=self.session, **facts)

    async def _listen(self, http: aiohttp.ClientSession, url: str, journal: Journal) -> None:
        protocols = [self.protocol] if self.protocol else []
        try:
            async with http.ws_connect(url, protocols=protocols, max_msg_size=0) as self._socket:
                if not self.opened.is_set() and self.dialect == "chat":
                    await self.say({"type": "hello"})
                async for message in self._socket:
                    if message.type == aiohttp.WSMsgType.TEXT:
                        await self._take(message.data, journal)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            pass

    async def _recover(self, http: aiohttp.ClientSession, journal: Journal) -> None:
        deadline = time.monotonic() + RECOVERING
        url = f"{self._url}&awps_connection_id={self._id}&awps_reconnection_token={self._token}"
        while time.monotonic() < deadline:
            await asyncio.sleep(random.uniform(0.2, 1.0))
            before = self._socket
            await self._listen(http, url, journal)
            if self._socket is not before:
                return

    async def _take(self, text: str, journal: Journal) -> None:
        if not self.protocol:
            return self._see(json.loads(text) if text.startswith("{") else text, journal)
        frame = json.loads(text)
        if frame["type"] == "system" and frame["event"] == "connected":
            self._id, self._token = frame["connectionId"], frame.get("reconnectionToken", self._token)
        elif frame["type"] == "message":
            number = frame.get("sequenceId")
            if number is not None and self._socket:
                await self._socket.send_json({"type": "sequenceAck", "sequenceId": number})
                if number <= self._sequence:  # the service repeats what it does not know to be here
                    return None
                self._sequence = number
            self._see(frame["data"], journal)
        return None

    def _see(self, frame: Any, journal: Journal) -> None:
        seen = READERS[self.dialect](frame)
        if seen is None:
            return
        if seen.what == "welcome":
            if not self.opened.is_set():
                self.opened.set()
                who = {"user": self.user, "dialect": self.dialect, "protocol": self.protocol}
                journal.note("opened", socket=self.name, session=self.session, **who)
            return
        self._follow(seen)
        if seen.what == "ack":
            facts = {"user": self.user, "marker": seen.marker, "message": seen.message, "by": "socket"}
            journal.note("acked", session=self.session, **facts)
        elif self.removed and self._overheard < SHUT_OUT:
            self._overheard += 1
            self._note(seen, journal)
        elif seen.what != "delta" or seen.turn not in self._begun:
            self._note(seen, journal)
        self._begun.add(seen.turn)

    def _note(self, seen: Seen, journal: Journal) -> None:
        facts = {name: value for name, value in asdict(seen).items() if value not in ("", None, False)}
        for name in ("offset", "text", "whole"):
            facts.pop(name, None)
        if seen.whole is not None:
            facts["text"] = seen.whole
        elif seen.what == "end" and seen.turn in self._begun:
            facts["text"] = self._texts.get(seen.turn, "")
        journal.note("frame", socket=self.name, session=self.session, user=self.user, **facts)

    def _follow(self, seen: Seen) -> None:
        if seen.what == "delta":
            # Offsets count UTF-16, and what the stand-in says is ASCII.
            self._texts[seen.turn] = self._texts.get(seen.turn, "")[: seen.offset] + seen.text
        elif seen.what == "start":
            self._texts[seen.turn] = ""
        if seen.what == "end":
            self.running, self.last = "", seen.turn
        elif seen.turn:
            self.running = seen.turn

    async def say(self, frame: dict[str, Any]) -> bool:
        """Whether it could be sent."""
        if self._socket is None or self._socket.closed:
            return False
        whole = {"type": "event", "event": "message", "dataType": "json", "data": frame}
        try:
            await self._socket.send_json(whole if self.protocol else frame)
        except (aiohttp.ClientError, ConnectionError):
            return False
        return True

    async def resume(self, turn: str, after: int, journal: Journal) -> None:
        journal.note("resume", socket=self.name, session=self.session, turn=turn, after=after)
        await self.say(resume(self.dialect, turn, after))

    def cut(self) -> None:
        """Lose the connection without a word, as when a network goes. Only a reliable one comes back."""
        line = self._socket and self._socket.get_extra_info("socket")
        if line:
            self._by = "cut"
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    async def close(self, by: str = "us") -> None:
        self._by = by
        if self._socket is not None:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
                await self._socket.close()


async def negotiate(door: Door, user: str, session: str, dialect: str, instance: int) -> str:
    """Where to connect; "" when nobody says."""
    path = f"/ws?session_id={session}" if dialect == "chat" else f"/api/v1/chat/sessions/{session}/websocket"
    reply = await door.call(user, "GET", path, instance=instance)
    return reply.body["url"] if reply is not None and reply.status == 200 else ""
