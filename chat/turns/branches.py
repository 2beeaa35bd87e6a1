"""Which of a conversation's messages count, where a question was answered more than once."""

from collections.abc import Sequence

from chat.messages import Message


def current(messages: Sequence[Message]) -> list[Message]:
    """The messages without answers that were made anew: the newest answer to a question takes the place of the
    first, and one that never said anything is no answer as long as there is another."""
    newest: dict[str, Message] = {}
    for message in messages:
        if _is_answer(message) and (_says(message) or message.parent_message_id not in newest):
            newest[message.parent_message_id] = message
    kept: list[Message] = []
    for message in messages:
        if not _is_answer(message):
            kept.append(message)
        elif (answer := newest.pop(message.parent_message_id, None)) is not None:
            kept.append(answer)
    return kept


def _says(message: Message) -> bool:
    return bool(message.content or message.metadata.get("tool_calls"))


def _is_answer(message: Message) -> bool:
    """Of the model: what somebody posted as the assistant's reply takes no answer's place."""
    return message.role == "assistant" and not message.author and bool(message.parent_message_id)
