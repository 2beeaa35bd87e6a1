"""What a stage of a pipeline is: what it asks the model for, and what it makes of the answer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel

from chat.events import JSON, JSONObject, empty_object


class StageInvalid(Exception):
    """The model's answer does not do; the text tells the model why."""


@dataclass(slots=True)
class StageInput:
    """What a stage may look at."""

    message: str  # what the user asks now
    given: JSONObject = field(default_factory=empty_object)  # what the caller has from before, by stage
    results: dict[str, JSON] = field(default_factory=dict[str, JSON])  # of the stages before, by stage


class Stage(ABC):
    """One stage of one turn; it may keep what it found out while it prepared."""

    name: ClassVar[str]
    percent: ClassVar[int]  # how far the turn is when the stage is done
    task: str  # what the model is told to do; with `answer`, what is asked once the stage has prepared
    answer: type[BaseModel]  # the schema of its answer: one list
    longest: ClassVar[int] = 256 * 1024  # characters of an answer
    shows_items: ClassVar[bool] = False  # whether each item is shown as it comes

    @abstractmethod
    async def prepare(self, given: StageInput) -> JSONObject | None:
        """What the model is shown; None when there is nothing to ask. ChatError when the turn cannot go on."""

    def item(self, value: Mapping[str, Any]) -> JSONObject | None:
        """One item of the answer as it is shown; None for one that is not right."""
        return dict(value)

    @abstractmethod
    def finish(self, items: list[dict[str, Any]], given: StageInput) -> list[JSONObject]:
        """The result of the stage. StageInvalid when the answer does not do."""

    def text(self, result: JSON) -> str:
        """What the stage adds to the text of the answer."""
        return ""
