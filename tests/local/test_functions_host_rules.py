"""Rules of the host that need no process: origins, schedules, settings files, names in bindings."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from local.functions_host.cors import read_cors
from local.functions_host.functions import read_function
from local.functions_host.timers import Timer, next_run
from local.settings import SettingsFileError, host_environment, read_local_settings, read_route_prefix

PAGE = "http://page.test"
ORIGINS: list[tuple[str, bool, str | None]] = [
    ("", False, None),
    (PAGE, False, PAGE),
    (f"http://other.test, {PAGE}/", False, PAGE),
    ("http://other.test", False, None),
    ("*", False, "*"),
    ("*", True, PAGE),
]


@pytest.mark.parametrize(("listed", "credentials", "allowed"), ORIGINS)
def test_an_origin_is_allowed_when_it_is_listed(listed: str, credentials: bool, allowed: str | None) -> None:
    asked = CIMultiDictProxy(CIMultiDict({"Origin": PAGE}))
    headers = read_cors(listed, credentials=credentials).headers(asked)
    assert headers.get("Access-Control-Allow-Origin") == allowed
    assert headers.get("Access-Control-Allow-Credentials") == ("true" if credentials else None)


SCHEDULES = [
    ("*/15 * * * * *", "12:00:15"),
    ("0 */5 * * * *", "12:05:00"),
    ("*/5 * * * *", "12:05:00"),
    ("30 0 13 * * MON-FRI", "13:00:30"),
]


@pytest.mark.parametrize(("schedule", "expected"), SCHEDULES)
def test_a_schedule_has_six_fields_or_five(schedule: str, expected: str) -> None:
    friday = datetime(2026, 11, 20, 12, 0, 1, tzinfo=UTC)
    assert next_run(schedule, friday).time().isoformat() == expected


async def test_a_timer_fires_at_the_first_moment_that_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """And at every one after it: the clock moves by what the timer sleeps."""
    began = now = datetime(2026, 11, 20, 12, 0, 59, tzinfo=UTC)
    fired: list[datetime] = []

    class Sleepy(Timer):
        async def fire(self) -> None:
            fired.append(now)
            if len(fired) == 3:
                raise EOFError

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)

    monkeypatch.setattr("local.functions_host.timers.asyncio.sleep", sleep)
    every_minute = read_function("f", "1", ['{"type": "timerTrigger", "schedule": "0 * * * * *"}'])
    with pytest.raises(EOFError):
        await Sleepy(cast("Any", None), every_minute, lambda: now).run()
    assert fired == [began + timedelta(seconds=1 + 60 * number) for number in range(3)]


def test_the_settings_file_is_read_as_func_start_does(tmp_path: Path) -> None:
    (tmp_path / "local.settings.json").write_text(
        '\ufeff{"Values": {"A": "1", "NONE": null}, "Host": {"LocalHttpPort": 7072, "CORS": "*"}}'
    )
    settings = read_local_settings(tmp_path)
    assert (settings.values, settings.port, settings.cors) == ({"A": "1"}, 7072, "*")


def test_without_a_settings_file_the_example_is_used(tmp_path: Path) -> None:
    (tmp_path / "local.settings.json.example").write_text('{"Values": {"A": "example"}}')
    assert read_local_settings(tmp_path).values == {"A": "example"}


@pytest.mark.parametrize("text", ['{"IsEncrypted": true}', "{", "[]"])
def test_a_settings_file_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "local.settings.json").write_text(text)
    with pytest.raises(SettingsFileError, match=r"local\.settings\.json"):
        read_local_settings(tmp_path)


def test_the_environment_wins_over_the_file_and_the_host_over_both() -> None:
    values = {"A": "file", "B": "file", "FUNCTIONS_WORKER_RUNTIME": "node"}
    added = host_environment(values, {"A": "environment"}, Path("/app"), 7071)
    assert "A" not in added
    assert (added["B"], added["FUNCTIONS_WORKER_RUNTIME"]) == ("file", "python")


@pytest.mark.parametrize(
    ("text", "prefix"), [("{}", "api"), ('{"extensions": {"http": {"routePrefix": ""}}}', "")]
)
def test_the_route_prefix_comes_from_host_json(tmp_path: Path, text: str, prefix: str) -> None:
    (tmp_path / "host.json").write_text(text)
    assert read_route_prefix(tmp_path) == prefix


def test_a_name_between_percent_signs_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP", "0 * * * * *")
    binding = '{"type": "timerTrigger", "name": "t", "schedule": "%SWEEP%", "other": "%ABSENT%"}'
    trigger = read_function("f", "1", [binding]).trigger
    assert (trigger["schedule"], trigger["other"]) == ("0 * * * * *", "%ABSENT%")
