"""Turns of the trip planner over a scripted model: what it is told to answer, and what comes of it."""

import json
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chat.conversation import Session
from chat.errors import ChatError
from chat.events import JSONObject, StageFinished, TurnEvent, TurnStarted
from chat.messages import MessageDraft
from chat.pipelines.trip import trip_planner
from chat.providers.base import ModelRequest
from chat.providers.scripted import Line, Script, ScriptedProvider
from chat.requests import TurnRequest
from chat.tools.place_file import PlaceFile
from chat.turns.base import TurnContext
from chat.turns.grammar import Grammar

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def visit(poi: str = "rome-colosseum", start: str = "09:00", end: str = "10:00", **more: Any) -> JSONObject:
    return {"start": start, "end": end, "poi_id": poi, "name": "N", "note": "", **more}


def day(number: int, *visits: JSONObject, city: str = "Rome") -> JSONObject:
    return {"day": number, "city": city, "items": list(visits)}


def option(*visits: JSONObject, day: int = 1) -> JSONObject:
    days: list[Any] = [{"day": day, "city": "Rome", "items": list(visits)}]
    return {"title": "T", "summary": "S", "days": days}


def intent(kind: str, value: str = "", action: str = "none") -> JSONObject:
    return {"intent": kind, "action": action, "value": value}


def answer(items: Any) -> list[Line]:
    """In pieces of ten characters, as a model writes."""
    text = json.dumps({"items": items})
    return [text[at : at + 10] for at in range(0, len(text), 10)]


async def run(
    *answers: Script, begun: JSONObject | None = None
) -> tuple[list[TurnEvent], ScriptedProvider, ChatError | None]:
    """The events of a turn, checked by the grammar, and how it failed."""
    provider = ScriptedProvider(*answers)
    request = TurnRequest("ann", content="a day in Rome", input=begun or {})
    context = TurnContext(
        Session("s", "ann", "", NOW, NOW), (MessageDraft("user", "a day in Rome"),), request
    )
    seen: list[TurnEvent] = []
    grammar = Grammar()
    grammar.accept(TurnStarted("t", "s", "m", "now"))
    try:
        async with aclosing(trip_planner(provider, PlaceFile()).events(context)) as events:
            async for event in events:
                grammar.accept(event)
                seen.append(event)
    except ChatError as error:
        return seen, provider, error
    return seen, provider, None


def results(events: Sequence[TurnEvent]) -> dict[str, Any]:
    return {each.stage: each.result for each in events if isinstance(each, StageFinished)}


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a trip."""

    results: dict[str, Any]
    asked: dict[str, Any]  # what the model was shown, by stage: the last time
    error: ChatError | None

    def __getattr__(self, stage: str) -> Any:
        return self.results[stage]


async def change(
    given: JSONObject, intents: Sequence[JSONObject], **answers: Sequence[Any] | Iterable[Any]
) -> Changed:
    """A turn over a given state, with the model's items for each stage: what is not said is answered with none. An
    iterator gives the items of one call after the other."""
    asked: dict[str, Any] = {}
    said = {"intents": intents, **answers}

    def script(request: ModelRequest) -> list[Line]:
        assert request.response_schema is not None
        stage = request.response_schema.name.removeprefix("stage_")
        asked[stage] = json.loads(request.messages[-1].content)
        items = said.get(stage, [])
        return answer(items if isinstance(items, Sequence) else next(iter(items)))

    events, _, error = await run(script, begun={"given": given})
    return Changed(results(events), asked, error)
