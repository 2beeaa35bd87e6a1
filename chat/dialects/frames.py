"""Frames of sockets that several dialects read alike. They come by the name and the data of the service's event."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, cast

from pydantic import Field, PlainValidator

from chat.dialects.framing import Cursor, read_cursor
from chat.errors import InvalidBody
from chat.requests import Cancel, Resume
from chat.schemas.fields import Body, Id, read_json, validate

UNNAMED = "message"
"""The event of frames that have no name of their own."""


def _place(seq: object) -> Cursor:
    """Of the last frame that a client has: 41, "41" or "41.2"."""
    if isinstance(seq, int | str) and not isinstance(seq, bool):
        with suppress(ValueError):
            return read_cursor(str(seq), whole_event=False)
    raise ValueError("Must be the seq of a frame")


class ResumeFields(Body):
    turn_id: Annotated[Id, Field(min_length=1)]
    after: Annotated[Cursor, PlainValidator(_place)] = Cursor(0, 0)


class CancelFields(Body):
    turn_id: Id = ""


def read_frame(name: str, data: str) -> Any:
    """The JSON of an event. The data of a named event is the frame without its type, or its payload. InvalidBody."""
    value = read_json(data or ("null" if name != UNNAMED else ""), refusal="Invalid JSON")
    if name == UNNAMED:
        return value
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return {"payload": value, **fields, "type": name}


def read_object(name: str, data: str) -> dict[str, Any]:
    """The same, where it must be an object. InvalidBody."""
    frame = read_frame(name, data)
    if not isinstance(frame, dict):
        raise InvalidBody("A frame must be a JSON object")
    return cast("dict[str, Any]", frame)


def read_cancel(fields: Mapping[str, Any]) -> Cancel:
    return Cancel(validate(CancelFields, fields).turn_id)


def read_resume(fields: Mapping[str, Any]) -> Resume:
    body = validate(ResumeFields, fields)
    return Resume(body.turn_id, body.after.number, body.after.further or 0)
