"""Sessions, messages and turns as values. How they are stored is `store/`, how they are shown is `routes/`."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from chat.events import JSONObject, empty_object

type Role = Literal["user", "assistant", "system"]
type MessageStatus = Literal["streaming", "complete", "cancelled", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a turn or message, as the service reported them or, when `estimated`, as we counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class MessageDraft:
    """A message before the store gave it its place."""

    role: Role
    content: str
    author: str = ""  # user id; "" for the model
    metadata: JSONObject = field(default_factory=empty_object)
    parent_message_id: str = ""
    status: MessageStatus = "complete"


@dataclass(frozen=True, slots=True)
class Message:
    """One line of a conversation. `id` is `{session}-{seq:08d}`, seq counting from 1."""

    id: str
    session_id: str
    seq: int
    role: Role
    content: str
    created_at: datetime
    updated_at: datetime
    status: MessageStatus = "complete"
    author: str = ""
    llm_provider: str = ""
    llm_model: str = ""
    response_time_ms: int | None = None
    tokens_used: int = 0
    error_message: str = ""
    metadata: JSONObject = field(default_factory=empty_object)
    parent_message_id: str = ""
    thread_id: str = ""


@dataclass(frozen=True, slots=True)
class Page[T]:
    """Some items of a longer list. `next_cursor` is opaque, and None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None = None

    @property
    def has_more(self) -> bool:
        return self.next_cursor is not None


def message_id(session_id: str, seq: int) -> str:
    return f"{session_id}-{seq:08d}"


def split_message_id(identifier: str) -> tuple[str, int] | None:
    """`(session id, seq)` of a message or turn id; None when it is not one."""
    session_id, dash, digits = identifier.rpartition("-")
    if not dash or not session_id or len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
        return None
    return session_id, int(digits)
