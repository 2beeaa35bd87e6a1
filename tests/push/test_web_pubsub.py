"""The adapter of Web PubSub at the stand-in, which Microsoft's own clients have proved."""

import asyncio
import itertools
from collections.abc import AsyncGenerator

import jwt
import pytest

from chat.errors import PushError, PushRefused
from chat.push.base import EVERYBODY, group_of
from chat.push.web_pubsub import WebPubSub, read_connection_string
from local.pubsub_service.options import Options
from local.pubsub_service.rest import LARGEST_PAGE
from local.pubsub_service.server import serve
from tests.support.canaries import canary
from tests.support.provider_settings import settings_for
from tests.support.sockets import PLAIN, Socket

KEY = canary("sockets")
GROUP = group_of("s/1 é", "chat")


@pytest.fixture
async def push() -> AsyncGenerator[WebPubSub]:
    options = Options(key=KEY)
    async with serve(options) as url:
        settings = settings_for(
            "http://127.0.0.1:9/openai/v1", WebPubSubConnectionString=options.connection_string(url)
        )
        adapter = WebPubSub(settings)
        yield adapter
        await adapter.aclose()


async def opened(push: WebPubSub, user: str, protocol: str = PLAIN) -> Socket:
    socket = Socket(await push.client_url(user, minutes=5), protocol)
    await socket.open()
    async with asyncio.timeout(5):
        while protocol and not socket.connection_id:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    if socket.connection_id:
        assert await push.add_to_group(GROUP, socket.connection_id)
    return socket


async def test_frames_reach_a_group_without_the_sockets_of_one_user(push: WebPubSub) -> None:
    ann, other = await opened(push, "ann"), await opened(push, "o'neil")
    await push.send_to_group(GROUP, {"text": "héllo 🎉"}, but_user="o'neil")
    await push.send_to_group(GROUP, {"n": 2})
    assert [await ann.next(), await ann.next()] == [{"text": "héllo 🎉"}, {"n": 2}]
    assert await other.next() == {"n": 2}
    await ann.aclose()
    await other.aclose()


@pytest.mark.parametrize("user", ["bob", "o'neil", "Zoë/a b%?#"])
async def test_a_user_who_is_taken_out_of_a_group_hears_no_more_of_it(push: WebPubSub, user: str) -> None:
    ann, first, second = [await opened(push, each) for each in ("ann", user, user)]
    await push.remove_user(user, GROUP)
    await push.send_to_group(GROUP, {"n": 1})
    assert await ann.next() == {"n": 1}
    await push.send_to_connection(first.connection_id, {"n": 2})
    await push.send_to_connection(second.connection_id, {"n": 2})
    assert [await first.next(), await second.next()] == [{"n": 2}] * 2
    await push.close_group(GROUP, "over")
    assert await ann.until_closed() == 1000
    for each in (first, second):
        await each.aclose()


async def test_a_simple_client_gets_the_frame_alone(push: WebPubSub) -> None:
    token = await push._client.get_client_access_token(user_id="ann", groups=[GROUP])  # pyright: ignore[reportPrivateUsage]
    socket = Socket(str(token["url"]))
    await socket.open()
    await push.send_to_group(GROUP, {"n": 1})
    assert await socket.next() == {"n": 1}
    await socket.aclose()


async def test_a_client_may_send_events_and_nothing_else(push: WebPubSub) -> None:
    socket = await opened(push, "ann")
    for deed in ("joinGroup", "sendToGroup"):
        await socket.raw(f'{{"type":"{deed}","group":"other","data":1,"ackId":1}}')
    await push.send_to_connection(socket.connection_id, {"n": 1})
    assert await socket.next() == {"n": 1}
    await socket.aclose()


@pytest.mark.parametrize("minutes", [0.5, 1.5, 5])
async def test_a_url_is_good_for_no_longer_than_was_asked_for(push: WebPubSub, minutes: float) -> None:
    token = (await push.client_url("ann", minutes=minutes)).partition("access_token=")[2]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == minutes * 60


