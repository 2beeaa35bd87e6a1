"""The functions host as a process: how it stops, what it needs, its keys and switches."""

import asyncio
import signal
import socket
from pathlib import Path
from time import monotonic

import pytest

from tests.local.host import Host, client, running_host
from tests.support.processes import SAMPLE_APP, Command


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_though_the_app_and_uvicorn_replaced_the_handlers(number: signal.Signals) -> None:
    with running_host() as host:
        started = monotonic()
        host.command.stop(number)
        assert monotonic() - started < 2


def test_the_app_may_flush_before_the_process_ends() -> None:
    with running_host() as host:
        host.command.stop()
        assert host.command.output.splitlines()[-1] == "app flushed"


async def test_a_request_in_flight_may_finish() -> None:
    with running_host() as host:
        async with client() as http, http.post(f"{host.url}/stream/5?every=0.1") as response:
            await response.content.readline()
            host.command.process.send_signal(signal.SIGTERM)
            assert await response.read() == b"1\n2\n3\n4\n"


@pytest.mark.usefixtures("alone")
async def test_an_endless_stream_does_not_hold_it_for_5_seconds() -> None:
    with running_host() as host:
        async with client() as http, http.post(f"{host.url}/stream/100000?every=0.05") as response:
            await response.content.readline()
            await asyncio.to_thread(host.command.stop, seconds=5)


KEYED = [
    ("/private", None, 401),
    ("/private", "wrong", 401),
    ("/private", "host", 200),
    ("/private", "master", 200),
    ("/closed", None, 200),
    ("/admin/host/status", "host", 401),
    ("/admin/host/status", "master", 200),
]


@pytest.fixture(scope="module")
def keyed_host():
    with running_host(["--enable-auth"], {"AzureWebJobs.slow.Disabled": "true"}) as host:
        yield host


@pytest.mark.parametrize(("path", "name", "status"), KEYED)
async def test_keys_open_what_their_level_says(
    keyed_host: Host, path: str, name: str | None, status: int
) -> None:
    key = keyed_host.key(name) if name in {"host", "master"} else name or ""
    async with client() as http:
        async with http.get(keyed_host.url + path, headers={"x-functions-key": key}) as by_header:
            assert by_header.status == status
        async with http.get(keyed_host.url + path, params={"code": key}) as by_query:
            assert by_query.status == status


async def test_a_function_that_is_switched_off_is_not_there(keyed_host: Host) -> None:
    async with client() as http, http.get(f"{keyed_host.url}/slow") as response:
        assert response.status == 404


async def test_without_the_flag_no_key_is_asked_for() -> None:
    with running_host() as host:
        async with client() as http, http.get(f"{host.url}/private") as response:
            assert response.status == 200


def failure(flags: list[str]) -> str:
    command = Command("local.functions_host", flags)
    assert command.process.wait(timeout=20) == 1
    return command.errors


def test_a_folder_without_an_app_is_said_in_one_line(tmp_path: Path) -> None:
    assert failure(["--app", str(tmp_path), "--port", "0"]) == f"there is no function_app.py in {tmp_path}\n"


def test_an_app_that_does_not_import_shows_its_error(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text("import surely_not_installed")
    assert "No module named 'surely_not_installed'" in failure(["--app", str(tmp_path), "--port", "0"])


def test_a_bad_schedule_names_the_function(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(
        "import azure.functions as func\napp = func.FunctionApp()\n"
        "@app.timer_trigger('timer', schedule='often')\nasync def tick(timer: func.TimerRequest): ...\n"
    )
    assert "tick: bad schedule 'often'" in failure(["--app", str(tmp_path), "--port", "0"])


def test_a_busy_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        errors = failure(["--app", str(SAMPLE_APP), "--port", str(port)])
    assert errors == f"cannot listen on port {port}: Address already in use\n"


async def test_the_settings_file_fills_only_what_the_environment_lacks(tmp_path: Path) -> None:
    for each in SAMPLE_APP.glob("*.*"):
        (tmp_path / each.name).write_bytes(each.read_bytes())
    (tmp_path / "local.settings.json").write_text(
        '{"Values": {"GIVEN": "file", "PRESENT": "file", "NONE": null}}'
    )
    with running_host(["--app", str(tmp_path)], {"PRESENT": "environment"}) as host:
        async with client() as http:
            for name, expected in (("GIVEN", "file"), ("PRESENT", "environment"), ("NONE", None)):
                async with http.get(f"{host.url}/environment/{name}") as response:
                    assert await response.json() == expected
