"""What a caller did wrong, or met: the request, who they are, what is there and in which state."""

from collections.abc import Sequence

from chat.errors.base import ChatError
from chat.quotas import Standing


class RequestError(ChatError):
    """The request cannot be read."""

    status = 400
    code = "BAD_REQUEST"


class InvalidBody(RequestError):
    """The body is not a JSON object."""

    code = "INVALID_JSON"


class NotAnObject(InvalidBody):
    """The body must be a JSON object."""


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


class KeyReused(RequestError):
    """This Idempotency-Key came with another request before."""

    status = 422
    code = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self) -> None:
        super().__init__(details={"field": "idempotency-key"})


class EncodedBody(RequestError):
    """Compressed bodies are not taken: send it as it is."""

    status = 415
    code = "ENCODED_BODY"


class WithFiles(RequestError):
    """Files are not taken: send the messages alone, as JSON."""

    status = 415
    code = "FILES_NOT_TAKEN"


class SlowBody(RequestError):
    """The body did not come in time."""

    status = 408
    code = "SLOW_BODY"
    retryable = True


class AddressTooLong(RequestError):
    """The path or the query is longer than the limit."""

    status = 414
    code = "ADDRESS_TOO_LONG"


class HeadersTooLarge(RequestError):
    """The headers are more, or larger, than the limit."""

    status = 431
    code = "HEADERS_TOO_LARGE"


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


class CredentialEnded(AuthError):
    """What this was opened with has ended or was revoked: sign in again."""

    code = "CREDENTIAL_ENDED"


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


class InvitationNotFound(NotFound):
    """There is no such invitation (any more)."""

    code = "INVITATION_NOT_FOUND"


class MessageNotFound(NotFound):
    """Message not found."""

    code = "MESSAGE_NOT_FOUND"


class TurnNotFound(NotFound):
    """Turn not found."""

    code = "TURN_NOT_FOUND"


class KeyNotFound(NotFound):
    """There is no such key."""

    code = "KEY_NOT_FOUND"


class EventsGone(NotFound):
    """The events of this turn have been purged; its messages are still there."""

    status = 410
    code = "EVENTS_GONE"


class Conflict(ChatError):
    """The resource is in another state."""

    status = 409
    code = "CONFLICT"
    retryable = True


class TooManyInvitations(Conflict):
    """There are as many open invitations as there may be: some must be answered first."""

    code = "TOO_MANY_INVITATIONS"
    retryable = False


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


class TooManyKeys(Conflict):
    """There are as many keys as there may be: revoke one first."""

    code = "TOO_MANY_KEYS"
    retryable = False


class StillWaiting(Conflict):
    """The message waits for its turn still."""

    code = "STILL_WAITING"

    def __init__(self, message_id: str) -> None:
        super().__init__(details={"message_id": message_id})


class RequestInProgress(Conflict):
    """The request that came first under this Idempotency-Key has just begun: ask again."""

    code = "REQUEST_IN_PROGRESS"
    retry_after = 1.0  # seconds


class ShownOnce(Conflict):
    """What this Idempotency-Key made is shown once, and was: make another under a new key."""

    code = "SHOWN_ONCE"
    retryable = False


class VersionConflict(Conflict):
    """The session changed in the meantime."""

    code = "VERSION_CONFLICT"


class NoPlaces(NotFound):
    """No places are known there."""

    code = "NO_PLACES"


class LimitReached(ChatError):
    """More than one may have."""

    status = 429
    code = "LIMIT_REACHED"
    retryable = True

    def __init__(
        self, message: str = "", *, retry_after: float | None = None, standing: Standing | None = None
    ) -> None:
        super().__init__(message, details={} if retry_after is None else {"retry_after": retry_after})
        self.retry_after = retry_after  # seconds, where it is known
        self.standing = standing  # how all limits of the caller stand


class TooManyConnections(LimitReached):
    """There are as many sockets as there may be."""

    status = 429
    code = "TOO_MANY_CONNECTIONS"


class RateLimited(LimitReached):
    """Too many messages at once: slow down."""

    status = 429
    code = "RATE_LIMITED"


class BudgetSpent(LimitReached):
    """The tokens that may be used in a day are used up."""

    status = 429
    code = "BUDGET_SPENT"
    retryable = False
