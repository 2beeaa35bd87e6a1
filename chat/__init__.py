"""Parley: a chat backend whose turns outlive the sockets that follow them.

`from chat import handle_chat_message` is the one call an application needs to put a model behind a socket of its own.
It is resolved on first use, so that importing a part of `chat` costs only that part.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chat.direct import handle_chat_message as handle_chat_message

__all__ = ["handle_chat_message"]


def __getattr__(name: str) -> Any:
    if name == "handle_chat_message":
        from chat.direct import handle_chat_message

        return handle_chat_message
    raise AttributeError(f"module 'chat' has no attribute {name!r}")
