"""What the stand-in says: an answer as deltas, made from the directives of the request, or else from the rules."""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from local.model_server.chat_request import ChatRequest
from local.model_server.directives import Directives, ToolOrder

PIECE = 24  # characters of a delta where nobody asked for a size
ARGUMENTS_PIECE = 8  # characters of a tool's arguments in one delta
REFUSAL = "I'm sorry, but I can't help with that."


@dataclass(slots=True)
class Answer:
    """One reply. `texts` is read once and lazily, so that a stamp is made when it is sent."""

    texts: Iterable[str] = ()
    reasoning: Sequence[str] = ()
    served: Sequence[ToolOrder] = ()  # calls that the service runs itself
    calls: Sequence[ToolOrder] = ()
    first_call: int = 1  # the number in the id of the first call
    refusal: str = ""
    max_tokens: int | None = None
    rate: float | None = None  # deltas a second that suit this answer
    finish: str = field(default="stop")

    def deltas(self) -> Iterator[bytes]:
        """The `delta` objects as JSON. `finish` is right once all are read."""
        for thought in self.reasoning:
            yield b'{"reasoning_content":%s}' % orjson.dumps(thought)
        for number, call in enumerate(self.served):
            yield b'{"served":%s}' % orjson.dumps(served_call(call, f"served_{number + 1}"))
        if self.refusal:
            yield b'{"refusal":%s}' % orjson.dumps(self.refusal)
        for number, text in enumerate(self.texts):
            if number == self.max_tokens:
                self.finish = "length"
                return
            yield b'{"content":%s}' % orjson.dumps(text)
        for index, call in enumerate(self.calls):
            yield from self._call_deltas(index, call)

    def _call_deltas(self, index: int, call: ToolOrder) -> Iterator[bytes]:
        head = {"name": call.name, "arguments": ""}
        start = {"index": index, "id": self.call_id(index), "type": "function", "function": head}
        yield orjson.dumps({"tool_calls": [start]})
        for piece in pieces(call.arguments, ARGUMENTS_PIECE):
            yield orjson.dumps({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})

    def call_id(self, index: int) -> str:
        return f"call_{self.first_call + index}"


def served_call(call: ToolOrder, call_id: str) -> dict[str, str]:
    """A call that the service runs itself, with what comes of it."""
    output = f"{call.name} says: {call.arguments}"
    return {"id": call_id, "name": call.name, "arguments": call.arguments, "output": output}


def pieces(text: str, size: int = PIECE) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def expected_text(chunks: int, *, size: int = 0) -> str:
    """What the deltas of `#chunks=N #size=B` join to: `word1 word2 word3`."""
    return "".join(itertools.islice(_words(size), chunks))


def _words(size: int) -> Iterator[str]:
    for number in itertools.count(1):
        yield (f"word{number}" if number == 1 else f" word{number}").ljust(size, ".")


def _stamps(size: int) -> Iterator[str]:
    """`1234567 `: digits and a space, so that they can be told apart after deltas were merged."""
    while True:
        stamp = f"{time.monotonic_ns() // 1000} "
        yield stamp if len(stamp) >= size else stamp + "x" * (size - len(stamp) - 1) + " "


def ordered_answer(directives: Directives, request: ChatRequest) -> Answer | None:
    """The answer that the directives ask for; None when they leave it to the rules."""
    answer = _tool_answer(directives, request) or _text_answer(directives, request)
    if answer is None and (directives.reasoning or directives.refuse or directives.serve):
        answer = Answer()
    if answer is None:
        return None
    answer.reasoning = [f"thought{number} " for number in range(1, directives.reasoning + 1)]
    answer.served = () if request.tool_outputs() else directives.serve
    if directives.refuse:
        answer.texts, answer.refusal = (), REFUSAL
    return answer


def _tool_answer(directives: Directives, request: ChatRequest) -> Answer | None:
    """The calls while rounds are left; after them the outputs, unless another text is ordered."""
    if not directives.tool:
        return None
    outputs = request.tool_outputs()
    if len(outputs) < directives.rounds:
        calls = [_cut_arguments(call) if directives.tool_cut else call for call in directives.tool]
        return Answer(calls=calls, first_call=calls_before(request) + 1, finish="tool_calls")
    quoted = "; ".join(output for each in outputs for output in each)
    return _text_answer(directives, request) or Answer(pieces(f"The tool says: {quoted}"))


def _cut_arguments(call: ToolOrder) -> ToolOrder:
    return call._replace(arguments=call.arguments[:-1])


def calls_before(request: ChatRequest) -> int:
    """How many calls the window holds, so that the ids of the next ones are new in it."""
    return sum(len(message.get("tool_calls") or ()) for message in request.messages)


def _text_answer(directives: Directives, request: ChatRequest) -> Answer | None:
    if directives.empty:
        return Answer()
    if directives.echo:
        return Answer(pieces(orjson.dumps(dict(request.asked or request.body)).decode()))
    given = directives.json if directives.text is None else directives.text
    if given is not None:
        return Answer(pieces(given))
    if directives.chunks is None and not directives.endless and not directives.stamp:
        return None
    words = _stamps(directives.size) if directives.stamp else _words(directives.size)
    return Answer(words if directives.endless else itertools.islice(words, directives.chunks or 0))
