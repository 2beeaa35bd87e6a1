"""Every error that the SDK can raise becomes one of ours."""

import inspect

import aiohttp
import azure.data.tables
import pytest
from azure.core import exceptions as sdk
from azure.core.exceptions import HttpResponseError

from chat.errors import StoreError, StoreRefused, StoreUnavailable
from chat.store.tables.table_errors import (
    ERRORS,
    RowChanged,
    RowExists,
    RowMissing,
    TableMissing,
    translate,
    translated,
)
from chat.telemetry import Seldom


def raised_by_the_sdk() -> list[type[Exception]]:
    classes = [
        each for module in (sdk, azure.data.tables) for _, each in inspect.getmembers(module, inspect.isclass)
    ]
    return [each for each in classes if issubclass(each, Exception)]


def test_every_error_of_the_sdk_is_mapped_by_name() -> None:
    # These two are decided by the status that they carry, through their parent.
    by_parent = {azure.data.tables.TableTransactionError, azure.data.tables.RequestTooLargeError}
    assert set(raised_by_the_sdk()) - by_parent - set(ERRORS) == set()


@pytest.mark.parametrize("kind", [aiohttp.ServerDisconnectedError, TimeoutError, ConnectionResetError])
def test_a_connection_that_fails_is_unavailability(kind: type[Exception]) -> None:
    with pytest.raises(StoreUnavailable), translated():
        raise kind


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, StoreRefused),
        (403, StoreError),
        (404, RowMissing),
        (408, StoreUnavailable),
        (409, RowExists),
        (412, RowChanged),
        (413, StoreRefused),
        (414, StoreRefused),
        (429, StoreUnavailable),
        (500, StoreUnavailable),
        (503, StoreUnavailable),
    ],
)
@pytest.mark.parametrize("kind", [HttpResponseError, azure.data.tables.TableTransactionError])
def test_a_reply_is_judged_by_its_status(
    kind: type[HttpResponseError], status: int, expected: type[Exception]
) -> None:
    error = kind(message="0:no")
    error.status_code = status
    assert type(translate(error)) is expected


def test_a_table_that_is_not_there_is_told_from_a_row() -> None:
    error = sdk.ResourceNotFoundError(message="gone\nErrorCode:TableNotFound")
    assert type(translate(error)) is TableMissing


def test_what_is_not_of_the_sdk_passes() -> None:
    with pytest.raises(KeyError), translated():
        raise KeyError


def test_a_store_that_is_away_is_one_warning_a_minute_not_one_a_request(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("chat.store.tables.table_errors.seldom", Seldom(lambda: now[0]))
    for second in range(121):
        now[0] = 100.0 + second
        for _ in range(50):
            translate(TimeoutError("away"))
        if second == 30:
            translate(_refusal())  # another kind is not kept back by the first
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line for line in said if "TimeoutError" in line] == [
        f"The table service failed: TimeoutError: away ({unsaid} more since the last line like this)"
        for unsaid in (0, 60 * 50 - 1, 60 * 50 - 1)
    ]
    assert len(said) == 4


def _refusal() -> HttpResponseError:
    error = HttpResponseError(message="PropertyValueTooLarge")
    error.status_code = 400
    return error
