"""Every error that Parley raises on purpose, and what each looks like from outside.

ChatError (500)
  RequestError (400)        InvalidBody 400, ValidationError 422, TooLarge 413, EncodedBody 415,
                            MethodNotAllowed 405
  AuthError (401)           Unauthenticated 401, Forbidden 403
  NotFound (404)            SessionNotFound, MessageNotFound, TurnNotFound; EventsGone 410
  Conflict (409)            SessionInactive, TurnInProgress (QueueFull), VersionConflict
  ProviderError (502)       BadProviderReply, ContentFiltered, AnswerTooLarge, ProviderRejected (ModelNotFound),
                            ProviderAuthFailed, ProviderUnavailable 503, ProviderTimeout 504, ProviderRateLimited 429
  StoreError (503)          StoreUnavailable 503, StoreConflict 503
  PushError (503)           PushRefused, TooManyConnections 429, RateLimited 429
  ShuttingDown (503)        Interrupted (503, only as the end of a turn)    TurnTimedOut (504, likewise)

One object has three faces: before the first event an HTTP problem (protocol section 1), after it a `TurnFailed`,
always a log line. What is not a `ChatError` is shown as `INTERNAL` and its text goes to the log alone.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import ClassVar


class ChatError(Exception):
    """The root. `message` may be shown to the caller; it never holds a secret or another user's data."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", *, details: Mapping[str, object] | None = None) -> None:
        self.message = message or (self.__doc__ or "").split("\n")[0]
        self.details: dict[str, object] = dict(details or {})
        super().__init__(self.message)


class RequestError(ChatError):
    """The request cannot be read."""

    status = 400
    code = "BAD_REQUEST"


class InvalidBody(RequestError):
    """The body is not a JSON object."""

    code = "INVALID_JSON"


class ValidationError(RequestError):
    """A field of the request is wrong."""

    status = 422
    code = "INVALID_INPUT"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, details={"field": field, "message": message})
        self.field = field


class TooLarge(RequestError):
    """The body or the message is larger than the limit."""

    status = 413
    code = "TOO_LARGE"


class EncodedBody(RequestError):
    """Compressed bodies are not taken: send it as it is."""

    status = 415
    code = "ENCODED_BODY"


class MethodNotAllowed(RequestError):
    """The path exists, the method does not."""

    status = 405
    code = "METHOD_NOT_ALLOWED"

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(details={"allow": list(allowed)})
        self.allowed = tuple(allowed)


class AuthError(ChatError):
    """The caller is not known."""

    status = 401
    code = "UNAUTHENTICATED"


class Unauthenticated(AuthError):
    """No principal: sign in first."""


class Forbidden(AuthError):
    """The caller's role in this session is too low."""

    status = 403
    code = "FORBIDDEN"


class NotFound(ChatError):
    """Nothing is here."""

    status = 404
    code = "NOT_FOUND"


class SessionNotFound(NotFound):
    """Session not found."""

    code = "SESSION_NOT_FOUND"


class MessageNotFound(NotFound):
    """Message not found."""

    code = "MESSAGE_NOT_FOUND"


class TurnNotFound(NotFound):
    """Turn not found."""

    code = "TURN_NOT_FOUND"


class EventsGone(NotFound):
    """The events of this turn have been purged; its messages are still there."""

    status = 410
    code = "EVENTS_GONE"


class Conflict(ChatError):
    """The resource is in another state."""

    status = 409
    code = "CONFLICT"
    retryable = True


class SessionInactive(Conflict):
    """The session is not active: it takes no new turn."""

    code = "SESSION_INACTIVE"
    retryable = False


class TurnInProgress(Conflict):
    """A turn is already running in this session."""

    code = "TURN_IN_PROGRESS"

    def __init__(self, turn_id: str) -> None:
        super().__init__(details={"turn_id": turn_id})
        self.turn_id = turn_id


class QueueFull(TurnInProgress):
    """As many messages as may wait for the running turn wait already."""

    code = "QUEUE_FULL"


class VersionConflict(Conflict):
    """The session changed in the meantime."""

    code = "VERSION_CONFLICT"


class ProviderError(ChatError):
    """The model service failed."""

    status = 502
    code = "MODEL_ERROR"


class BadProviderReply(ProviderError):
    """The model service sent something that cannot be read."""

    code = "MODEL_BAD_REPLY"
    retryable = True


class ProviderRejected(ProviderError):
    """The model service refused the request."""

    code = "MODEL_REJECTED"

    def __init__(self, message: str = "", *, parameter: str = "") -> None:
        super().__init__(message)
        self.parameter = (
            parameter  # of the request's body, which it would have to be without; "" when none is named
        )


class ModelNotFound(ProviderRejected):
    """The model service knows no such model."""

    code = "MODEL_NOT_FOUND"


class ProviderAuthFailed(ProviderError):
    """The model service refused our credentials."""

    code = "MODEL_AUTH_FAILED"


class ContentFiltered(ProviderError):
    """The model service's content filter refused the request."""

    code = "CONTENT_FILTERED"


class AnswerTooLarge(ProviderError):
    """The model's answer is longer than an answer may be."""

    code = "ANSWER_TOO_LARGE"


class ProviderUnavailable(ProviderError):
    """The model service cannot be reached."""

    status = 503
    code = "MODEL_UNAVAILABLE"
    retryable = True

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds, where it is known


class ProviderTimeout(ProviderError):
    """The model service did not answer in time."""

    status = 504
    code = "MODEL_TIMEOUT"
    retryable = True


class ProviderRateLimited(ProviderError):
    """The model service is at its limit."""

    status = 429
    code = "MODEL_RATE_LIMITED"
    retryable = True

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds, as the service said; None when it said nothing


class StoreError(ChatError):
    """The conversation store failed."""

    status = 503
    code = "STORE_ERROR"
    retryable = True


class StoreUnavailable(StoreError):
    """The conversation store cannot be reached."""

    code = "STORE_UNAVAILABLE"


class StoreConflict(StoreError):
    """Too many writers at once in this session."""

    code = "STORE_BUSY"


class PushError(ChatError):
    """The socket service cannot be reached, or there is none: see the setting WebPubSubConnectionString."""

    status = 503
    code = "SOCKETS_UNAVAILABLE"
    retryable = True


class PushRefused(PushError):
    """The socket service does not take this frame."""

    code = "FRAME_REFUSED"
    retryable = False


class TooManyConnections(PushError):
    """There are as many sockets as there may be."""

    status = 429
    code = "TOO_MANY_CONNECTIONS"


class RateLimited(PushError):
    """Too many messages at once: slow down."""

    status = 429
    code = "RATE_LIMITED"


class ShuttingDown(ChatError):
    """This instance is shutting down; ask again."""

    status = 503
    code = "SHUTTING_DOWN"
    retryable = True


class Interrupted(ChatError):
    """The answer was interrupted: the process that made it ended."""

    status = 503
    code = "INTERRUPTED"
    retryable = True


class TurnTimedOut(ChatError):
    """The answer took longer than the limit of a turn."""

    status = 504
    code = "TURN_TIMED_OUT"
    retryable = True


def error_name(code: str) -> str:
    """The class of an error that was stored as its code, for example in a `TurnFailed`."""
    return _names().get(code, ChatError.__name__)


@functools.cache
def _names() -> Mapping[str, str]:
    """The code of each class. One that inherits its code is told as the class it has it from."""
    names: dict[str, str] = {}
    waiting: list[type[ChatError]] = [ChatError]
    for kind in waiting:
        names.setdefault(kind.code, kind.__name__)
        waiting += kind.__subclasses__()
    return names
