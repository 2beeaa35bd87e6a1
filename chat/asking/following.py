"""Requests that follow an answer by its id: in its session as long as it is the newest there, else in a new session
that begins with what was said up to it (docs/decisions/0033)."""

from collections.abc import Sequence
from dataclasses import replace

from chat.app import ChatApp
from chat.calls import CallAnswer, CallOutput
from chat.conversation import Turn
from chat.dialects.base import Asked
from chat.errors import EventsGone, TurnInProgress, TurnNotFound, ValidationError
from chat.events import JSON, JSONObject
from chat.messages import Message, MessageDraft, split_message_id
from chat.requests import TurnRequest
from chat.turns.branches import up_to_answer
from chat.turns.create import GoneOn
from chat.turns.tool_history import stored_calls, waits_for_approval

ALONE = (
    "A call that waits for an approval is answered in its own conversation, and by nothing else in the request: send"
    " that as conversation in place of previous_response_id"
)


async def follow_on(app: ChatApp, asked: Asked) -> TurnRequest:
    """The request in the session of the answer that it follows. GoneOn, where it needs a session of its own.
    TurnNotFound, Forbidden; TurnInProgress, while that answer is not whole."""
    request, turn = asked.request, await _followed(app, asked)
    brings_more = request.history or request.continued or (request.content and asked.answers)
    if asked.stateless or brings_more:
        raise GoneOn
    session = await app.conversations.get_session(request.user_id, turn.session_id)
    if session.last_seq != _number(turn):
        raise GoneOn
    return replace(request, session_id=session.id, follows=session.last_seq)


async def find_branch(app: ChatApp, asked: Asked) -> TurnRequest:
    """The same with all that was said up to that answer, for a session of its own. Raises as `follow_on`;
    ValidationError for answers to calls that were not made."""
    request, turn = asked.request, await _followed(app, asked)
    before = await _said_up_to(app, request.user_id, turn)
    if asked.answers:
        before[-1] = _answered(before[-1], asked.answers)
    branch = replace(request, origin=turn.session_id)
    question = max((place for place, each in enumerate(before) if each.role == "user"), default=0)
    content = request.content or before[question].content
    if asked.stateless:
        return replace(branch, content=content, transcript=(*before, *request.transcript))
    if request.content:
        return replace(branch, history=(*before, *request.history))
    return replace(branch, content=content, history=tuple(before[:question]), continued=before[-1])


async def _followed(app: ChatApp, asked: Asked) -> Turn:
    user_id = asked.request.user_id
    await app.turns.get_turn(user_id, asked.after, need="editor")
    turn = await app.runner.look(user_id, asked.after)
    if turn.hidden:
        raise TurnNotFound
    if turn.running:
        raise TurnInProgress(turn.id)
    return turn


async def _said_up_to(app: ChatApp, user_id: str, turn: Turn) -> list[MessageDraft]:
    """The newest messages that a model may be shown, with that answer last."""
    limit, number = app.settings.history_messages, _number(turn)
    messages = await app.conversations.list_messages(
        user_id, turn.session_id, limit=limit, before=number + 1, newest=True
    )
    said = up_to_answer(messages, number)
    if not said:
        raise EventsGone(details=turn.ids)
    return [_draft(each) for each in said]


def _draft(message: Message) -> MessageDraft:
    """As it is said again elsewhere: what it stood to in its own session has no meaning there."""
    metadata = {name: value for name, value in message.metadata.items() if name != "continues"}
    return MessageDraft(message.role, message.content, message.author, metadata, status=message.status)


def _answered(said: MessageDraft, answers: Sequence[CallAnswer]) -> MessageDraft:
    """The answer with what came of its calls."""
    given = {each.call_id: each for each in answers if isinstance(each, CallOutput)}
    calls = stored_calls(said.metadata)
    waiting = {str(each["id"]) for each in calls if each["output"] is None}
    if any(waits_for_approval(each) for each in calls):
        raise ValidationError("input", ALONE)
    if len(given) < len(answers):
        raise ValidationError("input", "No call waits for an approval there")
    if strange := sorted(given.keys() - waiting):
        raise ValidationError("input", f"No call {strange[0]} waits for what came of it")
    if missing := sorted(waiting - given.keys()):
        raise ValidationError("input", f"What came of the call {missing[0]} is missing")
    whole: list[JSON] = [_with_output(call, given) for call in calls]
    return replace(said, metadata={**said.metadata, "tool_calls": whole})


def _with_output(call: JSONObject, given: dict[str, CallOutput]) -> JSONObject:
    output = given.get(str(call["id"])) if call["output"] is None else None
    return {**call, "output": output.output, "is_error": output.is_error} if output else call


def _number(turn: Turn) -> int:
    """Of its answer among the messages of the session."""
    place = split_message_id(turn.id)
    assert place is not None, turn.id
    return place[1]
