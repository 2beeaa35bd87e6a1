"""The functions host over real sockets: routing, streaming, failures. The app is `sample_app/`."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from itertools import pairwise
from time import monotonic
from typing import Any

import aiohttp
import pytest

from local.settings import OF_AZURE
from tests.local.host import PAGE, Host, client, running_host
from tests.support.model_wire import ask_half_open


@pytest.fixture(scope="module")
def host() -> Generator[Host]:
    with running_host(["--direct", "--cors", PAGE]) as running:
        yield running


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with client() as session:
        yield session


async def get_json(http: aiohttp.ClientSession, url: str) -> Any:
    async with http.get(url) as response:
        return await response.json()


async def eventually(check: Callable[[], Any], what: str, seconds: float = 5) -> None:
    """Ask `check` (a coroutine function) until it says yes."""
    deadline = monotonic() + seconds
    while not await check():
        assert monotonic() < deadline, f"not {what} within {seconds} s"
        await asyncio.sleep(0.02)


async def until_idle(http: aiohttp.ClientSession, host: Host) -> None:
    async def idle() -> bool:
        return (await get_json(http, f"{host.url}/admin/host/status"))["openInvocations"] == 0

    await eventually(idle, "idle")


async def test_a_stream_arrives_piece_by_piece(host: Host, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{host.url}/stream/4?every=0.1") as response:
        arrived = [(piece, monotonic()) async for piece in response.content]
    assert [piece for piece, _ in arrived] == [b"0\n", b"1\n", b"2\n", b"3\n"]
    assert all(later[1] - earlier[1] > 0.05 for earlier, later in pairwise(arrived))


async def test_status_and_headers_are_the_apps(host: Host, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{host.url}/stream/1") as response:
        assert (response.status, response.headers["x-sample"], response.headers["server"]) == (
            200,
            "yes",
            "uvicorn",
        )


@pytest.mark.parametrize("base", ["url", "worker_url"])
async def test_a_client_that_leaves_ends_the_generator(
    host: Host, http: aiohttp.ClientSession, base: str
) -> None:
    response = await http.post(f"{getattr(host, base)}/stream/1000?every=0.02&name={base}")
    await response.content.readline()
    response.close()

    async def closed() -> bool:
        return base in await get_json(http, f"{host.url}/closed")

    await eventually(closed, "closed")
    await until_idle(http, host)


@pytest.mark.parametrize("request_line", ["POST /stream/3?every=0.2", "GET /echo/a"])
async def test_a_client_that_has_asked_and_sends_no_more_gets_its_answer(
    host: Host, http: aiohttp.ClientSession, request_line: str
) -> None:
    head = f"{request_line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    reply = await ask_half_open(host.url, head.encode())
    assert reply.startswith(b"HTTP/1.1 200")
    assert reply.endswith((b"0\r\n\r\n", b"}"))
    await until_idle(http, host)


async def test_a_handler_that_does_not_stream_outlives_its_client(
    host: Host, http: aiohttp.ClientSession
) -> None:
    with pytest.raises(TimeoutError):
        await http.get(f"{host.url}/slow", timeout=aiohttp.ClientTimeout(total=0.1))

    async def finished() -> bool:
        return "slow" in await get_json(http, f"{host.url}/closed")

    await eventually(finished, "finished")
    await until_idle(http, host)


async def test_a_client_that_leaves_before_its_body_came_leaves_no_invocation(
    host: Host, http: aiohttp.ClientSession
) -> None:
    port = int(host.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /upload HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    await asyncio.sleep(0.05)
    writer.close()
    await until_idle(http, host)


async def test_fifty_streams_run_at_once(host: Host, http: aiohttp.ClientSession) -> None:
    async def read() -> bytes:
        async with http.post(f"{host.url}/stream/10?every=0.05") as response:
            return await response.read()

    started = monotonic()
    bodies = await asyncio.gather(*(read() for _ in range(50)))
    assert set(bodies) == {b"".join(b"%d\n" % number for number in range(10))}
    assert monotonic() - started < 5
    await until_idle(http, host)


ECHOES = [
    ("/echo/a/b?x=1&y=%20", "a/b", "x=1&y=%20"),
    ("/echo", "", ""),
    ("/ECHO/B", "B", ""),
    ("/echo/special/", "special/", ""),
]


@pytest.mark.parametrize(("path", "rest", "query"), ECHOES)
async def test_a_catch_all_gets_the_rest_of_the_path(
    host: Host, http: aiohttp.ClientSession, path: str, rest: str, query: str
) -> None:
    echo = await get_json(http, host.url + path)
    assert (echo["params"], echo["query"]) == ({"rest": rest}, query)


async def test_route_parameters_reach_the_function(host: Host, http: aiohttp.ClientSession) -> None:
    assert await get_json(http, f"{host.url}/echo/special/a%20b") == {"special": "a b"}


@pytest.mark.parametrize(("path", "params"), [("/optional", {}), ("/optional/me", {"name": "me"})])
async def test_an_optional_parameter_may_be_left_out(
    host: Host, http: aiohttp.ClientSession, path: str, params: dict[str, str]
) -> None:
    assert await get_json(http, host.url + path) == params


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_a_function_without_methods_answers_all(
    host: Host, http: aiohttp.ClientSession, method: str
) -> None:
    async with http.request(method, f"{host.url}/echo/x") as response:
        assert (await response.json())["method"] == method


async def test_head_has_headers_and_no_body(host: Host, http: aiohttp.ClientSession) -> None:
    async with http.head(f"{host.url}/echo/x") as response:
        assert response.status == 200
        assert int(response.headers["content-length"]) > 0
        assert await response.read() == b""


UNMATCHED = [
    ("GET", "/nothing"),
    ("POST", "/closed"),
    ("HEAD", "/closed"),
    ("OPTIONS", "/closed"),
    ("POST", "/stream/many"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("POST", "/"),
    ("POST", "/runtime/webhooks/other"),
    ("GET", "/admin/nothing"),
]


@pytest.mark.parametrize(("method", "path"), UNMATCHED)
async def test_what_matches_nothing_is_an_empty_404(
    host: Host, http: aiohttp.ClientSession, method: str, path: str
) -> None:
    async with http.request(method, host.url + path) as response:
        assert (response.status, await response.read()) == (404, b"")


async def test_the_root_shows_a_page_when_no_function_has_it(host: Host, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{host.url}/") as response:
        assert (response.status, response.content_type) == (200, "text/html")


async def test_a_failing_function_is_a_500_and_is_logged(host: Host, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{host.url}/fail") as response:
        assert (response.status, await response.text()) == (500, "Internal Server Error")

    async def logged() -> bool:
        return "Executed 'Functions.fail' (Failed" in host.command.errors

    await eventually(logged, "logged")


async def test_a_stream_that_breaks_is_torn_not_ended(host: Host, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{host.url}/tear") as response:
        assert await response.content.readline() == b"one\n"
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    await until_idle(http, host)


@pytest.mark.parametrize("size", [0, 1, 3 * 1024 * 1024])
async def test_a_body_of_any_size_arrives_whole(host: Host, http: aiohttp.ClientSession, size: int) -> None:
    async with http.post(f"{host.url}/echo/x", data=b"x" * size) as response:
        echo = await response.json()
    assert (echo["size"], echo["headers"]["content-length"]) == (size, str(size))


async def test_a_chunked_upload_reaches_the_function_while_it_is_sent(
    host: Host, http: aiohttp.ClientSession
) -> None:
    async def first_piece_came() -> bool:
        return await get_json(http, f"{host.url}/received") == [3]

    async def body() -> AsyncGenerator[bytes]:
        yield b"one"
        await eventually(first_piece_came, "received")
        yield b"three"

    async with http.post(f"{host.url}/upload", data=body()) as response:
        assert await response.json() == 8


async def test_expect_100_continue_is_answered(host: Host, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{host.url}/echo/x", data=b"12345", expect100=True) as response:
        assert (await response.json())["size"] == 5


async def test_headers_pass_unchanged_but_for_the_connections_own(
    host: Host, http: aiohttp.ClientSession
) -> None:
    sent = {"X-One": "a, b", "Accept": "text/event-stream", "Connection": "keep-alive, X-Hop", "X-Hop": "1"}
    async with http.get(f"{host.url}/echo/x", headers=sent) as response:
        headers = (await response.json())["headers"]
    assert (headers["x-one"], headers["accept"], headers["host"]) == (
        "a, b", "text/event-stream", host.url.removeprefix("http://"),
    )  # fmt: skip
    assert "x-hop" not in headers


async def test_the_worker_answers_on_its_own_port_when_asked_to(
    host: Host, http: aiohttp.ClientSession
) -> None:
    async with http.post(f"{host.worker_url}/stream/2") as response:
        assert await response.read() == b"0\n1\n"
    async with http.get(f"{host.worker_url}/nothing") as response:
        assert response.status == 404
    await until_idle(http, host)


async def test_a_preflight_is_answered_by_the_host(host: Host, http: aiohttp.ClientSession) -> None:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-a"}
    async with http.options(f"{host.url}/stream/1", headers=asked) as response:
        assert response.status == 204
        assert response.headers["access-control-allow-origin"] == PAGE
        assert response.headers["access-control-allow-methods"] == "POST"
        assert response.headers["access-control-allow-headers"] == "x-a"


@pytest.mark.parametrize("path", ["/closed", "/nothing", "/admin/host/ping"])
async def test_a_listed_origin_may_read_every_answer(
    host: Host, http: aiohttp.ClientSession, path: str
) -> None:
    async with http.get(host.url + path, headers={"Origin": PAGE}) as response:
        assert response.headers["access-control-allow-origin"] == PAGE


async def test_another_origin_may_read_nothing(host: Host, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{host.url}/closed", headers={"Origin": "http://other.test"}) as response:
        assert "access-control-allow-origin" not in response.headers


async def test_the_host_tells_the_app_where_it_runs(host: Host, http: aiohttp.ClientSession) -> None:
    assert await get_json(http, f"{host.url}/environment/AZURE_FUNCTIONS_ENVIRONMENT") == "Development"
    name = await get_json(http, f"{host.url}/environment/WEBSITE_HOSTNAME")
    assert name == host.url.replace("http://127.0.0.1", "localhost")


async def test_the_host_is_a_laptop_whatever_the_environment_says(http: aiohttp.ClientSession) -> None:
    inherited = dict.fromkeys((*OF_AZURE, "AZURE_FUNCTIONS_ENVIRONMENT"), "Production")
    with running_host(environment=inherited) as host:
        found = [await get_json(http, f"{host.url}/environment/{name}") for name in OF_AZURE]
        assert await get_json(http, f"{host.url}/environment/AZURE_FUNCTIONS_ENVIRONMENT") == "Development"
    assert found == [None] * len(OF_AZURE)


async def test_no_log_shows_a_query(http: aiohttp.ClientSession) -> None:
    """A function key may stand in it."""
    with running_host(["--verbose"]) as host:
        for path in ("echo/a?code=s3cret", "fail?x=1&Code=s3cret", "nothing?code=s3cret"):
            async with http.get(f"{host.url}/{path}"):
                pass

        async def logged() -> bool:
            return "GET /echo/a?" in host.command.errors + host.command.output

        await eventually(logged, "logged")
        assert "s3cret" not in host.command.errors + host.command.output


async def test_a_timer_runs_at_the_start_when_it_says_so(host: Host, http: aiohttp.ClientSession) -> None:
    runs = await get_json(http, f"{host.url}/timers")
    first = next(run for run in runs if run["name"] == "at_start")
    assert first["past_due"] is False
    assert first["status"]["Next"].endswith("-01-01T00:00:00+00:00")


async def test_a_timer_runs_on_schedule(host: Host, http: aiohttp.ClientSession) -> None:
    async def ran_twice() -> bool:
        runs = await get_json(http, f"{host.url}/timers")
        due = [run["status"]["Next"] for run in runs if run["name"] == "every_second"]
        return len(due) >= 2 and len(set(due)) == len(due)

    await eventually(ran_twice, "run twice")


async def test_a_timer_can_be_fired_by_hand(host: Host, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{host.url}/admin/functions/by_hand", json={"input": ""}) as response:
        assert response.status == 202

    async def ran() -> bool:
        return any(run["name"] == "by_hand" for run in await get_json(http, f"{host.url}/timers"))

    await eventually(ran, "run")


async def test_the_list_of_functions_names_urls(host: Host, http: aiohttp.ClientSession) -> None:
    listed = {
        each["name"]: each["invoke_url_template"]
        for each in await get_json(http, f"{host.url}/admin/functions")
    }
    assert listed["stream"] == f"{host.url}/stream/{{count:int}}"
    assert listed["by_hand"] is None
