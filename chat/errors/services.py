"""What failed behind the app: models, the store, the socket service, and the process itself."""

from chat.errors.base import ChatError


class ProviderError(ChatError):
    """The model service failed."""

    status = 502
    code = "MODEL_ERROR"


class BadProviderReply(ProviderError):
    """The model service sent something that cannot be read."""

    code = "MODEL_BAD_REPLY"
    retryable = True


class NoAnswer(BadProviderReply):
    """The model ended its reply without an answer."""

    code = "MODEL_NO_ANSWER"


class ToolLimitReached(ProviderError):
    """The model called tools up to the limit of a turn and gave no answer."""

    code = "TOOL_LIMIT_REACHED"


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


class ProviderSilent(ProviderTimeout):
    """The model service did not answer in time.

    Not even the head of a reply came.
    """


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


class StoreRefused(StoreError):
    """The conversation store cannot keep this: a part of it is too large, or of a form that it does not take."""

    status = 500
    code = "STORE_REFUSED"
    retryable = False


class PushError(ChatError):
    """The socket service cannot be reached, or there is none: see the setting WebPubSubConnectionString."""

    status = 503
    code = "SOCKETS_UNAVAILABLE"
    retryable = True


class PushRefused(PushError):
    """The socket service does not take this frame."""

    code = "FRAME_REFUSED"
    retryable = False


class SignInUnavailable(ChatError):
    """Whoever signed this credential cannot be asked for their keys; ask again."""

    status = 503
    code = "SIGN_IN_UNAVAILABLE"
    retryable = True

    def __init__(self, message: str = "", *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason  # for the log


class Misconfigured(ChatError):
    """A setting of the app is missing or wrong."""

    status = 503
    code = "MISCONFIGURED"


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
