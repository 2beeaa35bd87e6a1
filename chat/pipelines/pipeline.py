"""A turn in stages: each asks the model for JSON of a schema, checks it, and hands its result to the next.

A stage whose answer does not do is asked once more, and told why; then the turn fails. What was done is in the events,
so a later turn can begin where this one ended (docs/decisions/0012).
"""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import from_json

from chat.errors import BadProviderReply
from chat.events import (
    JSON,
    JSONObject,
    Progress,
    StageFinished,
    StageItem,
    StageStarted,
    TextDelta,
    TextFinished,
    TextStarted,
    TurnEvent,
)
from chat.pipelines.base import Stage, StageInput, StageInvalid
from chat.providers.base import ModelDelta, ModelMessage, ModelProvider, ModelRequest, ResponseSchema
from chat.turns.base import TurnContext, TurnSource
from chat.turns.steps import StepReader

ATTEMPTS = 2  # model calls a stage
MOST_PROBLEM = 500  # characters of what is wrong with it
SYSTEM = "{task}\nAnswer with JSON of this schema and nothing else:\n{schema}"
NOT_STRICT = frozenset({"maxLength", "minLength", "maxItems", "minItems", "pattern", "minimum", "maximum"})
HIDDEN = (TextStarted, TextDelta, TextFinished)  # the JSON that the model writes is no text of the answer


class Pipeline(TurnSource):
    """`stages` makes the stages of one turn; `goes_on` says, after each of them, whether the rest is of use."""

    def __init__(
        self,
        provider: ModelProvider,
        stages: Callable[[], Sequence[Stage]],
        *,
        goes_on: Callable[[str, JSON], bool],
    ) -> None:
        self._provider = provider
        self._stages = stages
        self._goes_on = goes_on

    async def events(self, context: TurnContext) -> AsyncGenerator[TurnEvent]:
        begun = context.request.input
        done = _object(begun.get("done"))  # results of an earlier turn, which are shown again
        given = StageInput(context.messages[-1].content, given=_object(begun.get("given")))
        steps, idle = 0, False
        for stage in self._stages():
            if idle or stage.name in done:
                result = given.given.get(stage.name, []) if idle else done[stage.name]
                for event in _shown_again(stage, result, quietly=idle):
                    yield event
            else:
                async with aclosing(self._run(stage, given, context, steps)) as events:
                    async for event in events:
                        yield event
                steps += ATTEMPTS
                result = given.results[stage.name]
            given.results[stage.name] = result
            idle = idle or not self._goes_on(stage.name, result)

    async def _run(
        self, stage: Stage, given: StageInput, context: TurnContext, index: int
    ) -> AsyncGenerator[TurnEvent]:
        problem = ""
        for attempt in range(1, ATTEMPTS + 1):
            yield StageStarted(stage.name, attempt)
            shown = await stage.prepare(given)
            reply = _Reply(stage)
            if shown is not None:
                request = _request(stage, shown | ({"problem": problem} if problem else {}), context)
                step = StepReader(
                    index=index + attempt - 1,
                    provider=self._provider.name,
                    prompt_tokens=request.estimated_tokens,
                )
                pieces = context.allowance.stream(self._provider, request)
                async with aclosing(self._asked(pieces, step, reply)) as events:
                    async for event in events:
                        yield event
            try:
                result = cast("JSON", stage.finish(reply.items() if shown is not None else [], given))
            except StageInvalid as error:
                problem = str(error)[:MOST_PROBLEM]  # it may quote the model
                yield StageFinished(stage.name)
                continue
            given.results[stage.name] = result
            yield StageFinished(stage.name, result, stage.text(result))
            if self._goes_on(stage.name, result):
                yield Progress(stage.percent)
            return
        raise BadProviderReply(f"The model's answer to the stage {stage.name} was not valid: {problem}")

    async def _asked(
        self, asked: AsyncGenerator[ModelDelta], step: StepReader, reply: "_Reply"
    ) -> AsyncGenerator[TurnEvent]:
        """One model call; what it writes is read and not shown, but for the items of a stage that shows them."""
        async with aclosing(asked) as pieces:
            async for piece in pieces:
                if reply.too_long:
                    break
                for event in step.read(piece):
                    if not isinstance(event, HIDDEN):
                        yield event
                    elif isinstance(event, TextDelta):
                        reply.add(event.text)
                        for item in reply.new_items():
                            yield StageItem(reply.stage.name, item)
        for item in reply.new_items(last=True):
            yield StageItem(reply.stage.name, item)
        for event in step.finish():
            if not isinstance(event, HIDDEN):
                yield event


class _Reply:
    """The JSON that the model writes."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._text = ""
        self._shown = 0
        self._looked = 0  # characters

    @property
    def too_long(self) -> bool:
        """It grows with every piece, and is read again with every item: some models never come to an end."""
        return len(self._text) > self.stage.longest

    def add(self, text: str) -> None:
        self._text += text

    def new_items(self, *, last: bool = False) -> list[JSONObject]:
        """The items that are whole by now and were not shown yet: until the `last`, those that another one follows."""
        if not self.stage.shows_items or not (last or "}" in self._text[self._looked :]):
            return []
        self._looked = len(self._text)
        found = self._found() if last else self._found()[:-1]
        new, self._shown = found[self._shown :], len(found)
        return [item for each in new if (item := self.stage.item(each)) is not None]

    def items(self) -> list[dict[str, Any]]:
        """All of them, checked. StageInvalid."""
        if self.too_long:
            raise StageInvalid(f"The answer has more than {self.stage.longest} characters.")
        try:
            return self.stage.answer.model_validate_json(self._json()).model_dump()["items"]
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise StageInvalid(f"{place}: {first['msg']}" if place else first["msg"]) from None

    def _found(self) -> list[Any]:
        try:
            value = from_json(self._json(), allow_partial=True)
        except ValueError:
            return []
        items = value.get("items") if isinstance(value, dict) else None
        return [each for each in cast("list[Any]", items or []) if isinstance(each, dict)]

    def _json(self) -> str:
        """Without the fence that some models put around it."""
        return self._text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")


def _request(stage: Stage, shown: JSONObject, context: TurnContext) -> ModelRequest:
    schema = cast("JSONObject", stage.answer.model_json_schema())
    system = SYSTEM.format(task=stage.task, schema=json.dumps(schema))
    return ModelRequest(
        messages=(
            ModelMessage("system", system),
            ModelMessage("user", json.dumps(shown, ensure_ascii=False)),
        ),
        model=context.model,
        provider=context.provider,
        response_schema=ResponseSchema(f"stage_{stage.name}", cast("JSONObject", _strict(schema))),
        blamed=context.blamed,
    )


def _shown_again(stage: Stage, result: JSON, *, quietly: bool) -> list[TurnEvent]:
    """A stage that is not run. Quietly: as a result alone, where there was nothing to do."""
    if quietly:
        return [StageStarted(stage.name), StageFinished(stage.name, result)]
    items = cast("list[JSON]", result) if isinstance(result, list) and stage.shows_items else []
    return [
        StageStarted(stage.name),
        *(StageItem(stage.name, item) for item in items),
        StageFinished(stage.name, result, stage.text(result)),
        Progress(stage.percent),
    ]


def _strict(schema: JSON) -> JSON:
    """A schema without the keywords that services refuse in strict ones; answers are checked for them here."""
    if isinstance(schema, dict):
        return {key: _strict(value) for key, value in schema.items() if key not in NOT_STRICT}
    return [_strict(each) for each in schema] if isinstance(schema, list) else schema


def _object(value: object) -> JSONObject:
    return cast("JSONObject", value) if isinstance(value, dict) else {}
