"""What the worker says about the functions of an app: names, bindings, routes."""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.functions_host.routing import Route, Router, compile_template


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the app, with the bindings of its function.json."""

    name: str
    id: str
    bindings: tuple[Mapping[str, Any], ...]

    @property
    def trigger(self) -> Mapping[str, Any]:
        """The binding that starts the function; {} when it has none."""
        return next((each for each in self.bindings if str(each["type"]).lower().endswith("trigger")), {})

    @property
    def is_http(self) -> bool:
        return self.trigger.get("type") == "httpTrigger"

    @property
    def is_timer(self) -> bool:
        return self.trigger.get("type") == "timerTrigger"

    @property
    def disabled(self) -> bool:
        return os.environ.get(f"AzureWebJobs.{self.name}.Disabled", "").lower() in {"1", "true"}

    @property
    def auth_level(self) -> str:
        return str(self.trigger.get("authLevel") or "function").lower()

    @property
    def methods(self) -> frozenset[str] | None:
        """None means every method."""
        methods = self.trigger.get("methods")
        return frozenset(str(each).upper() for each in methods) if methods else None

    def route(self, prefix: str) -> str:
        """The whole template, without a leading slash."""
        route = self.trigger.get("route")
        own = self.name if route is None else str(route)
        return "/".join(filter(None, (prefix.strip("/"), own.strip("/"))))


def read_function(name: str, function_id: str, raw_bindings: Iterable[str]) -> Function:
    """A function from the JSON texts that the worker indexed, with %SETTING% replaced."""
    bindings: list[dict[str, Any]] = [json.loads(each) for each in raw_bindings]
    return Function(name, function_id, tuple(_resolved(each) for each in bindings))


def _resolved(binding: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _resolve(value) if isinstance(value, str) else value for key, value in binding.items()}


def _resolve(text: str) -> str:
    return re.sub("%([^%]+)%", lambda found: os.environ.get(found[1], found[0]), text)


def http_router(functions: Iterable[Function], prefix: str) -> Router[Function]:
    """The routes of the HTTP functions that are not switched off."""
    return Router(
        Route(compile_template(each.route(prefix)), each.methods, each)
        for each in functions
        if each.is_http and not each.disabled
    )
