"""What people say to the calls that wait for them: an output of a tool of their own, or yes or no to one of ours, and
with whose access it runs then (docs/decisions/0031)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from chat.calls import ARGUMENTS_BYTES, REASON, Approval, CallAnswer, CallOutput, ToolCall
from chat.conversation import Session
from chat.errors import ValidationError
from chat.events import JSONObject
from chat.requests import TurnRequest
from chat.tools.base import ToolBox, ToolError
from chat.turns.tool_history import sound_arguments

OUTPUTS = "tool_outputs"
APPROVALS = "approvals"
GONE = (
    "Who asked for this call may not write here any more: deny it, or approve it with arguments of your own"
)


@dataclass(frozen=True, slots=True)
class Said:
    """What is said to one call, and the field of the request in which it stands."""

    field: str
    answer: CallAnswer

    @property
    def call_id(self) -> str:
        return self.answer.call_id

    @property
    def turn_id(self) -> str:
        """Of the turn that left the call, where it is said."""
        return self.answer.turn_id if isinstance(self.answer, Approval) else ""

    @property
    def approval(self) -> bool:
        return isinstance(self.answer, Approval)


def said_in(answers: Sequence[CallAnswer]) -> Iterator[Said]:
    """The answers with their fields: those of each kind are counted by themselves."""
    counts = {OUTPUTS: 0, APPROVALS: 0}
    for each in answers:
        name = APPROVALS if isinstance(each, Approval) else OUTPUTS
        yield Said(f"{name}.{counts[name]}", each)
        counts[name] += 1


class Decider:
    """Somebody who says something to the calls of a turn, whose tools run with the access of `asker`.

    Arguments run with the access of whoever made them up: the model's are those of the asker.
    """

    def __init__(self, session: Session, request: TurnRequest, asker: str, tools: ToolBox) -> None:
        self._user_id, self._asker, self._tools = request.user_id, asker, tools
        self._asker_may = session.allows(asker, "editor")
        # Whether the model hears words of theirs: a prompt and descriptions of tools are some.
        self._adds = bool(request.settings or request.tools)

    @property
    def on_behalf_of(self) -> str:
        """With whose access the turn goes on; "" is that of the one who decides. A bare yes or no says nothing to the
        model, so it goes on as the asker's; who tells it more has asked from then on."""
        bare = not self._adds and self._asker_may and self._asker != self._user_id
        return self._asker if bare else ""

    def decided(self, call: JSONObject, said: Said, *, repeated: bool = False) -> JSONObject:
        """The call with what was said to it. ValidationError; not for what a repeated request says."""
        match said.answer:
            case CallOutput(_, output, is_error):
                self._adds = True
                return {**call, "output": output, "is_error": is_error}
            case Approval(_, True, arguments):
                own = self._own_arguments(call, said.field, arguments)
                self._adds = self._adds or bool(own)
                run_for = self._user_id if own else self._asker
                if not (repeated or own or self._asker_may):
                    raise ValidationError(f"{said.field}.approved", GONE)
                decision: JSONObject = {"decided_by": self._user_id, "run_for": run_for}
                return {**call, "arguments": own or call["arguments"], "approval": "approved", **decision}
            case Approval(_, _, _, reason):
                if len(reason) > REASON:
                    raise ValidationError(f"{said.field}.reason", f"Has more than {REASON} characters")
                self._adds = self._adds or bool(reason)
                told: JSONObject = {"reason": reason} if reason else {}
                return {**call, "approval": "denied", "decided_by": self._user_id, **told}

    def _own_arguments(self, call: JSONObject, field: str, given: str) -> str:
        """Arguments in place of the model's, if they are others, and such that the tool can take them."""
        if not given or _same(given, str(call["arguments"])):
            return ""
        field = f"{field}.arguments"
        if sound_arguments(given) != given:
            raise ValidationError(field, "Must be an object")
        if len(given.encode()) > ARGUMENTS_BYTES:
            raise ValidationError(field, f"Larger than {ARGUMENTS_BYTES} bytes of JSON")
        try:
            self._tools.check(ToolCall(str(call["id"]), str(call["name"]), given))
        except ToolError as error:
            raise ValidationError(field, str(error)) from None
        return given


def _same(given: str, made: str) -> bool:
    try:
        return _canonical(given) == _canonical(made.strip() or "{}")
    except ValueError:
        return False


def _canonical(text: str) -> bytes:
    """Python takes true for 1; a tool may not."""
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
