"""The trip planner: its stages in a pipeline."""

from chat.events import JSON
from chat.pipelines.pipeline import Pipeline
from chat.pipelines.trip_stages import is_actionable, trip_stages
from chat.providers.base import ModelProvider
from chat.tools.places import PlaceFinder


def trip_planner(provider: ModelProvider, finder: PlaceFinder) -> Pipeline:
    """Plans with this model and these places; a message without anything to plan leaves everything as it was."""
    return Pipeline(provider, lambda: trip_stages(finder), goes_on=_goes_on)


def _goes_on(stage: str, result: JSON) -> bool:
    return stage != "intents" or is_actionable(result)
