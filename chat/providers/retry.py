"""When a model service that failed is asked again, and after how long."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from chat.errors import (
    BadProviderReply,
    ModelNotFound,
    ProviderAuthFailed,
    ProviderError,
    ProviderRateLimited,
    ProviderSilent,
    ProviderTimeout,
    ProviderUnavailable,
)

JITTER = 0.25  # a wait is up to this part longer, so that those who failed together do not come back together

SERVICE_IS_DOWN = (ProviderUnavailable, ProviderSilent, ProviderAuthFailed)
"""What counts against a service: no connection, a status that says so, or not one byte. An empty or broken answer and a
slow first word do not, because a prompt can bring them about; nor does a limit, which says when to come back."""

OTHERS_MAY_ANSWER = (*SERVICE_IS_DOWN, ProviderTimeout, BadProviderReply, ProviderRateLimited, ModelNotFound)
"""What is about this service, and not about what was asked of it."""

ONCE = (ProviderAuthFailed, ModelNotFound)
"""What will not be better in a second."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` for each service, `wait` seconds before the second and twice as long before each further one."""

    attempts: int = 3
    wait: float = 1.0
    longest: float = 10.0  # seconds of a service's own Retry-After that are waited for
    spread: Callable[[], float] = random.random

    def wait_before(self, attempt: int, error: ProviderError) -> float | None:
        """Seconds to wait before that attempt (the first is 1) at the same service; None when there is none."""
        if attempt > self.attempts or not isinstance(error, OTHERS_MAY_ANSWER) or isinstance(error, ONCE):
            return None
        asked = getattr(error, "retry_after", None) or 0.0
        if asked > self.longest:
            return None
        return max(self.wait * 2 ** (attempt - 2), asked) * (1 + JITTER * self.spread())
