"""Dialect `plan`: the stages of the trip planner as they come, then `done` or `error` (docs/protocol.md, section 4)."""

from collections.abc import Iterable, Sequence

from chat.conversation import Turn
from chat.dialects.base import Asked, Asker, Dialect, Door, Reply, SocketFace
from chat.dialects.frames import read_cancel, read_object, read_resume
from chat.dialects.framing import sse
from chat.dialects.shapes import failure_headers, json_reply, show_failure, show_problem
from chat.errors import Conflict, ValidationError
from chat.events import (
    JSON,
    JSONObject,
    NumberedEvent,
    Progress,
    StageFinished,
    StageItem,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
)
from chat.requests import TRIP, TRIP_STAGES, Action, Answered, Say, TurnRequest
from chat.schemas.fields import Content, Id, check_size, validate
from chat.schemas.trip_state import TripState

ITEMS = {"pois": "poi"}  # the stages whose items are shown one by one


class PlanEncoder:
    """Every frame names its turn and the number of its event; the first one its session, for who came without."""

    def __init__(self, turn_id: str, session_id: str) -> None:
        self._turn_id = turn_id
        self._first: JSONObject = {"session_id": session_id}  # until it was shown

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        match numbered.event:
            case StageItem(stage, item) if stage in ITEMS:
                return (self._frame(numbered, ITEMS[stage], data=item),)
            case StageFinished(stage, result) if result is not None:
                return (self._frame(numbered, stage, data=result),)
            case Progress(percent):
                return (self._frame(numbered, "progress", percent=percent),)
            case TurnFinished():
                return (self._frame(numbered, "done"),)
            case TurnFailed(code, message, retryable):
                return (self._frame(numbered, "error", message=message, code=code, retryable=retryable),)
            case TurnCancelled():
                return (self._frame(numbered, "error", message="The turn was stopped.", code="CANCELLED"),)
            case _:
                return ()

    def _frame(self, numbered: NumberedEvent, kind: str, **more: JSON) -> JSONObject:
        first, self._first = self._first, {}
        return {"type": kind, **more, "turn_id": self._turn_id, "seq": numbered.number, **first}


def _encoder(turn: Turn) -> PlanEncoder:
    return PlanEncoder(turn.id, turn.session_id)


def _snapshot(turn: Turn, events: Sequence[NumberedEvent]) -> Iterable[JSONObject]:
    """The stages so far: of one that is finished the whole list, and the newest progress."""
    finished = {each.event.stage for each in events if isinstance(each.event, StageFinished)}
    progress = [each for each in events if isinstance(each.event, Progress)]
    encoder = PlanEncoder(turn.id, turn.session_id)
    for numbered in events:
        event = numbered.event
        old = isinstance(event, Progress) and numbered is not progress[-1]
        if not old and not (isinstance(event, StageItem) and event.stage in finished):
            yield from encoder.encode(numbered)


WHOLE = 200.0  # seconds after which a plan is answered as far as it is: the platform's front end gives up after 230


class PlanBody(TripState):
    """`POST /chat`, and a frame."""

    message: Content
    session_id: Id | None = None


def _read_body(body: PlanBody, asker: Asker) -> Asked:
    check_size("message", body.message, limit=asker.message_bytes)
    request = TurnRequest(
        asker.user_id,
        content=body.message,
        session_id=body.session_id or "",
        dialect=PLAN.name,
        pipeline=TRIP,
        input=body.input,
        nonce=asker.nonce,
    )
    return Asked(request, stream=False)


def _read_frame(name: str, data: str) -> Action:
    frame = read_object(name, data)
    if frame.get("message") is None:
        match frame.get("type"):
            case "cancel":
                return read_cancel(frame)
            case "resume":
                return read_resume(frame)
            case "ping":
                return Answered({"type": "pong"})
            case _:
                raise ValidationError("message", "The field message must be given")
    body = validate(PlanBody, frame)
    return Say(body.message, pipeline=TRIP, input=body.input, session_id=body.session_id or "")


def _whole(turn: Turn, events: Sequence[NumberedEvent]) -> Reply:
    """All results in one. 202 with what is there so far while the turn goes on: its caller follows it by its id."""
    last = events[-1].event if events else None
    if isinstance(last, TurnFailed):
        return json_reply(show_failure(last), last.status, failure_headers(turn, last))
    if isinstance(last, TurnCancelled):
        stopped = Conflict("The turn was stopped.", details={"turn_id": turn.id})
        return json_reply(show_problem(stopped), stopped.status)
    results: dict[str, JSON] = {name: [] for name in TRIP_STAGES}
    for _, event in events:
        if isinstance(event, StageFinished) and event.result is not None:
            results[event.stage] = event.result
    ids: JSONObject = {"session_id": turn.session_id, "turn_id": turn.id}
    return json_reply({**results, **ids}, 200 if isinstance(last, TurnFinished) else 202)


PLAN = Dialect(
    "plan",
    _encoder,
    framing=sse(),
    door=Door(PlanBody, _read_body, whole=_whole, patience=WHOLE),
    socket=SocketFace(_read_frame, _snapshot, names=("cancel", "resume", "ping")),
)
