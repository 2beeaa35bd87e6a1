"""What a message keeps of the results of its turn's stages."""

import json

from chat.events import JSON, NumberedEvent, StageFinished, StageStarted, TextDelta, TurnEvent
from chat.turns.stage_history import KEPT_BYTES, kept, with_results


def numbered(*events: TurnEvent) -> list[NumberedEvent]:
    return [NumberedEvent(number, event) for number, event in enumerate(events, 1)]


def test_the_last_result_of_each_stage_is_kept() -> None:
    events = numbered(
        StageStarted("pois"),
        StageFinished("pois"),  # its answer did not do
        StageStarted("pois", 2),
        StageFinished("pois", [{"id": "a"}]),
        StageFinished("plan", [], "Text"),
        StageFinished("more"),
    )
    assert with_results({"x": 1}, events) == {"x": 1, "plan": {"pois": [{"id": "a"}], "plan": []}}


def test_a_turn_without_stages_keeps_nothing() -> None:
    assert with_results({"x": 1}, numbered(TextDelta("0", "Hi"))) == {"x": 1}


def test_what_is_too_long_loses_its_end_and_the_last_stage_loses_nothing() -> None:
    place: JSON = {"id": "é" * 100}
    plan: JSON = ["x" * 20_000]
    found = kept({"pois": [place] * 100, "plan": plan})
    pois = found["pois"]
    assert isinstance(pois, list) and 0 < len(pois) < 100
    assert found == {"pois": [place] * len(pois), "plan": plan, "truncated": True}
    assert len(json.dumps(found)) <= KEPT_BYTES + 100


def test_of_options_that_do_not_fit_together_the_first_is_kept() -> None:
    options: JSON = [{"title": str(number), "days": ["x" * 10_000]} for number in range(3)]
    found = kept({"intents": [{"intent": "x" * 9_000}], "plan": options})
    assert found == {"plan": options[:2], "truncated": True}  # type: ignore[index]
