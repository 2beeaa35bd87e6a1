"""Turns that are asked for: begun, waited for, and found again by a request that comes again."""

from collections.abc import Mapping
from dataclasses import replace

from chat.app import ChatApp
from chat.asking.chats import find_place
from chat.asking.following import find_branch
from chat.auth.base import Principal
from chat.calls import ToolDefinition
from chat.dialects.base import Asked, Asker
from chat.errors import CredentialEnded, StoreError, ValidationError
from chat.messages import Message
from chat.requests import OnBusy, TurnRequest
from chat.settings import Settings
from chat.store.conversation_store import Waits
from chat.telemetry import record
from chat.turns.create import GoneOn
from chat.turns.feed import LiveTurn

QUEUED = 100.0  # seconds for which a request waits for its turn: the platform's front end gives up after 230
SOON = 0.5  # seconds after which it is asked again whether a caller may hear the first word


async def ask(app: ChatApp, request: TurnRequest, on_busy: OnBusy | None = None) -> LiveTurn:
    """Start a turn. Where the message has to wait it is the turn that answers it, once there is one."""
    user_id, key, shown = request.user_id, request.nonce, {"dialect": request.dialect}
    asked = await app.ask(request, on_busy, usual="reject")
    if isinstance(asked, Waits):
        await note_made(app, user_id, key, shown | _ids(asked.message))
        live = await app.answer_to(user_id, asked.message, patience=QUEUED)
        asked = replace(live, standing=asked.standing)
    if key:  # beside the turn: its first word is not kept waiting
        app.tasks.spawn(note_made(app, user_id, key, shown | asked.turn.ids))
    return asked


async def ask_as_read(app: ChatApp, asked: Asked) -> LiveTurn:
    """The same for what was read at a door, in its place: after the answer that it goes on from, or in a session of its
    own where more was said there."""
    check_names(asked.request.tools, app.tools.definitions)
    try:
        return await ask(app, await find_place(app, asked))
    except GoneOn:
        return await ask(app, await find_branch(app, asked))


async def ask_again(app: ChatApp, user_id: str, key: str, made: Mapping[str, str]) -> LiveTurn:
    """The turn that a request has become. EventsGone; NotFound, where its session is deleted or one was taken out."""
    if turn_id := made.get("turn_id"):
        return await app.runner.open(user_id, turn_id)
    message = await app.conversations.get_message(user_id, made["message_id"])
    live = await app.answer_to(user_id, message, patience=QUEUED)
    app.tasks.spawn(note_made(app, user_id, key, {**made, **live.turn.ids}))
    return live


async def check_still(app: ChatApp, principal: Principal, live: LiveTurn, *, began: float) -> None:
    """Who waited long for the first word may have been taken out meanwhile, and what they came with may have ended.
    SessionNotFound, CredentialEnded; StoreUnavailable."""
    if principal.expires is not None and app.clock.now() >= principal.expires:
        raise CredentialEnded
    if app.clock.monotonic() - began < SOON:
        return
    if principal.key_id:
        await app.key_ring.check(principal.key_id)
    await app.conversations.get_session(principal.user_id, live.turn.session_id)


async def note_made(app: ChatApp, user_id: str, key: str, made: Mapping[str, str]) -> None:
    """Have a request that comes again be answered from these ids. Nothing without a key. Should this get lost, the
    repeat finds what was made by the promised id, or by the key."""
    try:
        if key:
            await app.requests.note_made(user_id, key, made)
    except StoreError as error:
        record("made_not_noted", code=error.code, **made)


def asker_of(
    app: ChatApp, user_id: str, nonce: str, *, headers: Mapping[str, str] | None = None, path: str = ""
) -> Asker:
    """Who asks, with what every door wants to know."""
    return Asker(
        user_id,
        nonce,
        app.settings.max_message_bytes,
        headers or {},
        known_models(app.settings),
        app.tools.definitions,
        path,
    )


def known_models(settings: Settings) -> dict[str, str]:
    """The service of each model, in the order in which they are asked. Where two have a model of one name, the second
    has that of its service before it."""
    found: dict[str, str] = {}
    for provider in settings.providers:
        service = settings.services.get(provider)
        name = (service.model if service else settings.azure_model) or provider.lower()
        found[f"{provider.lower()}/{name}" if name in found else name] = provider
    return found


def check_names(tools: tuple[ToolDefinition, ...], ours: tuple[ToolDefinition, ...]) -> None:
    """ValidationError for a tool of the caller's that has the name of one of ours."""
    names = {each.name for each in ours}
    for number, each in enumerate(tools):
        if each.name in names:
            raise ValidationError(f"tools.{number}", f"{each.name} is the name of one of our tools")


def _ids(message: Message) -> dict[str, str]:
    return {"session_id": message.session_id, "message_id": message.id}
