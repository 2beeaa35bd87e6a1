"""`python -m local` as a process: what it starts and prints, and that nothing outlives it. The app is `sample_app/`."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import pytest
from azure.data.tables.aio import TableServiceClient

from local.azurite import KEY
from local.stack import FolderTaken, PortTaken, bind_run, lock_folder, page_origins
from tests.local.host import client
from tests.support.clients import connected
from tests.support.processes import ROOT, SAMPLE_APP, Command, children_of, is_alive, wait_until
from tests.support.stack import Stack

NO_MODEL = "http://127.0.0.1:9/openai/v1"
STOPPED = 5.0  # seconds after a signal


@pytest.fixture(scope="module")
def pair() -> Generator[Stack]:
    """Two instances of the sample app."""
    with Stack.start(2, app=SAMPLE_APP, model=NO_MODEL) as stack:
        yield stack


async def get_json(url: str) -> Any:
    async with client() as http, http.get(url) as response:
        return await response.json()


def test_the_ready_line_comes_last_and_names_the_first_instance(pair: Stack) -> None:
    assert pair.command.output.splitlines()[-1] == f"ready {pair.urls[0]}"


def test_instances_have_consecutive_ports(pair: Stack) -> None:
    first, second = (int(url.rpartition(":")[2]) for url in pair.urls)
    assert second == first + 1


async def test_every_instance_answers_and_is_a_process_of_its_own(pair: Stack) -> None:
    for url, pid in zip(pair.urls, pair.pids, strict=True):
        status = await get_json(f"{url}/admin/host/status")
        assert status["instanceId"].endswith(f"-{pid}")


async def test_the_app_gets_the_addresses_of_the_services(pair: Stack) -> None:
    assert await get_json(f"{pair.url}/environment/AZURE_AI_ENDPOINT") == NO_MODEL
    storage = await get_json(f"{pair.url}/environment/AzureWebJobsStorage")
    assert f"TableEndpoint={pair.table_url};" in storage


async def test_tables_work_with_the_connection_string(pair: Stack) -> None:
    storage = await get_json(f"{pair.url}/environment/AzureWebJobsStorage")
    assert KEY in storage
    async with TableServiceClient.from_connection_string(storage) as service:
        table = await service.create_table("smoke")
        await table.create_entity({"PartitionKey": "a", "RowKey": "b", "text": "kept"})
        assert (await table.get_entity("a", "b"))["text"] == "kept"


# As the example settings have them, and one that is real.
NAMED = {
    "CHAT_PROVIDERS": "AZURE,LOCAL,OPENROUTER",
    "LOCAL_AI_ENDPOINT": "http://127.0.0.1:8089/v1",
    "OPENROUTER_AI_ENDPOINT": "https://openrouter.ai/api/v1",
}


async def environment_of(stack: Stack, *names: str) -> list[Any]:
    return [await get_json(f"{stack.url}/environment/{name}") for name in names]


async def test_the_stand_in_serves_every_provider_that_the_settings_have_there(
    start_stack: Callable[..., Stack],
) -> None:
    stack = start_stack(app=SAMPLE_APP, env=NAMED)
    base = stack.model_url.removesuffix("/openai/v1")
    assert await environment_of(stack, "AZURE_AI_ENDPOINT", *NAMED) == [
        f"{base}/openai/v1",
        "AZURE,LOCAL,OPENROUTER",
        f"{base}/v1",
        "https://openrouter.ai/api/v1",
    ]


async def test_a_real_model_leaves_out_the_providers_that_only_the_stand_in_serves(
    start_stack: Callable[..., Stack],
) -> None:
    stack = start_stack(app=SAMPLE_APP, env=NAMED, model=NO_MODEL)
    assert await environment_of(stack, "AZURE_AI_ENDPOINT", "CHAT_PROVIDERS") == [
        NO_MODEL,
        "AZURE,OPENROUTER",
    ]


@pytest.mark.usefixtures("alone")
async def test_one_instance_may_die_and_the_others_go_on(start_stack: Callable[..., Stack]) -> None:
    stack = start_stack(2, app=SAMPLE_APP, model=NO_MODEL)
    os.kill(stack.pids[0], signal.SIGKILL)
    wait_until(lambda: "was killed by SIGKILL" in stack.errors, seconds=5, what="report")
    assert await get_json(f"{stack.urls[1]}/echo/x")
    with pytest.raises(aiohttp.ClientConnectionError):
        await get_json(f"{stack.urls[0]}/echo/x")


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything(start_stack: Callable[..., Stack], number: signal.Signals) -> None:
    stack = start_stack(app=SAMPLE_APP, model=NO_MODEL)
    assert len(children_of(stack.command.process.pid)) == 3  # storage, sockets, the host
    stack.command.stop(number, seconds=STOPPED)


@pytest.mark.usefixtures("alone")
async def test_open_streams_do_not_hold_it_for_5_seconds(start_stack: Callable[..., Stack]) -> None:
    stack = start_stack(2, app=SAMPLE_APP, model=NO_MODEL)
    async with client() as http, http.post(f"{stack.urls[1]}/stream/100000?every=0.05") as response:
        await response.content.readline()
        stack.stop(seconds=STOPPED)


@pytest.mark.usefixtures("alone")
async def test_parley_while_it_answers_does_not_hold_it_either(start_stack: Callable[..., Stack]) -> None:
    stack = start_stack(2)
    async with connected(stack.url) as here, here.say("#endless #rate=20") as stream:
        await stream.take(3)
        stack.stop(seconds=STOPPED)


@pytest.mark.usefixtures("alone")
def test_a_signal_while_it_starts_stops_everything() -> None:
    flags = ["--port", "0", "--memory", "--app", str(SAMPLE_APP), "--model", NO_MODEL]
    command = Command("local", flags)
    wait_until(lambda: children_of(command.process.pid), seconds=10, what="child")
    command.stop(seconds=STOPPED)
    assert "ready" not in command.output


@pytest.mark.usefixtures("alone")
def test_killing_it_leaves_no_process(start_stack: Callable[..., Stack]) -> None:
    stack = start_stack(2, app=SAMPLE_APP, model=NO_MODEL)
    left = [*stack.pids, stack.azurite_pid]
    stack.command.kill()
    wait_until(lambda: not any(map(is_alive, left)), seconds=2, what="end of every process")


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("victim", ["azurite_pid", "host"])
def test_the_death_of_what_it_needs_ends_it_with_a_report(
    start_stack: Callable[..., Stack], victim: str
) -> None:
    stack = start_stack(app=SAMPLE_APP, model=NO_MODEL)
    pid = stack.pids[0] if victim == "host" else stack.azurite_pid
    os.kill(pid, signal.SIGKILL)
    assert stack.command.process.wait(timeout=5) == 1
    assert f"(pid {pid}) was killed by SIGKILL" in stack.errors


def failure(*flags: str, storage: Sequence[str] = ("--memory",)) -> str:
    started = monotonic()
    command = Command("local", [*storage, "--model", NO_MODEL, *flags])
    assert command.process.wait(timeout=30) == 1
    assert monotonic() - started < 10
    return command.errors


def test_a_folder_belongs_to_one_stack_at_a_time(tmp_path: Path) -> None:
    with lock_folder(tmp_path), pytest.raises(FolderTaken, match="choose another folder with --data"):
        lock_folder(tmp_path)
    lock_folder(tmp_path).close()


@pytest.mark.usefixtures("alone")
def test_a_busy_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        errors = failure("--app", str(SAMPLE_APP), "--port", port)
    assert errors == f"Port {port} is already in use; choose another with --port.\n"


def sparse(folder: Path, size: int) -> Path:
    """A table file of that many bytes, which take no room."""
    file = folder / "__azurite_db_table__.json"
    with file.open("wb") as opened:
        opened.truncate(size)
    return file


def test_storage_that_azurite_cannot_read_is_named(tmp_path: Path) -> None:
    file = sparse(tmp_path, 529 * 1024**2)
    errors = failure("--app", str(SAMPLE_APP), "--port", "0", storage=("--data", str(tmp_path)))
    assert errors.startswith(f"{file} has 529 MB;")
    assert ("make clean" in errors, "--data" in errors, errors.count("\n")) == (True, True, 1)


def test_storage_that_grew_large_is_named_when_azurite_dies(tmp_path: Path) -> None:
    command = Command(
        "local", ["--data", str(tmp_path), "--port", "0", "--app", str(SAMPLE_APP), "--model", NO_MODEL]
    )
    try:
        stack = Stack(command)
        file = sparse(tmp_path, 300 * 1024**2)
        os.kill(stack.azurite_pid, signal.SIGKILL)
        assert command.process.wait(timeout=5) == 1
        assert f"{file} has 300 MB;" in stack.errors
    finally:
        command.kill()


@pytest.mark.parametrize("module", ["local", "local.functions_host", "local.model_server"])
def test_outside_its_environment_it_says_what_to_do(module: str) -> None:
    done = subprocess.run(  # -S leaves out every package that was installed
        [sys.executable, "-S", "-m", module],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n"), "make run" in done.stderr) == (1, 2, True)


@pytest.mark.usefixtures("alone")
async def test_sockets_may_open_without_negotiation_from_the_pages_of_every_instance(pair: Stack) -> None:
    assert await get_json(f"{pair.url}/environment/CHAT_SOCKET_DIRECT") == "true"
    origins = await get_json(f"{pair.url}/environment/CHAT_SOCKET_ORIGINS")
    assert set(pair.urls) < set(origins.split(","))


@pytest.mark.parametrize(
    ("cors", "added"),
    [
        ("", ""),
        ("null, localhost:3000", ""),
        ("http://localhost:3000, https://x.example/", ",http://localhost:3000,https://x.example/"),
        ("*", ",http://127.0.0.1:*,http://localhost:*"),
    ],
)
def test_pages_that_may_read_answers_may_open_sockets(cors: str, added: str) -> None:
    own = "http://127.0.0.1:7071,http://localhost:7071"
    assert page_origins([7071], cors) == own + added


def test_an_app_that_does_not_load_ends_it_and_shows_why(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text("raise RuntimeError('broken on purpose')")
    errors = failure("--app", str(tmp_path), "--port", "0")
    assert "functions host" in errors
    assert "broken on purpose" in errors


def test_a_free_run_is_found_around_taken_ports() -> None:
    sockets = bind_run(0, 3)
    first = sockets[0].getsockname()[1]
    assert [each.getsockname()[1] for each in sockets] == [first, first + 1, first + 2]
    sockets[1].listen()
    for each in (sockets[0], sockets[2]):
        each.close()
    with sockets[1], pytest.raises(PortTaken, match=str(first + 1)):
        bind_run(first, 2)


async def test_data_is_kept_from_one_run_to_the_next(tmp_path: Path) -> None:
    flags = ["--port", "0", "--data", str(tmp_path / "kept"), "--app", str(SAMPLE_APP), "--model", NO_MODEL]
    for run in range(2):
        stack = Stack(Command("local", flags))
        storage = await get_json(f"{stack.url}/environment/AzureWebJobsStorage")
        async with TableServiceClient.from_connection_string(storage) as service:
            table = await service.create_table_if_not_exists("kept")
            if run == 0:
                await table.create_entity({"PartitionKey": "a", "RowKey": "b"})
            assert (await table.get_entity("a", "b"))["RowKey"] == "b"
        stack.stop()
