"""Going on after a turn left calls to people: tools of the caller's own, and calls that somebody has to approve. Which
answer it is that what they say belongs to, and whether all of it is there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from chat.calls import CallAnswer
from chat.errors import Forbidden, ValidationError
from chat.events import JSON, JSONObject
from chat.messages import Message, MessageDraft
from chat.requests import TurnRequest
from chat.store.conversation_store import ConversationStore
from chat.store.turn_store import TurnStore
from chat.tools.base import ToolBox
from chat.turns.decisions import APPROVALS, OUTPUTS, Decider, Said, said_in
from chat.turns.tool_history import stored_calls, waits_for_approval

LOOKED_BACK = 50  # messages among which the answer must be
DECIDED = ("approved", "denied")
STANDING = ("streaming", "complete")  # of an answer that did not break


async def find_continued(
    conversations: ConversationStore,
    turns: TurnStore,
    tools: ToolBox,
    request: TurnRequest,
    answers: Sequence[CallAnswer],
) -> TurnRequest:
    """The request as one that goes on, to the same question, from the answer whose calls wait for these outputs and
    approvals.

    SessionNotFound, Forbidden. ValidationError names what no call waits for, what came before, is missing or will not
    do. A repeated request, which is known by its key, finds the answer again.
    """
    user_id, session_id = request.user_id, request.session_id
    if request.pipeline:
        raise ValidationError("pipeline", "A pipeline does not go on from calls")
    session = await conversations.get_session(user_id, session_id)
    if not session.allows(user_id, "editor"):
        raise Forbidden
    said = list(said_in(answers))
    messages = await conversations.list_messages(user_id, session_id, limit=LOOKED_BACK, newest=True)
    waiting = _waiting(messages, said[0])
    _check_said(said, waiting)
    await tools.ready([str(call["name"]) for call in _pending(waiting) if waits_for_approval(call)])
    turn = await turns.get_turn(user_id, waiting.id)
    decider = Decider(session, request, turn.request.beneficiary, tools)
    repeated = session.asked_by(request.key) is not None
    answer = _answered(waiting, {each.call_id: each for each in said}, decider, repeated=repeated)
    if not repeated:
        answer = _with_earlier_outputs(answer, messages)
        check_unanswered(answer, messages)
    return replace(
        request, message_id=turn.user_message_id, continued=answer, on_behalf_of=decider.on_behalf_of
    )


def open_calls(messages: Sequence[Message]) -> dict[str, list[JSONObject]]:
    """The calls that wait still for what somebody says to them, by the id of their answer. What was said to them is
    among `messages`: the newest of a conversation."""
    found = {each.id: _still_open(each, messages) for each in messages}
    return {name: calls for name, calls in found.items() if calls}


def _still_open(message: Message, messages: Iterable[Message]) -> list[JSONObject]:
    pending = _pending(message)
    later = list(_continuing(message.id, messages)) if pending else []
    if any(each.status in STANDING for each in later):
        return []
    return [call for call in pending if not any(_to_run(_before(call, each)) for each in later)]


def _pending(message: Message) -> list[JSONObject]:
    """The calls that wait. Only a turn that ended well leaves any."""
    if message.role != "assistant" or message.status != "complete":
        return []
    return [call for call in stored_calls(message.metadata) if call["output"] is None]


def _waiting(messages: Sequence[Message], said: Said) -> Message:
    """The answer with that call. Some services use an id again: nobody shall approve another call than the one that
    they saw, so where several turns asked about one id they have to say which they mean."""
    found = [
        message
        for message in messages
        if any(call["id"] == said.call_id for call in _pending(message)) and _is_meant(said, message)
    ]
    if not found:
        raise _unknown(said)
    if said.approval and len(found) > 1:
        raise ValidationError(
            f"{said.field}.turn_id", "Several turns have a call of this id: name the one that is meant"
        )
    return found[-1]


def _is_meant(said: Said, message: Message) -> bool:
    return said.turn_id in ("", message.id)


def _unknown(said: Said) -> ValidationError:
    what = "approval" if said.approval else "output"
    return ValidationError(f"{said.field}.call_id", f"No call of this id waits for an {what}")


def _check_said(said: Iterable[Said], waiting: Message) -> None:
    pending = {str(call["id"]): call for call in _pending(waiting)}
    missing = dict(pending)
    for each in said:
        call = pending.get(each.call_id) if _is_meant(each, waiting) else None
        if call is None or waits_for_approval(call) != each.approval:
            raise _unknown(each)
        if missing.pop(each.call_id, None) is None:
            what = "approvals" if each.approval else "outputs"
            raise ValidationError(f"{each.field}.call_id", f"There are two {what} of this call")
    for call_id, call in sorted(missing.items()):
        field, what = (APPROVALS, "approval") if waits_for_approval(call) else (OUTPUTS, "output")
        raise ValidationError(field, f"The {what} of {call_id} is missing")


def _answered(
    waiting: Message, said: Mapping[str, Said], decider: Decider, *, repeated: bool
) -> MessageDraft:
    calls: list[JSON] = [
        decider.decided(call, said[str(call["id"])], repeated=repeated) if call["output"] is None else call
        for call in stored_calls(waiting.metadata)
    ]
    metadata: JSONObject = {"continues": waiting.id, "tool_calls": calls}
    return MessageDraft("assistant", waiting.content, metadata=metadata, status="streaming")


def _with_earlier_outputs(answer: MessageDraft, messages: Sequence[Message]) -> MessageDraft:
    """What ran for a turn that broke is not run again, though it is approved again: what came of it stands."""
    broken = [
        each for each in _continuing(answer.metadata["continues"], messages) if each.status not in STANDING
    ]
    calls: list[JSON] = [
        next(filter(_ran, (_before(call, each) for each in broken)), call) if _to_run(call) else call
        for call in stored_calls(answer.metadata)
    ]
    return replace(answer, metadata={**answer.metadata, "tool_calls": calls})


def check_unanswered(answer: MessageDraft, messages: Iterable[Message]) -> None:
    """ValidationError when a turn went on from that answer. One that broke does not count, as long as it ran no call of
    which nobody knows what came."""
    calls = stored_calls(answer.metadata)
    decided = [call for call in calls if call["output"] is None]
    field = f"{APPROVALS if any('approval' in call for call in calls) else OUTPUTS}.0.call_id"
    for each in _continuing(answer.metadata["continues"], messages):
        if each.status in STANDING:
            raise ValidationError(field, "This call has been answered already")
        if any(_before(call, each).get("approval") != "denied" for call in decided):
            raise ValidationError(field, "This call was approved before, and may have run")


def _continuing(answer_id: JSON, messages: Iterable[Message]) -> Iterable[Message]:
    return (each for each in messages if each.metadata.get("continues") == answer_id)


def _to_run(call: JSONObject) -> bool:
    return call.get("approval") == "approved" and call["output"] is None


def _ran(call: JSONObject) -> bool:
    return call.get("approval") == "approved" and call["output"] is not None


def _before(call: JSONObject, continuing: Message) -> JSONObject:
    """What an earlier turn that went on from the same answer had of the call; {} when it is known no more."""
    same = [
        each
        for each in stored_calls(continuing.metadata)
        if each["id"] == call["id"] and each.get("approval") in DECIDED
    ]
    return same[-1] if same else {}
