"""What the model is shown of a conversation."""

from collections.abc import Iterable

from chat.messages import Message, MessageDraft
from chat.providers.base import ModelMessage


def window(system_prompt: str, messages: Iterable[Message | MessageDraft]) -> tuple[ModelMessage, ...]:
    """What the model is shown: the system prompt, then every message that says something. An answer that was cut off
    is shown as far as it went; one that never came is left out."""
    said = (ModelMessage(each.role, each.content) for each in messages if each.content)
    return (ModelMessage("system", system_prompt), *said)
