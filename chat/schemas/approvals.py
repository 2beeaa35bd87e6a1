"""Yes and no to calls that wait for it, as HTTP bodies and the frames of sockets say them."""

from collections.abc import Sequence
from typing import Annotated

import orjson
from pydantic import BeforeValidator, Field

from chat.calls import ARGUMENTS_BYTES, REASON, Approval
from chat.events import JSONObject
from chat.schemas.fields import Body, Flag, Id, check_json_size

MAX_ANSWERS = 128  # more than one answer can wait for


def _small(value: object) -> object:
    return check_json_size(value, ARGUMENTS_BYTES)


class CallApproval(Body):
    """Yes or no to a call that waits for it. `arguments` take the place of the model's; `reason` is what it is told.
    `turn_id` is needed only where several turns have a call of this id."""

    call_id: Annotated[str, Field(min_length=1, max_length=500)]
    approved: Flag
    arguments: Annotated[JSONObject | None, BeforeValidator(_small)] = None
    reason: Annotated[str, Field(max_length=REASON)] = ""
    turn_id: Id = ""


type CallApprovals = Annotated[list[CallApproval], Field(min_length=1, max_length=MAX_ANSWERS)]


def read_approvals(said: Sequence[CallApproval]) -> tuple[Approval, ...]:
    return tuple(map(_approval, said))


def _approval(said: CallApproval) -> Approval:
    arguments = "" if said.arguments is None else orjson.dumps(said.arguments).decode()
    return Approval(said.call_id, said.approved, arguments, said.reason, said.turn_id)
