"""Conversations as callers bring them, who have them on their screens: the last message is new."""

from collections.abc import Sequence
from typing import Protocol

from chat.dialects.base import Asker
from chat.errors import ValidationError
from chat.messages import MessageDraft, Role
from chat.schemas.fields import EMPTY, check_size


class Brought(Protocol):
    """One message."""

    @property
    def role(self) -> Role: ...

    @property
    def content(self) -> str: ...


def read_conversation(
    messages: Sequence[Brought], asker: Asker, *, is_known: bool
) -> tuple[str, tuple[MessageDraft, ...]]:
    """What the user says, and what was said before. Of a known session the stored history counts; what is empty, such
    as an answer of a turn that failed, is passed over. ValidationError, TooLarge."""
    last = len(messages) - 1
    for index, each in enumerate(messages):
        check_size(f"messages.{index}.content", each.content, limit=asker.message_bytes)
    if messages[last].role != "user":
        raise ValidationError("messages", "The last message must be the user's")
    if not messages[last].content.strip():
        raise ValidationError(f"messages.{last}.content", EMPTY)
    before = () if is_known else messages[:last]
    history = (said(each.role, each.content, asker) for each in before if each.content.strip())
    return messages[last].content, tuple(history)


def said(role: Role, content: str, asker: Asker) -> MessageDraft:
    """One message of such a conversation: what the user said is the asker's."""
    return MessageDraft(role, content, author=asker.user_id if role == "user" else "")
