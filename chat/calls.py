"""Tools as a model is told of them, the calls that it makes, and what others say to calls that wait for them."""

from dataclasses import dataclass

from chat.events import JSONObject, ToolCallDelta, ToolCallFinished, ToolCallStarted, TurnEvent


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool the model may call; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: JSONObject
    needs_approval: bool = False  # ours, and run only when somebody who may write says so
    digest: str = ""  # by which a changed definition of somebody else's is known; "" for one of this app


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What the model asked for; `arguments` is JSON text as it came."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CallOutput:
    """What came of a call that the caller ran."""

    call_id: str
    output: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Approval:
    """What somebody says to a call that needs their approval."""

    call_id: str
    approved: bool
    arguments: str = ""  # JSON text, in place of the model's; "" leaves those
    reason: str = ""  # for the model, where they say no
    turn_id: str = ""  # the one that ended with the call; "" as long as no other has a call of that id


ARGUMENTS_BYTES = 16 * 1024  # of the arguments that somebody gives in place of the model's
REASON = 2000  # characters of the reason for a no

type CallAnswer = CallOutput | Approval


class CallReader:
    """Puts together the calls that a turn's events tell of: it writes one at a time."""

    def __init__(self) -> None:
        self._name = ""
        self._pieces: list[str] = []

    def take(self, event: TurnEvent) -> ToolCall | None:
        """The call, once the event is its last one."""
        match event:
            case ToolCallStarted(_, name):
                self._name, self._pieces = name, []
            case ToolCallDelta(_, arguments):
                self._pieces.append(arguments)
            case ToolCallFinished(call_id):
                return ToolCall(call_id, self._name, "".join(self._pieces))
            case _:
                pass
        return None
