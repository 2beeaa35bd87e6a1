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


def in_order(messages: Sequence[Message]) -> list[Message]:
    """The messages with each answer behind its question: messages that waited stand before the answers to those
    before them, since they came first."""
    seqs = {message.id: message.seq for message in messages}

    def place(message: Message) -> tuple[int, int]:
        question = seqs.get(message.parent_message_id, 0) if _is_answer(message) else 0
        return (question if 0 < question < message.seq else message.seq), message.seq

    return sorted(messages, key=place)


def up_to_answer(messages: Sequence[Message], seq: int) -> list[Message]:
    """The conversation as it was when this answer was the newest; [] when it is not among the messages."""
    before = current(in_order([each for each in messages if each.seq <= seq]))
    places = [each.seq for each in before]
    return before[: places.index(seq) + 1] if seq in places else []


def _says(message: Message) -> bool:
    return bool(message.content or message.metadata.get("tool_calls"))


def _is_answer(message: Message) -> bool:
    """Of the model: what somebody posted as the assistant's reply takes no answer's place."""
    return message.role == "assistant" and not message.author and bool(message.parent_message_id)
