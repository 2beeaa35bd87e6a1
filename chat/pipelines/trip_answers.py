"""What the model answers to the stages of the trip planner: one list each."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_DAYS = 30  # that are planned, however many are asked for
MOST_TEXT = 500  # characters that a model may write into one field
type Text = Annotated[str, Field(max_length=MOST_TEXT)]


class Strict(BaseModel):
    """As services want schemas: every field is there, and no other."""

    model_config = ConfigDict(extra="forbid")


class Intent(Strict):
    intent: Literal[
        "set_city",
        "set_days",
        "add_poi",
        "remove_poi",
        "add_requirement",
        "remove_requirement",
        "change_plan",
        "other",
    ]
    action: Literal["add", "remove", "set", "none"]
    value: Text


class IntentsAnswer(Strict):
    items: Annotated[list[Intent], Field(max_length=30)]


class Choice(Strict):
    id: Text
    why: Text


class PoisAnswer(Strict):
    items: Annotated[list[Choice], Field(max_length=60)]


class Requirement(Strict):
    description: Text
    priority: Literal["high", "medium", "low"]


class RequirementsAnswer(Strict):
    items: Annotated[list[Requirement], Field(max_length=30)]


class Visit(Strict):
    start: Text
    end: Text
    poi_id: Text
    name: Text
    note: Text


class Day(Strict):
    day: int
    city: Text
    items: Annotated[list[Visit], Field(max_length=20)]


class Option(Strict):
    title: Text
    summary: Text
    days: Annotated[list[Day], Field(min_length=1, max_length=MAX_DAYS)]


class PlanAnswer(Strict):
    items: Annotated[list[Option], Field(min_length=1, max_length=3)]


class ChangedDay(Day):
    items: Annotated[list[Visit], Field(max_length=200)]  # as many as a given day may have


class Change(Strict):
    """What is different in one option of the plan that was given."""

    option: int  # from 1
    title: Text  # "" where it stays
    summary: Text
    days: Annotated[list[ChangedDay], Field(max_length=MAX_DAYS)]


class ChangesAnswer(Strict):
    items: Annotated[list[Change], Field(max_length=30)]
