"""What a turn cost, as its events tell: what no service reported of a step is estimated."""

from chat.events import (
    AttemptFailed,
    JSONObject,
    ReasoningDelta,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    TurnEvent,
    UsageReported,
)
from chat.tokens import estimate_tokens


class UsageSum:
    """The events of a turn, added up one by one."""

    def __init__(self) -> None:
        self._prompt = self._completion = 0
        self._step: StepStarted | None = None  # the one whose usage is not known yet
        self._said: list[str] = []

    def note(self, event: TurnEvent) -> None:
        match event:
            case TextDelta(_, text) | ReasoningDelta(_, text) | ToolCallDelta(_, text):
                self._said.append(text)
            case StepStarted():
                self._step, self._said = event, []
            case UsageReported(prompt, completion):
                self._step = None
                self._add(prompt, completion)
            case AttemptFailed():
                self._add(event.prompt_tokens, event.completion_tokens)
            case StepFinished():
                self._end_step()
            case _:
                pass

    def shown(self) -> JSONObject:
        """`{"prompt_tokens", "completion_tokens", "total_tokens"}`"""
        self._end_step()
        total = self._prompt + self._completion
        return {
            "prompt_tokens": self._prompt,
            "completion_tokens": self._completion,
            "total_tokens": total,
        }

    def _end_step(self) -> None:
        step, self._step = self._step, None
        if step is not None:
            self._add(step.prompt_tokens, estimate_tokens("".join(self._said)))

    def _add(self, prompt: int, completion: int) -> None:
        self._prompt += prompt
        self._completion += completion
