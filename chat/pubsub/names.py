"""The events of sockets that the app takes, by their names. Imported at every start: keep it small."""

SYSTEM_EVENTS = ("connect", "connected", "disconnected")

EVENTS = (
    *("message", "chat", "chat_cancel", "chat_resume"),
    *("send_message", "approve_tool", "typing_start", "typing_stop", "cancel", "resume", "ping"),
    *("send", "abort"),
)
"""A client of a JSON subprotocol may name its frames by their event; all others are `message`. What the dialects name
themselves, written out: nothing of them is imported at a start."""
