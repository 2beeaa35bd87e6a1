"""What the table SDK raises, in our words. Nothing of the SDK's gets past `translated`.

Three errors are for the stores themselves, which know what they mean: `RowExists`, `RowChanged`, `RowMissing`.
"""

import logging
from collections.abc import Generator
from contextlib import contextmanager

import aiohttp
from azure.core import exceptions as sdk

from chat.errors import ChatError, StoreError, StoreRefused, StoreUnavailable
from chat.telemetry import Seldom, without_secrets

logger = logging.getLogger(__name__)
seldom = Seldom()


class RowError(StoreError):
    """A row was not as expected."""


class RowExists(RowError):
    """A row that was to be created is there already."""


class RowChanged(RowError):
    """A row is no longer the one that was read."""


class RowMissing(RowError):
    """A row that was to be changed is not there."""


class TableMissing(RowMissing):
    """The whole table is not there (yet)."""


# The nearest class in an error's ancestry decides; `None` leaves it to the HTTP status.
ERRORS: dict[type[Exception], type[ChatError] | None] = {
    sdk.AzureError: StoreUnavailable,
    sdk.ServiceRequestError: StoreUnavailable,
    sdk.ServiceRequestTimeoutError: StoreUnavailable,
    sdk.ServiceResponseError: StoreUnavailable,
    sdk.ServiceResponseTimeoutError: StoreUnavailable,
    sdk.StreamConsumedError: StoreUnavailable,
    sdk.StreamClosedError: StoreUnavailable,
    sdk.ResponseNotReadError: StoreUnavailable,
    sdk.DecodeError: StoreUnavailable,
    sdk.IncompleteReadError: StoreUnavailable,
    sdk.TooManyRedirectsError: StoreUnavailable,
    sdk.ClientAuthenticationError: StoreUnavailable,
    sdk.HttpResponseError: None,
    sdk.ODataV4Error: None,
    sdk.ResourceExistsError: RowExists,
    sdk.ResourceModifiedError: RowChanged,
    sdk.ResourceNotModifiedError: None,
    sdk.ResourceNotFoundError: RowMissing,
    sdk.SerializationError: StoreRefused,
    sdk.DeserializationError: StoreUnavailable,
    aiohttp.ClientError: StoreUnavailable,
    TimeoutError: StoreUnavailable,
    OSError: StoreUnavailable,
}

# What is refused for its own sake would be refused again, however often it came. 403 is none of these: a key that was
# changed, a firewall or a wrong clock passes.
STATUSES: dict[int, type[ChatError]] = {
    400: StoreRefused,
    404: RowMissing,
    408: StoreUnavailable,
    409: RowExists,
    412: RowChanged,
    413: StoreRefused,
    414: StoreRefused,
    429: StoreUnavailable,
}

NOT_THERE = ("TableNotFound", "TableBeingDeleted")


@contextmanager
def translated() -> Generator[None]:
    """Turns what the SDK raises in the block into errors of ours."""
    try:
        yield
    except tuple(ERRORS) as error:
        raise translate(error) from error


def translate(error: Exception) -> ChatError:
    """Our error for one of the SDK's."""
    kind = _kind(error)
    if kind in (StoreUnavailable, StoreError, StoreRefused):
        if (unsaid := seldom.due(kind.__name__)) is not None:
            # By what the first of them was; `unsaid` are of the same class of ours.
            failure = type(error).__name__, _first_line(error), unsaid
            logger.warning(
                "The table service failed: %s: %s (%d more since the last line like this)", *failure
            )
        return kind()
    if issubclass(kind, RowError) and any(name in str(error) for name in NOT_THERE):
        return TableMissing()
    return kind()


def _kind(error: Exception) -> type[ChatError]:
    known = next((ERRORS[each] for each in type(error).__mro__ if each in ERRORS), StoreUnavailable)
    if known is not None:
        return known
    status = getattr(error, "status_code", None) or 503
    return STATUSES.get(status, StoreUnavailable if status >= 500 else StoreError)


def _first_line(error: Exception) -> str:
    return without_secrets(str(error).partition("\n")[0][:1000])[:300]
