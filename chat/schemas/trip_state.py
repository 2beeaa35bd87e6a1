"""The state of a trip as a caller may give it (docs/protocol.md, section 4).

What the planner reads of a place, a requirement and an option must have its type; all of it may be left out or null,
and whatever else is there is the caller's own. The objects are taken as they came.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from chat.events import JSONObject
from chat.schemas.fields import MAX_ID, Body, check_json_size


def _as_text(value: object) -> object:
    """Some callers number their places."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


type PlaceId = Annotated[str | None, Field(max_length=MAX_ID), BeforeValidator(_as_text)]


class GivenPlace(BaseModel):
    id: PlaceId = None
    name: str | None = None
    kind: str | None = None
    city: str | None = None


class GivenRequirement(BaseModel):
    description: str | None = None
    priority: str | None = None


class GivenVisit(BaseModel):
    start: str | None = None
    end: str | None = None
    poi_id: PlaceId = None
    name: str | None = None
    note: str | None = None


class GivenDay(BaseModel):
    city: str | None = None
    items: list[GivenVisit] | None = None


class GivenOption(BaseModel):
    title: str | None = None
    summary: str | None = None
    days: list[GivenDay] | None = None


def _like[Model: BaseModel](model: type[Model]) -> AfterValidator:
    def check(value: JSONObject) -> JSONObject:
        model.model_validate(value)
        return value

    return AfterValidator(check)


type Place = Annotated[JSONObject, _like(GivenPlace)]
type Requirement = Annotated[JSONObject, _like(GivenRequirement)]
type PlanOption = Annotated[JSONObject, _like(GivenOption)]

LIST_BYTES = 128 * 1024  # of each list, as JSON


def _small(value: object) -> object:
    """They are stored with the turn. Asked before their types are checked, which takes far longer."""
    return check_json_size(value, LIST_BYTES)


LIMITS = (Field(max_length=200), BeforeValidator(_small))


class TripState(Body):
    """What a caller has from before, and a message changes."""

    pois: Annotated[list[Place], *LIMITS] = Field(default_factory=list)
    requirements: Annotated[list[Requirement], *LIMITS] = Field(default_factory=list)
    plan: Annotated[list[PlanOption], *LIMITS] = Field(default_factory=list)

    @property
    def input(self) -> JSONObject:
        """As the planner begins with it."""
        return {"given": {"pois": [*self.pois], "requirements": [*self.requirements], "plan": [*self.plan]}}
