"""Ids by which a protocol asks for somebody's word on a call, where the answer has room for nothing else.

They name the turn, too: the answers that stand beside each other, where one was made anew, may have calls of one id."""

from chat.messages import split_message_id


def approval_id(turn_id: str, call_id: str) -> str:
    return f"{turn_id}.{call_id}"


def split_approval_id(text: str) -> tuple[str, str]:
    """The turn and the call; "" and the text where it is the id of a call alone."""
    turn_id, _, call_id = text.partition(".")
    return (turn_id, call_id) if call_id and split_message_id(turn_id) else ("", text)
