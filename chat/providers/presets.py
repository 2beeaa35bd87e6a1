"""How the services that speak a protocol of OpenAI's differ: one row each. What their settings are called stands in
`chat/settings/model_services.py`.

What is written here was read in November 2026: https://openrouter.ai/docs/api/reference/overview,
https://docs.databricks.com/machine-learning/foundation-model-apis/api-reference,
https://docs.github.com/rest/models/inference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chat.databricks import databricks_access
from chat.providers.sign_in import SignIn, databricks_sign_in
from chat.settings import Settings

type Headers = Mapping[str, str]


def no_headers(settings: Settings) -> Headers:
    return {}


def openrouter_headers(settings: Settings) -> Headers:
    """Who asks, for its rankings and its list of one's apps. Both headers may be missing."""
    named = {"http-referer": settings.openrouter_site, "x-title": settings.openrouter_title}
    return {name: value for name, value in named.items() if value}


def databricks_sign(settings: Settings) -> SignIn:
    return databricks_sign_in(databricks_access(settings))


@dataclass(frozen=True, slots=True)
class Preset:
    """One service."""

    name: str
    base: str  # the path of an endpoint that has none
    headers: Callable[[Settings], Headers] = no_headers
    asks_usage: bool = True  # whether usage has to be asked for
    sign_in: Callable[[Settings], SignIn] | None = None  # None is by the key of its settings


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("LOCAL", "/v1"),
        # It reports usage unasked, and nothing else since `usage` and `stream_options` have no effect.
        Preset("OPENROUTER", "/api/v1", headers=openrouter_headers, asks_usage=False),
        # Some of its endpoints answer 400, `json: unknown field "stream_options"`; it reports usage unasked.
        Preset("DATABRICKS", "/serving-endpoints", asks_usage=False, sign_in=databricks_sign),
        Preset("GITHUB", "/inference"),
    )
}
