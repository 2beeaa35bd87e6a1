"""What the model is shown of a conversation."""

from collections.abc import Iterable
from itertools import chain

from chat.messages import Message, MessageDraft
from chat.providers.base import ModelMessage
from chat.turns.tool_history import model_messages


def window(system_prompt: str, messages: Iterable[Message | MessageDraft]) -> tuple[ModelMessage, ...]:
    """What the model is shown: the system prompt, then every message that says or calls something. An answer that
    was cut off is shown as far as it went; one that never came is left out."""
    said = chain.from_iterable(model_messages(each) for each in messages)
    return (ModelMessage("system", system_prompt), *said)