async def test_one_socket_is_sent_to_looked_for_and_closed(push: WebPubSub) -> None:
    socket = await opened(push, "ann")
    assert await push.exists(socket.connection_id)
    await push.send_to_connection(socket.connection_id, {"n": 1})
    assert await socket.next() == {"n": 1}
    await push.close(socket.connection_id, "enough")
    assert await socket.until_closed() == 1000
    assert not await push.exists(socket.connection_id)
    await push.send_to_connection(socket.connection_id, {"n": 2})  # nobody is there: nothing happens
    await push.close(socket.connection_id, "again")


async def test_a_socket_enters_a_group_once_it_is_open(push: WebPubSub) -> None:
    assert not await push.add_to_group(GROUP, "nobody")
    socket = await opened(push, "ann")
    assert await push.add_to_group(GROUP, socket.connection_id)
    await push.send_to_group(GROUP, {"n": 1})
    await push.send_to_group(GROUP, {"n": 2})
    assert [await socket.next(), await socket.next()] == [{"n": 1}, {"n": 2}]
    for _ in range(2):  # the second time it is not in there
        await push.remove_from_group(GROUP, socket.connection_id)
    await push.remove_from_group(GROUP, "nobody")
    await push.send_to_group(GROUP, {"n": 3})
    await push.send_to_connection(socket.connection_id, {"n": 4})
    assert await socket.next() == {"n": 4}
    await socket.aclose()


async def test_the_sockets_in_a_group_are_counted_whatever_their_number(push: WebPubSub) -> None:
    assert await push.count(EVERYBODY) == 0
    token = await push._client.get_client_access_token(groups=[EVERYBODY])  # pyright: ignore[reportPrivateUsage]
    sockets = [Socket(str(token["url"])) for _ in range(LARGEST_PAGE + 1)]
    for some in itertools.batched(sockets, 20, strict=False):
        await asyncio.gather(*(each.open() for each in some))
    assert await push.count(EVERYBODY) == LARGEST_PAGE + 1
    await asyncio.gather(*(each.aclose() for each in sockets))


async def test_a_frame_that_is_too_large_is_refused_for_good(push: WebPubSub) -> None:
    with pytest.raises(PushRefused) as caught:
        await push.send_to_group(GROUP, {"text": "x" * 1_100_000})
    assert not caught.value.retryable


async def test_a_service_that_is_away_or_refuses_is_a_push_error() -> None:
    away = settings_for(
        "http://127.0.0.1:9/openai/v1",
        WebPubSubConnectionString=f"Endpoint=http://127.0.0.1:9;AccessKey={KEY};Version=1.0;",
    )
    options = Options(key=KEY)
    async with serve(options) as url:
        wrong = settings_for(
            "http://127.0.0.1:9/openai/v1",
            WebPubSubConnectionString=f"Endpoint={url};AccessKey=another-key-another-key-another-k;Version=1.0;",
        )
        for settings in (away, wrong):
            push = WebPubSub(settings)
            for call in (
                push.send_to_group(GROUP, {}),
                push.send_to_connection("c", {}),
                push.add_to_group(GROUP, "c"),
                push.exists("c"),
                push.count(GROUP),
                push.close("c", ""),
            ):
                with pytest.raises(PushError):
                    await call
            await push.aclose()


def test_a_connection_string_is_read_whatever_the_case_of_its_names() -> None:
    assert read_connection_string("endpoint=https://x ; AccessKey=a=b==;Version=1.0;") == {
        "endpoint": "https://x",
        "accesskey": "a=b==",
        "version": "1.0",
    }
    assert read_connection_string("") == {}


async def test_no_call_waits_for_long_for_a_service_that_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chat.push.web_pubsub.TIMEOUT", 0.2)
    silent = await asyncio.start_server(lambda reader, writer: asyncio.sleep(60), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    settings = settings_for(
        "http://127.0.0.1:9/openai/v1", WebPubSubConnectionString=Options(key=KEY).connection_string(url)
    )
    adapter = WebPubSub(settings)
    calls = (
        adapter.close("c", "x"),
        adapter.remove_user("ann", GROUP),
        adapter.close_group(GROUP, "x"),
        adapter.exists("c"),
        adapter.count(GROUP),
    )
    async with asyncio.timeout(5):
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(outcome, PushError)
    await adapter.aclose()
    silent.close()
