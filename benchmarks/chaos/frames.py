"""What a frame of a socket says, in the words of the journal: one reader for each dialect."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ENDED = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Seen:
    """`what`: start, delta, end, message (a stored one is shown as new), welcome, ack, refused."""

    what: str
    turn: str = ""
    message: str = ""
    role: str = ""
    snapshot: bool = False
    seq: Any = None
    code: str = ""
    marker: str = ""  # of an ack, whose request ids are markers
    text: str = ""  # of a delta
    offset: int | None = None  # where it belongs; None is behind what was said
    whole: str | None = None  # of an end, the text where the frame has all of it


def see_chat(frame: Any) -> Seen | None:
    """Dialect `chat`. Its welcome is the echo of our first frame."""
    if isinstance(frame, str):
        return Seen("welcome") if frame.startswith("Echo: ") else None
    payload: Mapping[str, Any] = frame.get("payload") or {}
    turn, where = frame.get("turn_id", ""), (bool(frame.get("snapshot")), frame.get("seq"))
    match frame.get("type"):
        case "chat_start":
            return Seen("start", turn, "", "", *where)
        case "chat_chunk":
            what, text = "end" if payload.get("done") else "delta", payload.get("text", "")
            return Seen(what, turn, "", "", *where, text=text)
        case "chat_error" if turn:
            return Seen("end", turn, "", "", *where, code=payload.get("code", ""))
        case "chat_error":
            return Seen("refused", code=payload.get("code", ""))
        case _:
            return None


def see_session(frame: Any) -> Seen | None:
    """Dialect `session`."""
    match frame.get("type"):
        case "message_update":
            return _update(frame)
        case "message_delta":
            return Seen(
                "delta",
                frame.get("turn_id", ""),
                frame.get("message_id", ""),
                snapshot=bool(frame.get("snapshot")),
                seq=frame.get("seq"),
                text=frame["delta"],
                offset=frame["offset"],
            )
        case "connection_established":
            return Seen("welcome")
        case "ack":
            return Seen("ack", frame.get("turn_id") or "", frame["message_id"], marker=frame["request_id"])
        case "error":
            return Seen("refused", code=frame.get("error_code", ""))
        case _:
            return None


def _update(frame: Mapping[str, Any]) -> Seen | None:
    message: Mapping[str, Any] = frame["message"]
    action, identifier, role = frame["action"], message["id"], message.get("role", "")
    where = (bool(frame.get("snapshot")), frame.get("seq"))
    error: Mapping[str, Any] = frame.get("error") or {}
    if action == "new_message":
        # The placeholder of an answer: its turn has begun, and has the message's id.
        return Seen("message", identifier if role == "assistant" else "", identifier, role, *where)
    if action == "updated" and "turn_id" in frame:  # the whole message so far stands for all deltas before it
        return Seen("delta", identifier, identifier, role, *where, text=message["content"], offset=0)
    if action in ENDED:
        whole = None if message.get("truncated") else message.get("content")
        return Seen("end", identifier, identifier, role, *where, code=error.get("code", action), whole=whole)
    return None


READERS: Mapping[str, Callable[[Any], Seen | None]] = {"chat": see_chat, "session": see_session}


def say(dialect: str, text: str, marker: str) -> dict[str, Any]:
    if dialect == "chat":
        return {"type": "chat", "payload": {"text": text}}
    return {"type": "send_message", "content": text, "request_id": marker}


def cancel(dialect: str, turn: str) -> dict[str, Any]:
    if dialect == "chat":
        return {"type": "chat_cancel", "payload": {"turn_id": turn}}
    return {"type": "cancel", "turn_id": turn}


def resume(dialect: str, turn: str, after: int) -> dict[str, Any]:
    where = {"turn_id": turn, "after": after}
    return {"type": "chat_resume", "payload": where} if dialect == "chat" else {"type": "resume", **where}
