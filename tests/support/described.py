"""What the OpenAPI document says, as tests hold replies and frames against it: closed, so that nothing is said that it
does not have."""

import json
import re
import subprocess
import sys
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema_rs

from chat.dialects.catalogue import USUAL
from tests.support.processes import ROOT

SHOW = """
import json, function_app as parley
from chat.routes.openapi import make_document
rows = [(path, method, row) for path, some in parley.ROUTES.items() for method, row in some.items()]
print(json.dumps(make_document(rows)))
"""


@cache
def document() -> Any:
    """The document. Made in a process of its own, since the worker is mended when the app is imported."""
    command = [sys.executable, "-c", SHOW]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


@cache
def validator_of(pointer: str) -> Any:
    """By the place of a schema in the document, such as `/components/schemas/Session`."""
    return jsonschema_rs.validator_for({"$ref": f"#{pointer}", **_closed_document()})


@cache
def _closed_document() -> dict[str, Any]:
    return {name: _closed(document()[name]) for name in ("components", "paths")}


def _closed(value: Any) -> Any:
    """Objects have the keys that they are said to have, and no other."""
    if isinstance(value, list):
        return [_closed(each) for each in value]
    if not isinstance(value, dict):
        return value
    closed = {key: _closed(each) for key, each in value.items()}
    if value.get("type") == "object" and "properties" in value:
        closed.setdefault("additionalProperties", False)
    return closed


@cache
def make_ready() -> None:
    """What is needed to look at a frame: it takes about a second."""
    for name in document()["components"]["schemas"]:
        if name.endswith("Frame"):
            validator_of(f"/components/schemas/{name}")


def check_frame(dialect: str, payload: Any) -> None:
    """AssertionError for a frame that this dialect is not said to have. One that describes none may say anything."""
    if frame_of(dialect) in document()["components"]["schemas"]:
        _check(validator_of(f"/components/schemas/{frame_of(dialect)}"), payload)


def frame_of(dialect: str) -> str:
    """The schema of what a dialect says."""
    return dialect.title().replace("-", "") + "Frame"


def on_sockets(dialect: str) -> str:
    """What `check_frame` knows a dialect as, of which sockets say something else than streams."""
    named = f"{dialect}-socket"
    return named if frame_of(named) in document()["components"]["schemas"] else dialect


def check_reply(method: str, path: str, status: int, content_type: str, body: Any) -> None:
    """AssertionError for a reply that its route is not said to give. What no route answers is not looked at."""
    if (template := _template_of(urlsplit(path).path, method)) is None:
        return
    place = f"/paths/{_escaped(template)}/{method.lower()}/responses"
    responses = document()["paths"][template][method.lower()]["responses"]
    if "2XX" in responses and status < 300:
        return
    assert str(status) in responses, f"{method} {template}: {status} is not documented"
    if "$ref" in responses[str(status)]:
        place, status = "/components/responses", f"Problem{status}"
    _check(validator_of(f"{place}/{status}/content/{_escaped(content_type)}/schema"), body)


OWN = {"/api/ag-ui": "ag-ui"}
"""Of routes that dialects have of their own, whose streams tests read."""


def dialect_of(path: str, body: Any) -> str:
    """In which dialect a request is answered."""
    if own := OWN.get(urlsplit(path).path):
        return own
    asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
    asked = (body if isinstance(body, dict) else {}) | asked
    pipeline = "trip" if urlsplit(path).path.endswith("/rerun") else asked.get("pipeline") or ""
    return asked.get("dialect") or USUAL.get(pipeline, "")


def _template_of(path: str, method: str) -> str | None:
    for template, operations in document()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if method.lower() in operations and re.fullmatch(pattern, path):
            return template
    return None


def _escaped(name: str) -> str:
    """As a part of a JSON pointer in a URI (RFC 6901, section 6)."""
    return name.replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def _check(validator: Any, value: Any) -> None:
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        raise AssertionError(f"{error}\nin {json.dumps(value)[:2000]}") from None
